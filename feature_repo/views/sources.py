"""The building blocks of our views: sources below `$RISK_DATA`, and described fields."""

from pathlib import Path
from typing import Any

from feast import Entity, FeatureView, Field, FileSource
from feast.data_format import ParquetFormat
from feast.types import Float64, Int64, String, UnixTimestamp

import settings
import stores  # noqa: F401  first: it mends and silences Feast
from entities import OWNER
from features.aggregation import Table

TYPES = {"int": Int64, "float": Float64, "string": String, "timestamp": UnixTimestamp}


def field(name: str, dtype: Any, description: str, **tags: str) -> Field:
    return Field(name=name, dtype=dtype, description=description, tags={"owner": OWNER, **tags})


def aggregated(table: Table, entity: Entity, domain: str) -> FeatureView:
    """The view of a feature table, as its definition says: name, TTL, fields with units, source."""
    return FeatureView(
        name=table.name,
        entities=[entity],
        ttl=table.ttl,
        schema=[
            field(f.name, TYPES[f.dtype], f.description, unit=f.unit, window=f.window or "none", domain=domain)
            for f in table.features
        ],
        source=feature_table(table.name, domain, table.description),
        description=table.description,
        owner=OWNER,
        tags={"domain": domain},
    )


def raw_table(table: str, domain: str, description: str) -> FileSource:
    """Raw events, one file a delivery."""
    return _source(table, settings.raw_table(table), domain, description)


def feature_table(table: str, domain: str, description: str) -> FileSource:
    """What `python -m jobs execute` computes, one file a day."""
    return _source(table, settings.feature_table(table), domain, description)


def _source(table: str, directory: Path, domain: str, description: str) -> FileSource:
    return FileSource(
        name=f"{table}_source",
        path=str(directory),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        description=description,
        owner=OWNER,
        tags={"domain": domain, "kind": directory.parent.name},
    )
