"""The peer of the benchmarks: this repository's definitions and Parquet files, on Feast's own stores."""

import contextlib
import io
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml
from feast import FeatureStore

import settings


def stock_repository(folder: Path, *services: str) -> FeatureStore:
    """Apply the repository in `folder/feature_repo`, and materialize the stored views of these feature services."""
    repository = folder / "feature_repo"
    shutil.copytree(settings.FEATURE_REPO, repository)
    config = yaml.safe_load((repository / "feature_store.yaml").read_text())
    config |= {
        "registry": {"path": str(folder / "registry.db"), "cache_ttl_seconds": 600},
        "online_store": {"type": "sqlite", "path": str(folder / "online.db")},
        "offline_store": {"type": "duckdb"}, "batch_engine": {"type": "local"},
        # Without this, Feast writes every row of the history, one after the other.
        "materialization": {"pull_latest_features": True},
    }  # fmt: skip
    (repository / "feature_store.yaml").write_text(yaml.safe_dump(config))
    feast = [sys.executable, "-c", "from feast.cli.cli import cli; cli()"]
    subprocess.run([*feast, "apply"], cwd=repository, check=True, capture_output=True)
    store = FeatureStore(str(repository))
    on_demand = {view.name for view in store.list_on_demand_feature_views()}
    used = {p.name for name in services for p in store.get_feature_service(name).feature_view_projections}
    views = {source.name for view in store.list_on_demand_feature_views() if view.name in used
             for source in view.source_feature_view_projections.values()}  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        store.materialize(datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC), sorted((used | views) - on_demand))
    return store
