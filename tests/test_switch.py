"""A plain Feast repository switches to our stores and back, and keeps its registry and what was pushed online only."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from feast import Entity, FeatureStore, Field, PushSource, ValueType
from feast.types import Array, Float64, Int64, String, UnixTimestamp
from offline_world import row, source, view, write
from small import DRIVER

from exact_stores.__main__ import commands

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC).replace(microsecond=0)
SHOP = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
#: What `feast init` writes, but for the offline store.
PLAIN = {
    "project": "my_repo",
    "provider": "local",
    "registry": "data/registry.db",
    "online_store": {"type": "sqlite", "path": "data/online_store.db"},
    "offline_store": {"type": "duckdb"},
    "entity_key_serialization_version": 3,
}
FEATURES = {"trips": Int64, "name": String, "rating": Float64, "seen": UnixTimestamp, "tags": Array(String)}


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository on Feast's stores, as `feast init` makes it, materialized until now."""
    monkeypatch.delenv("RISK_DATA", raising=False)
    folder = tmp_path / "feature_repo"
    (folder / "data").mkdir(parents=True)
    dated = {"event_timestamp": NOW - timedelta(hours=5)}
    write(folder / "data" / "rows.parquet", [row(1, 1, 0) | dated, row(2, 2, 0) | dated])
    store = configured(folder, PLAIN)
    schema = [Field(name=name, dtype=kind) for name, kind in FEATURES.items()]
    pushes = PushSource(name="pushes", batch_source=source(folder / "data" / "rows.parquet"))
    visits = PushSource(name="visits", batch_source=source(folder / "data" / "none"))
    store.apply([DRIVER, SHOP, view(pushes), view(visits, "visits", schema=schema, entities=[DRIVER, SHOP])])
    store.materialize(NOW - timedelta(days=1), NOW, ["stats"])
    return folder


def configured(folder: Path, config: dict[str, Any]) -> FeatureStore:
    (folder / "feature_store.yaml").write_text(yaml.safe_dump(config))
    return FeatureStore(str(folder))


def ours(folder: Path) -> dict[str, Any]:
    registry = {
        "registry_store_type": "exact_stores.registry.RiskDataRegistryStore",
        "path": str(folder / "data/registry.db"),
    }
    return PLAIN | {
        "registry": registry,
        "online_store": {"type": "exact_stores.online.WideSqliteOnlineStore", "path": str(folder / "data/exact.db")},
        "offline_store": {"type": "exact_stores.offline.AsofDuckDBOfflineStore"},
        "batch_engine": {"type": "exact_stores.engine.ArrowComputeEngine"},
    }


def pushed(store: FeatureStore, driver: int, trips: int) -> None:
    """A row of `stats` and a row of `visits`, online only."""
    row: dict[str, Any] = {"driver_id": [driver], "trips": [trips], "event_timestamp": [NOW]}
    store.push("pushes", pd.DataFrame(row))
    row |= {"shop_id": ["é"], "name": ["x"], "rating": [0.5], "seen": [NOW], "tags": [["a", "b"]]}
    store.push("visits", pd.DataFrame(row))


def served(store: FeatureStore, *drivers: int) -> list[Any]:
    rows = [{"driver_id": driver, "shop_id": "é"} for driver in drivers]
    names = ["stats:trips", *(f"visits:{name}" for name in FEATURES if name != "trips")]
    values = store.get_online_features(names, rows).to_dict()
    return list(zip(*(values[name.split(":")[1]] for name in names), strict=True))


def carried(folder: Path, file: str) -> str:
    ended = CliRunner().invoke(commands, ["carry", str(folder / "data" / file), "--repository", str(folder)])
    assert ended.exit_code == 0, ended.output
    return ended.output


def test_a_switch_there_and_back_keeps_registry_and_pushed_rows(repository: Path):
    plain = configured(repository, PLAIN)
    pushed(plain, 1, 10)
    before, intervals = served(plain, 1, 2), plain.get_feature_view("stats").materialization_intervals
    assert before == [(10, "x", 0.5, NOW, ["a", "b"]), (2, None, None, None, None)]

    exact = configured(repository, ours(repository))
    assert exact.get_feature_view("stats").materialization_intervals == intervals
    apply_again(exact)
    exact.materialize(NOW - timedelta(days=1), NOW, ["stats"])
    assert served(exact, 1, 2) == [(1, None, None, None, None), (2, None, None, None, None)]
    assert carried(repository, "online_store.db") == "stats: 2 rows read, 1 written.\nvisits: 1 rows read, 1 written.\n"
    assert served(exact, 1, 2) == before
    assert carried(repository, "online_store.db") == "stats: 2 rows read, 0 written.\nvisits: 1 rows read, 0 written.\n"

    pushed(exact, 2, 20)
    (repository / "data" / "online_store.db").unlink()
    back = configured(repository, PLAIN)
    assert len(back.get_feature_view("stats").materialization_intervals) == len(intervals) + 1
    apply_again(back)
    back.materialize(NOW - timedelta(days=1), NOW, ["stats"])
    carried(repository, "exact.db")
    assert served(back, 1, 2) == [before[0], (20, "x", 0.5, NOW, ["a", "b"])]
    assert sorted(file.name for file in (repository.parent).iterdir()) == ["feature_repo"]


def apply_again(store: FeatureStore) -> None:
    store.apply([*store.list_entities(), *store.list_feature_views()])


@pytest.mark.parametrize(("file", "message"), [("none.db", "is no file"), ("registry.db", "not a database")])
def test_a_file_that_is_no_online_store_is_refused(file: str, message: str, repository: Path):
    arguments = ["carry", str(repository / "data" / file), "--repository", str(repository)]
    ended = CliRunner().invoke(commands, arguments)
    assert ended.exit_code == 1
    assert message in ended.output
