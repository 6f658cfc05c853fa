"""A small Feast repository for a test of the offline store: real files, a real registry, any offline store."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import small
from feast import FeatureStore, FeatureView, Field, FileSource
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.types import Float64, Int64
from small import DRIVER, NOON

OURS = "exact_stores.offline.AsofDuckDBOfflineStore"
TRIPS = Field(name="trips", dtype=Int64)
RATING = Field(name="rating", dtype=Float64)


def at(minutes: float) -> datetime:
    """The timestamp this many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def repository(folder: Path, offline: str = OURS, **config: Any) -> FeatureStore:
    """A repository with this offline store."""
    return small.repository(folder, offline=offline, repo_path=folder, **config)


def our_stores(folder: Path, kind: str = "wide") -> FeatureStore:
    """A repository with our stores, and our engine between them. `kind` is that of the online store."""
    return repository(folder, online=small.ONLINE_TYPES[kind], engine="exact_stores.engine.ArrowComputeEngine")


def write(path: Path, rows: list[dict[str, Any]], unit: str = "us", zone: str | None = "UTC") -> Path:
    """Write the rows as one Parquet file, with timestamps of this unit and zone. Returns `path`."""
    table = pa.Table.from_pylist(rows)
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(i, field.name, table[field.name].cast(pa.timestamp(unit, zone)))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def source(path: Path | str, **settings: Any) -> FileSource:
    """The Parquet file, folder or glob as a source."""
    settings = {"timestamp_field": "event_timestamp", **settings}
    return FileSource(name=f"source of {path}", path=str(path), file_format=ParquetFormat(), **settings)


def view(data_source: DataSource, name: str = "stats", **settings: Any) -> FeatureView:
    """A view of drivers' trips on this source."""
    settings = {"entities": [DRIVER], "schema": [TRIPS], "ttl": timedelta(0), **settings}
    return FeatureView(name=name, source=data_source, **settings)


def entity_frame(*rows: tuple[Any, Any]) -> pd.DataFrame:
    """An entity frame of (driver, timestamp)."""
    return pd.DataFrame(rows, columns=["driver_id", "event_timestamp"])


def row(driver: Any, trips: int, minute: float, **columns: Any) -> dict[str, Any]:
    """A row of a source, dated `minute` minutes after noon."""
    return {"driver_id": driver, "trips": trips, "event_timestamp": at(minute), **columns}


def created_row(driver: int, trips: int, minute: float, created: float) -> dict[str, Any]:
    """A row of a source that has its `created`, in minutes after noon."""
    return row(driver, trips, minute, created=at(created))


def joined(folder: Path, file_source: FileSource, entity_df: pd.DataFrame | str, **settings: Any) -> pa.Table:
    """The point-in-time join of an entity frame with a view on this source. `settings` are the view's."""
    store = repository(folder)
    store.apply([DRIVER, view(file_source, **settings)])
    return store.get_historical_features(entity_df, ["stats:trips"]).to_arrow()


ROWS = [row(1, 10, 0), row(1, 11, 10), row(2, 20, 5)]
ENTITIES = entity_frame((2, at(6)), (1, at(3)), (1, at(10)))
#: The trips that ROWS have for ENTITIES.
EXPECTED = [20, 10, 11]

CREATED_ROWS = [
    created_row(1, 10, 0, 0), created_row(1, 11, 5, 6), created_row(1, 12, 5, 9), created_row(2, 20, 10, 10),
    created_row(3, 30, 11, 11), created_row(4, 40, -1, 0),
]  # fmt: skip
