"""A small Feast repository for each test of the offline store: real files, a real registry, any offline store."""

from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import small
from feast import FeatureStore, FeatureView, Field, FileSource
from feast.data_format import ParquetFormat
from feast.types import Float64, Int64
from small import DRIVER, NOON

OURS = "exact_stores.offline.AsofDuckDBOfflineStore"
TRIPS = Field(name="trips", dtype=Int64)
RATING = Field(name="rating", dtype=Float64)


def at(minutes: float) -> datetime:
    """A moment so many minutes after noon."""
    return NOON + timedelta(minutes=minutes)


def repository(folder: Path, offline: str = OURS, **config: object) -> FeatureStore:
    return small.repository(folder, offline=offline, repo_path=folder, **config)


def write(path: Path, rows: list[dict], unit: str = "us", zone: str | None = "UTC") -> Path:
    """The rows as one Parquet file, each datetime in that unit and zone."""
    table = pa.Table.from_pylist(rows)
    for i, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(i, field.name, table[field.name].cast(pa.timestamp(unit, zone)))
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def source(path: Path | str, **settings: object) -> FileSource:
    settings = {"timestamp_field": "event_timestamp", **settings}
    return FileSource(name=f"source of {path}", path=str(path), file_format=ParquetFormat(), **settings)


def view(of: FileSource, name: str = "stats", **settings: object) -> FeatureView:
    settings = {"entities": [DRIVER], "schema": [TRIPS], "ttl": timedelta(0), **settings}
    return FeatureView(name=name, source=of, **settings)


def asked(*rows: tuple) -> pd.DataFrame:
    """An entity frame of (driver, moment)."""
    return pd.DataFrame(rows, columns=["driver_id", "event_timestamp"])


def row(driver: object, trips: int, minute: float, **more: object) -> dict:
    return {"driver_id": driver, "trips": trips, "event_timestamp": at(minute), **more}


def answered(folder: Path, of: FileSource, frame: pd.DataFrame | str, **settings: object) -> pa.Table:
    """What a view of this source answers."""
    store = repository(folder)
    store.apply([DRIVER, view(of, **settings)])
    return store.get_historical_features(frame, ["stats:trips"]).to_arrow()


ROWS = [row(1, 10, 0), row(1, 11, 10), row(2, 20, 5)]
ASKED = asked((2, at(6)), (1, at(3)), (1, at(10)))
ANSWER = [20, 10, 11]


def written(driver: int, trips: int, minute: float, created: float) -> dict:
    """A row that says when it was written."""
    return row(driver, trips, minute, created=at(created))


WRITTEN = [
    written(1, 10, 0, 0), written(1, 11, 5, 6), written(1, 12, 5, 9), written(2, 20, 10, 10), written(3, 30, 11, 11),
    written(4, 40, -1, 0),
]  # fmt: skip
