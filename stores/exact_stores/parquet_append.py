"""Rows added to the Parquet files behind a `FileSource`. A file is whole or not there: written beside, then renamed."""

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from feast import FileSource
from feast.repo_config import RepoConfig

from exact_stores.parquet_files import file_schema, hive_partitions, local_path

#: Hive keys that a source need not hold as columns: they are told from the event time.
_CALENDAR = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H"}


def append(source: FileSource, table: pa.Table, config: RepoConfig) -> None:
    """Adds the rows, times in microseconds: to the file, or as a new file in the folder, in its Hive partitions if it
    has any. Raises ValueError where columns differ from the source's, or the path is a glob."""
    path = local_path(source, config)
    schema = file_schema(path)
    table = _as_in(schema, _with_source_names(table, source), source)
    if Path(path).is_file():
        with _alone(Path(path)):
            whole = pa.concat_tables([pq.read_table(path, partitioning=None), table], promote_options="permissive")
            _write(whole, Path(path))
    elif Path(path).is_dir():
        for folder, rows in _partitions(table, path, source.timestamp_field).items():
            _write(rows, Path(path, folder, f"{_new_name()}.parquet"))
    else:
        raise ValueError(f"Source {source.name!r} is the glob {path}. To write to it, make its folder the source.")


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Of those who add to files of its folder, in all threads and processes, one at a time."""
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def append_to_folder(folder: Path, table: pa.Table, partition_by: list[str] | None) -> None:
    """Adds the rows as new files of a folder, made if need be, in Hive partitions of these columns."""
    beside: list[Path] = []
    pq.write_to_dataset(
        table,
        folder,
        partition_cols=partition_by,
        basename_template=f".{_new_name()}-{{i}}",
        file_visitor=lambda written: beside.append(Path(written.path)),
        existing_data_behavior="overwrite_or_ignore",
    )
    for file in beside:
        os.replace(file, file.with_name(f"{file.name.removeprefix('.')}.parquet"))


def _new_name() -> str:
    """Later names sort behind: of rows alike, the last written counts."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"


def _with_source_names(table: pa.Table, source: FileSource) -> pa.Table:
    original = {feature: column for column, feature in source.field_mapping.items()}
    return table.rename_columns([original.get(name, name) for name in table.column_names])


def _as_in(schema: pa.Schema, table: pa.Table, source: FileSource) -> pa.Table:
    """The table with the columns of the files, in their order and types, but no finer times than microseconds."""
    if set(table.column_names) != set(schema.names):
        raise ValueError(
            f"The rows have columns {sorted(table.column_names)}, and source {source.name!r} has "
            f"{sorted(schema.names)}. Give exactly these."
        )
    fields = [field.with_type(_no_finer(field.type)) for field in schema]
    return table.select(schema.names).cast(pa.schema(fields), safe=False)


def _no_finer(dtype: pa.DataType) -> pa.DataType:
    return pa.timestamp("us", dtype.tz) if pa.types.is_timestamp(dtype) else dtype


def _partitions(table: pa.Table, path: str, event: str) -> dict[str, pa.Table]:
    """The folder → its rows, as the files that are there lie."""
    keys = list(hive_partitions(path))
    if not keys or not table.num_rows:
        return {"": table} if table.num_rows else {}
    values = [_partition_values(table, key, event) for key in keys]
    folders = [
        "/".join(f"{key}={value}" for key, value in zip(keys, row, strict=True)) for row in zip(*values, strict=True)
    ]
    return {folder: table.filter(pc.equal(pa.array(folders), folder)) for folder in sorted(set(folders))}


def _partition_values(table: pa.Table, key: str, event: str) -> list[str]:
    if key not in _CALENDAR:
        raise ValueError(
            f"The folder is partitioned by {key!r}, which the rows do not tell: only year, month, day and hour, of "
            f"{event!r}, can be told. Write to it with the tool that made it."
        )
    return pc.strftime(table[event].cast(pa.timestamp("us", "UTC"), safe=False), _CALENDAR[key]).to_pylist()


def _write(table: pa.Table, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        pq.write_table(table, beside, coerce_timestamps="us", allow_truncated_timestamps=True)
        os.replace(beside, target)
    finally:
        beside.unlink(missing_ok=True)
