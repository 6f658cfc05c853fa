"""The Parquet files behind a `FileSource`, as a table that DuckDB reads."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from glob import escape, glob, has_magic
from pathlib import Path
from typing import TypeGuard

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FileSource
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from exact_stores.sql import identifier, literal
from exact_stores.timestamps import zoned

_FILE_SCHEME = "file://"
#: The range of 64 bits of nanoseconds.
_NANOSECOND_RANGE = (datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC))
#: Names that writers give to files and folders that are not done. `_day=1` is a partition.
_UNFINISHED = re.compile(r"(?:^|/)(?:\.|_[^/=]*(?:/|$))")
_HIVE_SEGMENT = re.compile(r"(?:^|/)([^/=]+)=([^/]*)(?=/)")


def is_local_parquet(source: DataSource | None) -> TypeGuard[FileSource]:
    """Whether the source is Parquet on a local disk, which our SQL reads. Feast's own store reads everything else."""
    return (
        isinstance(source, FileSource)
        and (source.file_format is None or isinstance(source.file_format, ParquetFormat))
        and "://" not in source.path.removeprefix(_FILE_SCHEME)
    )


@dataclass(frozen=True)
class ParquetFiles:
    """A file, a folder of files, a Hive-partitioned folder or a glob, read as one table.

    `mapping` is the source's field mapping: column → feature. The methods that take a column's name take Feast's name
    for it, and raise ValueError if the files have no such column. All raise FileNotFoundError if there is no file.
    """

    path: str
    mapping: Mapping[str, str]
    connection: duckdb.DuckDBPyConnection

    @staticmethod
    def from_source(source: FileSource, config: RepoConfig, connection: duckdb.DuckDBPyConnection) -> "ParquetFiles":
        """The files of a source, to be read through `connection`."""
        return ParquetFiles(local_path(source, config), source.field_mapping or {}, connection)

    @property
    def relation(self) -> str:
        """The table as SQL. A column that a file lacks is null in that file's rows."""
        partitions = ", ".join(f"{identifier(key)}: {dtype}" for key, dtype in self.partitions.items())
        hive = f"hive_partitioning = true, hive_types = {{{partitions}}}" if partitions else "hive_partitioning = false"
        return f"read_parquet({self._file_list}, union_by_name = true, {hive})"

    @cached_property
    def _file_list(self) -> str:
        return "[" + ", ".join(literal(escape(name)) for name in list_files(self.path)) + "]"

    @cached_property
    def partitions(self) -> dict[str, str]:
        """Hive key → DuckDB type, as `hive_partitions` says."""
        return hive_partitions(self.path)

    @cached_property
    def types(self) -> dict[str, str]:
        """Column → DuckDB type, of all columns of the files and of the partitions."""
        columns = self.connection.sql(f"DESCRIBE SELECT * FROM {self.relation}").fetchall()
        return {name: str(dtype) for name, dtype, *_ in columns}

    @property
    def row_count(self) -> int:
        """The number of rows, from the files' footers."""
        query = f"SELECT coalesce(sum(num_rows), 0) FROM parquet_file_metadata({self._file_list})"
        ((rows,),) = self.connection.sql(query).fetchall()
        return int(rows)

    def column(self, name: str) -> str:
        """The column as SQL."""
        return identifier(self._column_name(name))

    def type_of(self, name: str) -> str:
        """DuckDB's name of the column's type."""
        return self.types[self._column_name(name)]

    def since_1970(self, name: str, unit: str) -> str:
        """A time column as SQL for a whole number of `unit` (`us` or `ns`) since 1970. Without a zone it is UTC."""
        return f"epoch_{unit}({self.comparable(name)})"

    def timestamp_literal(self, name: str, timestamp: datetime) -> str:
        """A timestamp as SQL, to compare the time column `name` with. It is a constant, so DuckDB skips row groups."""
        timestamp = zoned(timestamp).astimezone(UTC)
        kind = "TIMESTAMPTZ" if self.is_text(name) else self.type_of(name)
        if kind.endswith("_NS"):
            timestamp = min(max(timestamp, _NANOSECOND_RANGE[0]), _NANOSECOND_RANGE[1])
        return f"CAST({literal(str(timestamp.replace(tzinfo=None)))} AS {kind})"

    def comparable(self, name: str) -> str:
        """A time column as SQL, in the type of `timestamp_literal`."""
        column = self.column(name)
        return f"CAST({column} AS TIMESTAMPTZ)" if self.is_text(name) else column

    def is_text(self, name: str) -> bool:
        """Whether the column holds text."""
        return self.type_of(name) == "VARCHAR"

    def between(self, name: str, start: datetime | None, end: datetime | None) -> str:
        """The SQL condition that the time column `name` is from `start` to `end`, both included. None is no limit."""
        bounds = [f"{self.comparable(name)} >= {self.timestamp_literal(name, start)}"] if start else []
        bounds += [f"{self.comparable(name)} <= {self.timestamp_literal(name, end)}"] if end else []
        return " AND ".join(bounds) or "true"

    def _column_name(self, name: str) -> str:
        original = {feature: column for column, feature in self.mapping.items()}.get(name, name)
        for candidate in (original, name):
            if candidate in self.types:
                return candidate
        raise ValueError(
            f"{self.path} has no column {original!r}, only {', '.join(self.types)}. "
            "Write it there, or correct the source, its field_mapping or the view's schema."
        )


def local_path(source: FileSource, config: RepoConfig) -> str:
    """The source's path, absolute or as Feast resolves it against the repository. It may be a glob."""
    return FileSource.get_uri_for_file_path(config.repo_path, source.path.removeprefix(_FILE_SCHEME))


def hive_partitions(path: str) -> dict[str, str]:
    """The Hive keys of a folder or glob, in order, and their DuckDB types.

    `…/year=2026/month=01/part.parquet` has the keys `year` and `month`. A type is BIGINT if every value is a whole
    number, as in pyarrow and pandas, else VARCHAR. Raises FileNotFoundError if there is no file.
    """
    base = path if Path(path).exists() else re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    values: dict[str, set[str]] = {}
    for file in list_files(path):
        for key, value in _HIVE_SEGMENT.findall(file.removeprefix(base)):
            values.setdefault(key, set()).add(value)
    return {key: "BIGINT" if all(map(str.isdecimal, texts)) else "VARCHAR" for key, texts in values.items()}


def list_files(path: str) -> list[str]:
    """The files of a file's path, a folder or a glob, sorted by name. In a folder it skips files that are not done.

    Raises FileNotFoundError if there is none.
    """
    paths = sorted(glob(_pattern(path), recursive=True))
    if Path(path).is_dir():
        paths = [file for file in paths if not _UNFINISHED.search(file.removeprefix(path))]
    if not paths:
        raise FileNotFoundError(f"No Parquet file is at {path}. Write one there, or correct the path of the source.")
    return paths


def file_schema(path: str) -> pa.Schema:
    """The schema of the last file by name, which is the newest of daily files. Raises FileNotFoundError."""
    return pq.read_schema(list_files(path)[-1])


def columns_and_types(source: FileSource, config: RepoConfig) -> list[tuple[str, str]]:
    """The columns in the files, without partitions, and Arrow's names of their types. Raises FileNotFoundError."""
    return [(field.name, str(field.type)) for field in file_schema(local_path(source, config))]


def require_time_columns(source: FileSource, config: RepoConfig) -> None:
    """Check that there is a file, and that it has the time columns that the source declares. A folder may still be
    empty or missing: a batch or a stream writes the first file after `feast apply`.

    Raises FileNotFoundError or ValueError.
    """
    try:
        columns = [source.field_mapping.get(name, name) for name, _ in columns_and_types(source, config)]
    except FileNotFoundError:
        path = Path(local_path(source, config))
        if path.is_dir() or not (path.suffix or has_magic(str(path))):
            return
        raise
    for name in filter(None, (source.timestamp_field, source.created_timestamp_column)):
        if name not in columns:
            raise ValueError(
                f"Source {source.name!r} declares the time column {name!r}, and its files have {', '.join(columns)}. "
                "Name one of these, or write the column."
            )


def _pattern(path: str) -> str:
    if Path(path).is_dir():
        return f"{escape(path)}/**/*.parquet"
    return path if has_magic(path) and not Path(path).exists() else escape(path)
