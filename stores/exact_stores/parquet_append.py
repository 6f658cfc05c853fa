"""Adds rows to the Parquet files behind a `FileSource`. A reader sees a file whole or not at all."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FileSource
from feast.repo_config import RepoConfig

from exact_stores.file_listing import hive_partitions
from exact_stores.parquet_files import file_schema, local_path
from exact_stores.whole_file import moving_into, replacing

#: Hive keys that need no column: they follow from the event timestamp.
_CALENDAR = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}


def append(source: FileSource, table: pa.Table, config: RepoConfig) -> None:
    """Add rows to a source, with timestamps in microseconds.

    A source that is a file is rewritten. A source that is a folder gets a new file, in its Hive partitions if it has
    any. Raises ValueError if the columns differ from the source's, or if the source is a glob.
    """
    path = local_path(source, config)
    schema = file_schema(path)
    table = _with_schema(schema, _with_source_names(table, source), source)
    if Path(path).is_file():
        with _folder_lock(Path(path)):
            whole = pa.concat_tables([pq.read_table(path, partitioning=None), table], promote_options="permissive")
            _write(whole, Path(path), coerce_timestamps="us", allow_truncated_timestamps=True)
    elif Path(path).is_dir():
        for folder, rows in _by_calendar(table, path, source.timestamp_field).items():
            _write(rows, Path(path, folder, f"{_new_name()}.parquet"))
    else:
        raise ValueError(f"Source {source.name!r} is the glob {path}. To write to it, make its folder the source.")


def append_to_folder(folder: Path, table: pa.Table, partition_by: list[str] | None) -> None:
    """Add rows to a folder as new files, in Hive partitions of these columns. Makes the folder if there is none."""
    with moving_into(folder) as hidden:
        pq.write_to_dataset(
            table, hidden, partition_cols=partition_by, basename_template=f"{_new_name()}-{{i}}.parquet"
        )


@contextmanager
def _folder_lock(file: Path) -> Iterator[None]:
    """Hold the lock of the file's folder: one writer at a time, in all threads and processes."""
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _new_name() -> str:
    """A name that sorts after all earlier ones, as the last written of equal rows counts."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"


def _with_source_names(table: pa.Table, source: FileSource) -> pa.Table:
    originals = {feature: column for column, feature in source.field_mapping.items()}
    return table.rename_columns([originals.get(name, name) for name in table.column_names])


def _with_schema(schema: pa.Schema, table: pa.Table, source: FileSource) -> pa.Table:
    """The table with the columns of the files, in their order and types, but timestamps in microseconds. A column that
    holds nulls alone in the files keeps its own type."""
    if set(table.column_names) != set(schema.names):
        raise ValueError(
            f"The rows have columns {sorted(table.column_names)}, and source {source.name!r} has "
            f"{sorted(schema.names)}. Give exactly these."
        )
    types = [table.schema.field(field.name).type if field.type == pa.null() else field.type for field in schema]
    fields = [field.with_type(_in_microseconds(dtype)) for field, dtype in zip(schema, types, strict=True)]
    return table.select(schema.names).cast(pa.schema(fields), safe=False)


def _in_microseconds(dtype: pa.DataType) -> pa.DataType:
    return pa.timestamp("us", dtype.tz) if pa.types.is_timestamp(dtype) else dtype


def _by_calendar(table: pa.Table, path: str, event_timestamp: str) -> dict[str, pa.Table]:
    """Folder below `path` → the rows that belong there, by the Hive keys of the existing files."""
    keys = list(hive_partitions(path))
    if not keys or not table.num_rows:
        return {"": table} if table.num_rows else {}
    values = [_calendar_values(table, key, event_timestamp) for key in keys]
    folders = [
        "/".join(f"{key}={value}" for key, value in zip(keys, row, strict=True)) for row in zip(*values, strict=True)
    ]
    return {folder: table.filter(pc.equal(pa.array(folders), folder)) for folder in sorted(set(folders))}


def _calendar_values(table: pa.Table, key: str, event_timestamp: str) -> list[str]:
    if key not in _CALENDAR:
        raise ValueError(
            f"The folder is partitioned by {key!r}, and {event_timestamp!r} gives only year, month, day and hour. "
            "Write to it with the tool that made it."
        )
    utc = table[event_timestamp].cast(pa.timestamp("us", "UTC"), safe=False)
    texts: list[str] = pc.strftime(utc, _CALENDAR[key]).to_pylist()
    return texts


def _write(table: pa.Table, target: Path, **options: Any) -> None:
    with replacing(target) as new_file:
        pq.write_table(table, new_file, **options)
