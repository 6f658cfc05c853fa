"""The building blocks of our views: sources below `$RISK_DATA`, and described fields."""

from pathlib import Path
from typing import Any

from feast import Field, FileSource
from feast.data_format import ParquetFormat

import settings
import stores  # noqa: F401  first: it mends and silences Feast
from entities import OWNER


def field(name: str, dtype: Any, description: str, **tags: str) -> Field:
    return Field(name=name, dtype=dtype, description=description, tags={"owner": OWNER, **tags})


def raw_table(table: str, domain: str, description: str) -> FileSource:
    """Raw events, one file a delivery."""
    return _source(table, settings.raw_table(table), "*.parquet", domain, description)


def feature_table(table: str, domain: str, description: str) -> FileSource:
    """What `python -m jobs batch` computes, one file a day."""
    return _source(table, settings.feature_table(table), "**/*.parquet", domain, description)


def _source(table: str, directory: Path, files: str, domain: str, description: str) -> FileSource:
    return FileSource(
        name=f"{table}_source",
        path=str(directory / files),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        description=description,
        owner=OWNER,
        tags={"domain": domain, "kind": directory.parent.name},
    )
