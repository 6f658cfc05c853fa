"""`feast apply` on our stores prints what it did, as on Feast's own."""

import re
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from feast import FeatureView, Field, FileSource
from feast.types import Float64, Int64, String
from offline_world import row, write
from processes import environment, run

from exact_stores.spec_changes import changed_fields

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
    return [line for line in lines if line.startswith(("Created", "Updated", "Deleted", "No changes", "  "))]


def test_apply_prints_what_it_created_updated_and_deleted(tmp_path: Path):
    (tmp_path / "feature_store.yaml").write_text(STORE)
    write(tmp_path / "rows.parquet", [row(1, 1, 0)])
    first = applied(tmp_path, 'one = stats("one")\ntwo = stats("two")\n')
    created = ("project small", "entity driver", "feature view one", "feature view two")
    assert first == [f"Created {name}" for name in created]
    second = applied(tmp_path, 'one = stats("one", "Trips of a driver.")\nthree = stats("three")\n')
    assert second == [
        "Created feature view three",
        "Deleted feature view two",
        "Updated feature view one",
        "  description: (none) → Trips of a driver.",
    ]


def test_an_update_is_a_line_for_each_field():
    source = FileSource(name="rows", path="a.parquet", timestamp_field="t")
    fields = [Field(name="trips", dtype=Int64), Field(name="rating", dtype=Float64)]
    old = FeatureView(name="one", source=source, schema=fields, ttl=timedelta(days=1), tags={"a": "1", "b": "2"})
    fields = [Field(name="trips", dtype=Float64), Field(name="stars", dtype=String, description="One\nto five.")]
    source = FileSource(name="rows", path="b.parquet", timestamp_field="t")
    new = FeatureView(name="one", source=source, schema=fields, ttl=timedelta(days=2), tags={"a": "3"}, online=False)
    assert list(changed_fields(old.to_proto().spec, new.to_proto().spec)) == [
        "features.rating: DOUBLE → (none)",
        "features.stars: (none) → STRING",
        "features.trips.value_type: INT64 → DOUBLE",
        "tags.a: 1 → 3",
        "tags.b: 2 → (none)",
        "ttl: 1 day, 0:00:00 → 2 days, 0:00:00",
        "batch_source.file_options.uri: a.parquet → b.parquet",
        "online: True → False",
    ]
