"""`feast apply` on our stores prints what it did, as on Feast's own."""

import re
import sys
from pathlib import Path

import pytest
from offline_world import row, write
from processes import environment, run

pytestmark = pytest.mark.slow

FEAST = str(Path(sys.executable).with_name("feast"))
STORE = """
project: small
provider: local
registry: {registry_store_type: exact_stores.registry.RiskDataRegistryStore, path: registry.db}
online_store: {type: exact_stores.online.WideSqliteOnlineStore, path: online.db}
offline_store: {type: exact_stores.offline.AsofDuckDBOfflineStore}
entity_key_serialization_version: 3
"""
VIEWS = """
from feast import Entity, FeatureView, Field, FileSource, ValueType
from feast.types import Int64

driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
rows = FileSource(name="rows", path="ROWS", timestamp_field="event_timestamp")


def stats(name, description=""):
    trips = Field(name="trips", dtype=Int64)
    return FeatureView(name=name, entities=[driver], schema=[trips], source=rows, description=description)


"""


def applied(folder: Path, views: str) -> list[str]:
    """The lines that say what changed, for a repository with these views."""
    (folder / "views.py").write_text(VIEWS.replace("ROWS", str(folder / "rows.parquet")) + views)
    ended = run([FEAST, "apply"], cwd=folder, env=environment(RISK_DATA=folder))
    assert ended.code == 0, ended.output
    lines = re.sub("\x1b[^m]*m", "", ended.stdout).splitlines()  # without colours
    return [line for line in lines if line.startswith(("Created", "Updated", "Deleted", "No changes"))]


def test_apply_prints_what_it_created_updated_and_deleted(tmp_path: Path):
    (tmp_path / "feature_store.yaml").write_text(STORE)
    write(tmp_path / "rows.parquet", [row(1, 1, 0)])
    first = applied(tmp_path, 'one = stats("one")\ntwo = stats("two")\n')
    created = ("project small", "entity driver", "feature view one", "feature view two")
    assert first == [f"Created {name}" for name in created]
    second = applied(tmp_path, 'one = stats("one", "Trips of a driver.")\nthree = stats("three")\n')
    assert second == ["Created feature view three", "Deleted feature view two", "Updated feature view one"]
