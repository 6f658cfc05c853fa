"""Adds rows to the Parquet files behind a `FileSource`. A reader sees a file whole or not at all."""

import fcntl
import os
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FileSource
from feast.repo_config import RepoConfig
from feast.value_type import ValueType

from exact_stores.declared import as_declared
from exact_stores.file_listing import hive_partitions
from exact_stores.parquet_files import file_schema, local_path
from exact_stores.whole_file import moving_into, replacing

#: The names of the columns that Arrow makes of a data frame's index.
_INDEX = "__index_level_"
#: Hive keys that need no column: they follow from the event timestamp.
_CALENDAR = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}


def append(source: FileSource, table: pa.Table, config: RepoConfig, declared: Mapping[str, ValueType]) -> None:
    """Add rows to a source, with timestamps in microseconds. `declared` are the types of keys and features.

    A source that is a file is rewritten. A source that is a folder gets a new file, in its Hive partitions if it has
    any. Raises ValueError if the columns differ from the source's, if a value does not fit them, or if the source is a
    glob.
    """
    path = local_path(source, config)
    schema = file_schema(path)
    table = _with_schema(schema, table, source, declared)
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


def _with_schema(schema: pa.Schema, table: pa.Table, source: FileSource, declared: Mapping[str, ValueType]) -> pa.Table:
    """The table with the columns of the files, in their order and types, but timestamps in microseconds. A column that
    holds nulls alone in the files keeps its own type."""
    table = table.drop_columns([name for name in table.column_names if name.startswith(_INDEX)])
    table = _with_source_names(table, source)
    if set(table.column_names) != set(schema.names):
        raise ValueError(
            f"The rows have columns {sorted(table.column_names)}, and source {source.name!r} has "
            f"{sorted(schema.names)}. Give exactly these."
        )
    mapping = source.field_mapping
    if not table.num_rows:
        return schema.empty_table()
    columns = []
    for field in schema:
        name = mapping.get(field.name, field.name)
        try:
            columns.append(_as_stored(table[field.name].combine_chunks(), field.type, name, declared.get(name)))
        except (pa.ArrowException, ValueError) as error:
            raise ValueError(
                f"The files of source {source.name!r} have {field.type} in {field.name!r}, and a row does not fit "
                f"({error}). Correct the rows: nothing was written."
            ) from error
    return pa.table(columns, names=schema.names)


def _as_stored(values: pa.Array, dtype: pa.DataType, name: str, kind: ValueType | None) -> pa.Array:
    """The values in the type of the files, from which they are read with the value that they have online. Raises
    ValueError or pa.ArrowException if they do not fit."""
    dtype = values.type if pa.types.is_null(dtype) else dtype
    if pa.types.is_timestamp(dtype):
        return values.cast(pa.timestamp("us", dtype.tz), safe=False)
    if kind is not None and (pa.types.is_string(dtype) or pa.types.is_large_string(dtype)):
        values = as_declared(values, name, kind)
    return values.cast(dtype, safe=not pa.types.is_floating(dtype))


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
