"""The Parquet files behind a `FileSource`, as a table that DuckDB reads."""

import re
import tempfile
import uuid
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

from exact_stores.names import quoted

_FILE_SCHEME = "file://"
#: What 64 bits of nanoseconds can tell.
_NANOSECONDS = (datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC))
#: Names that writers give to what they are not done with; `_day=1` is a partition.
_IN_THE_MAKING = re.compile(r"(?:^|/)(?:\.|_[^/=]*(?:/|$))")
_HIVE_SEGMENT = re.compile(r"(?:^|/)([^/=]+)=([^/]*)(?=/)")


def is_local_parquet(source: DataSource | None) -> TypeGuard[FileSource]:
    """Whether the source is Parquet on a local disk: what our SQL reads. All else goes to Feast's own store."""
    return (
        isinstance(source, FileSource)
        and (source.file_format is None or isinstance(source.file_format, ParquetFormat))
        and "://" not in source.path.removeprefix(_FILE_SCHEME)
    )


def open_connection(config: RepoConfig) -> duckdb.DuckDBPyConnection:
    """A DuckDB of one's own, in UTC, its cursors too. Beyond the store's `memory_limit` it spills to the folder for
    temporary files."""
    spill = Path(tempfile.gettempdir()) / f"feast-duckdb-{uuid.uuid4().hex}"
    connection = duckdb.connect(
        config={"memory_limit": config.offline_store.memory_limit, "temp_directory": str(spill)}
    )
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    return connection


@dataclass(frozen=True)
class ParquetFiles:
    """A single file, a folder of files, a Hive-partitioned folder or a glob, read as one table.

    `types` maps a column, partition columns included, to DuckDB's name of its type; `mapping` is the source's, from
    column to feature. Raises FileNotFoundError where nothing lies.
    """

    path: str
    mapping: Mapping[str, str]
    connection: duckdb.DuckDBPyConnection

    @staticmethod
    def of(source: FileSource, config: RepoConfig, connection: duckdb.DuckDBPyConnection) -> "ParquetFiles":
        return ParquetFiles(local_path(source, config), source.field_mapping or {}, connection)

    @property
    def relation(self) -> str:
        """The files in SQL. They may differ in their columns: what one lacks is null there."""
        partitions = ", ".join(f"{quoted(key)}: {dtype}" for key, dtype in self.partitions.items())
        hive = f"hive_partitioning = true, hive_types = {{{partitions}}}" if partitions else "hive_partitioning = false"
        return f"read_parquet({self._listed}, union_by_name = true, {hive})"

    @cached_property
    def _listed(self) -> str:
        names = (name.replace("'", "''") for name in files(self.path))
        return "[" + ", ".join(f"'{escape(name)}'" for name in names) + "]"

    @cached_property
    def partitions(self) -> dict[str, str]:
        return hive_partitions(self.path)

    @cached_property
    def types(self) -> dict[str, str]:
        described = self.connection.sql(f"DESCRIBE SELECT * FROM {self.relation}").fetchall()
        return {name: str(dtype) for name, dtype, *_ in described}

    @property
    def row_count(self) -> int:
        """As the footers tell it."""
        query = f"SELECT coalesce(sum(num_rows), 0) FROM parquet_file_metadata({self._listed})"
        ((rows,),) = self.connection.sql(query).fetchall()
        return int(rows)

    def column(self, name: str) -> str:
        """The column that holds what Feast calls `name`, quoted. Raises ValueError if there is none."""
        return quoted(self._known(name))

    def type_of(self, name: str) -> str:
        return self.types[self._known(name)]

    def time(self, name: str, unit: str) -> str:
        """A time column in SQL as a whole number of `unit` (`us` or `ns`) since 1970, UTC where it has no zone."""
        column = self.column(name)
        return f"epoch_{unit}(CAST({column} AS TIMESTAMPTZ))" if self.is_text(name) else f"epoch_{unit}({column})"

    def moment(self, name: str, at: datetime) -> str:
        """A moment in SQL, to compare the time column `name` with: a plain value, so that row groups are skipped."""
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
        kind = "TIMESTAMPTZ" if self.is_text(name) else self.type_of(name)
        if kind.endswith("_NS"):
            at = min(max(at, _NANOSECONDS[0]), _NANOSECONDS[1])
        return f"CAST('{at.replace(tzinfo=None)}' AS {kind})"

    def comparable(self, name: str) -> str:
        """The time column `name` in SQL, as `moment` is to be compared with it."""
        column = self.column(name)
        return f"CAST({column} AS TIMESTAMPTZ)" if self.is_text(name) else column

    def is_text(self, name: str) -> bool:
        return self.type_of(name) == "VARCHAR"

    def between(self, name: str, start: datetime | None, end: datetime | None) -> str:
        """The rows from `start` to `end`, both included, as a condition."""
        bounds = [f"{self.comparable(name)} >= {self.moment(name, start)}"] if start else []
        bounds += [f"{self.comparable(name)} <= {self.moment(name, end)}"] if end else []
        return " AND ".join(bounds) or "true"

    def _known(self, name: str) -> str:
        original = {feature: column for column, feature in self.mapping.items()}.get(name, name)
        for candidate in (original, name):
            if candidate in self.types:
                return candidate
        raise ValueError(
            f"{self.path} has no column {original!r}, only {', '.join(self.types)}. "
            "Write it there, or correct the source, its field_mapping or the view's schema."
        )


def local_path(source: FileSource, config: RepoConfig) -> str:
    return FileSource.get_uri_for_file_path(config.repo_path, source.path.removeprefix(_FILE_SCHEME))


def hive_partitions(path: str) -> dict[str, str]:
    """The Hive keys of a folder or glob, in order, such as `year` and `month` of `…/year=2026/month=01/part.parquet`,
    and their types: BIGINT where every value is a whole number, as pyarrow and pandas have it, else VARCHAR."""
    base = path if Path(path).exists() else re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    values: dict[str, set[str]] = {}
    for file in files(path):
        for key, value in _HIVE_SEGMENT.findall(file.removeprefix(base)):
            values.setdefault(key, set()).add(value)
    return {key: "BIGINT" if all(map(str.isdecimal, seen)) else "VARCHAR" for key, seen in values.items()}


def files(path: str) -> list[str]:
    """The files, by name; of a folder, those that a writer is done with. Raises FileNotFoundError."""
    found = sorted(glob(_pattern(path), recursive=True))
    if Path(path).is_dir():
        found = [file for file in found if not _IN_THE_MAKING.search(file.removeprefix(path))]
    if not found:
        raise FileNotFoundError(f"No Parquet file is at {path}. Write one there, or correct the path of the source.")
    return found


def file_schema(path: str) -> pa.Schema:
    """The schema of the last file: of daily ones the newest. Raises FileNotFoundError."""
    return pq.read_schema(files(path)[-1])


def columns_and_types(source: FileSource, config: RepoConfig) -> list[tuple[str, str]]:
    """The columns in the files themselves, without partitions, and Arrow's names of their types."""
    return [(field.name, str(field.type)) for field in file_schema(local_path(source, config))]


def require_times(source: FileSource, config: RepoConfig) -> None:
    """Raises FileNotFoundError, ValueError unless there is a file, with the time columns that the source declares."""
    there = [source.field_mapping.get(name, name) for name, _ in columns_and_types(source, config)]
    for name in filter(None, (source.timestamp_field, source.created_timestamp_column)):
        if name not in there:
            raise ValueError(
                f"Source {source.name!r} declares the time column {name!r}, and its files have {', '.join(there)}. "
                "Name one of these, or write the column."
            )


def _pattern(path: str) -> str:
    if Path(path).is_dir():
        return f"{escape(path)}/**/*.parquet"
    return path if has_magic(path) and not Path(path).exists() else escape(path)
