"""A small Feast repository for a test, on our stores or on Feast's.

A promise that both keep is tested on both. If Feast's store breaks it, the test is an expected failure there.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from engines import redis
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Int64, from_value_type
from feast.value_type import ValueType

#: Our two online stores. Redis needs a server.
OURS = ["wide", pytest.param("redis", marks=pytest.mark.engine)]
#: For a promise that Feast's own store keeps too.
BOTH = [*OURS, "stock"]
#: For a promise that Feast's own store breaks.
STOCK_FAILS = [*OURS, pytest.param("stock", marks=pytest.mark.xfail(strict=True))]

DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
#: Driver, event timestamp, created, trips.
Row = tuple[int, datetime, datetime | None, int | None]
ONLINE_TYPES = {
    "wide": "exact_stores.online.WideSqliteOnlineStore",
    "redis": "exact_stores.redis_online.PackedRedisOnlineStore",
    "stock": "sqlite",
}


def repository(
    root: Path, online: str = "sqlite", offline: str = "duckdb", engine: str = "local", project: str = "small",
    registry: dict[str, Any] | None = None, address: str | None = None,
    redis_type: str = "redis", **config: Any,
) -> FeatureStore:  # fmt: skip
    """A repository with stores of these types, on `root/<project>.registry`, and on `root/online.db`, on the Redis
    at `address`, or in a database of the session's Redis for this root."""
    root.mkdir(exist_ok=True)
    if "redis" in online:
        place = {"connection_string": address or redis.database(root), "redis_type": redis_type}
    else:
        place = {"path": str(root / "online.db")}
    config |= {"online_store": {"type": online, **place}, "offline_store": {"type": offline}}
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
    """A repository with our online store on SQLite (`wide`) or on Redis, or Feast's on SQLite (`stock`)."""
    return repository(root, online=ONLINE_TYPES[kind], project=project, registry=registry)


def view(root: Path, features: Any = ("trips",), name: str = "stats", **options: Any) -> FeatureView:
    """A view of drivers on the Parquet file `root/rows.parquet`, which tests that materialize write.

    `features` are names of integers, or a dict of names and types.
    """
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
    arguments: dict[str, Any] = {"source": source, "ttl": timedelta(0)} | options
    return FeatureView(name=name, schema=[Field(name=f, dtype=t) for f, t in types.items()], **arguments)


def push_view(root: Path) -> FeatureView:
    """The view of trips, with a push source before its file."""
    stats = view(root)
    stats.source = stats.stream_source = PushSource(name="stats_push", batch_source=stats.batch_source)
    return stats


def store_with_trips(root: Path, kind: str = "wide") -> FeatureStore:
    """A repository with an online store of ours and the view of trips."""
    store = feature_store(root, kind)
    store.apply([DRIVER, view(root)])
    return store


def table(**columns: Any) -> pa.Table:
    """One row of the view of trips as an Arrow table. `columns` are added, or replace its own."""
    return pa.table({"driver_id": [1], "trips": [10], "event_timestamp": [NOON]} | columns)


def frame(*rows: tuple[int, datetime, datetime, int | None]) -> pd.DataFrame:
    """Rows of (driver, event timestamp, created, trips) as a data frame."""
    table = pd.DataFrame(rows, columns=["driver_id", "event_timestamp", "created", "trips"])
    for column in ("event_timestamp", "created"):
        table[column] = table[column].astype("datetime64[us, UTC]")
    return table.astype({"trips": "Int64"})


def trips(store: FeatureStore, *drivers: int) -> list[int | None]:
    """The trips of these drivers, read online by Feast's own call."""
    return read(store, ["stats:trips"], *drivers)["trips"]


def read(store: FeatureStore, features: list[str], *drivers: int, **options: Any) -> dict[str, list[Any]]:
    """The features of these drivers, read online by Feast's own call."""
    return store.get_online_features(features, [{"driver_id": driver} for driver in drivers], **options).to_dict()


def batch(*rows: Row) -> list[tuple[EntityKey, dict[str, Value], datetime, datetime | None]]:
    """Rows of (driver, event timestamp, created, trips) as Feast gives them to a store."""
    return [
        (EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=d)]), {"trips": _value(v)}, event, created)
        for d, event, created, v in rows
    ]


def _value(number: int | None) -> Value:
    return Value() if number is None else Value(int64_val=number)


def write_batch(store: FeatureStore, *rows: Row) -> None:
    """Write the rows to the view `stats`, in one call of the online store."""
    view = store.get_feature_view("stats", allow_registry_cache=True)
    store._get_provider().online_write_batch(store.config, view, batch(*rows), None)
