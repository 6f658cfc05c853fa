"""A small Feast repository of one's own, on our stores or on Feast's: what both must do is asked of both, and
where Feast's fails the test says so."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig
from feast.types import Int64, from_value_type
from feast.value_type import ValueType

#: For a test of what Feast's own store does as well.
BOTH = ["wide", "stock"]
#: For a test of what it does not.
STOCK_FAILS = ["wide", pytest.param("stock", marks=pytest.mark.xfail(strict=True))]

DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
_TYPES = {"wide": "exact_stores.online.WideSqliteOnlineStore", "stock": "sqlite"}


def repository(
    root: Path, online: str = "sqlite", offline: str = "duckdb", engine: str = "local", project: str = "small",
    registry: dict[str, Any] | None = None, **config: Any,
) -> FeatureStore:  # fmt: skip
    """On `root/<project>.registry` and `root/online.db`, with the stores of these types."""
    root.mkdir(exist_ok=True)
    config |= {"online_store": {"type": online, "path": str(root / "online.db")}, "offline_store": {"type": offline}}
    registry = {"path": str(root / f"{project}.registry"), "cache_ttl_seconds": 600, **(registry or {})}
    return FeatureStore(
        config=RepoConfig(
            project=project,
            provider="local",
            registry=registry,
            batch_engine={"type": engine},
            entity_key_serialization_version=3,
            **config,
        )
    )


def feature_store(root: Path, kind: str, project: str = "small", **registry: Any) -> FeatureStore:
    """With our online store or Feast's."""
    return repository(root, online=_TYPES[kind], project=project, registry=registry)


def view(root: Path, features: Any = ("trips",), name: str = "stats", **options: Any) -> FeatureView:
    """A view of drivers on a Parquet file, which the tests that materialize write. Features are names of integers, or
    names and types."""
    types = dict(features) if isinstance(features, dict) else dict.fromkeys(features, Int64)
    for entity in options.setdefault("entities", [DRIVER]):
        types[entity.join_key] = from_value_type(entity.value_type)
    source = FileSource(
        name=f"{name}_file",
        path=str(root / "rows.parquet"),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        field_mapping=options.pop("field_mapping", None),
    )
    options = {"source": source, "ttl": timedelta(0)} | options
    return FeatureView(name=name, schema=[Field(name=f, dtype=t) for f, t in types.items()], **options)


def pushed(root: Path) -> FeatureView:
    """The view of trips, with a push source before its file."""
    stats = view(root)
    stats.source = stats.stream_source = PushSource(name="stats_push", batch_source=stats.batch_source)
    return stats


def with_trips(root: Path) -> FeatureStore:
    """Our store, with the view of trips applied."""
    made = feature_store(root, "wide")
    made.apply([DRIVER, view(root)])
    return made


def table(**columns: Any) -> pa.Table:
    """One row of the view of trips as Arrow, with these columns besides or in place of its own."""
    return pa.table({"driver_id": [1], "trips": [10], "event_timestamp": [NOON]} | columns)


def frame(*rows: tuple[int, datetime, datetime, int | None]) -> pd.DataFrame:
    """Driver, event time, created, trips."""
    table = pd.DataFrame(rows, columns=["driver_id", "event_timestamp", "created", "trips"])
    for column in ("event_timestamp", "created"):
        table[column] = table[column].astype("datetime64[us, UTC]")
    return table.astype({"trips": "Int64"})


def trips(store: FeatureStore, *drivers: int) -> list[int | None]:
    """What a reader is told, by Feast's own call."""
    return read(store, ["stats:trips"], *drivers)["trips"]


def read(store: FeatureStore, features: list[str], *drivers: int, **options: Any) -> dict[str, list[Any]]:
    return store.get_online_features(features, [{"driver_id": driver} for driver in drivers], **options).to_dict()
