"""The Parquet files behind a `FileSource`, as a table that DuckDB reads."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from glob import escape, has_magic
from pathlib import Path
from typing import TypeGuard

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from feast import FileSource
from feast.data_format import ParquetFormat
from feast.data_source import DataSource
from feast.repo_config import RepoConfig

from exact_stores.file_listing import hive_partitions, hive_values, list_files
from exact_stores.renamed import ROW_PLACE, Renamed, are_alike
from exact_stores.sql import identifier, is_nan, literal
from exact_stores.timestamps import zoned
from exact_stores.utc_duckdb import NULL_TYPE

_FILE_SCHEME = "file://"
_FLOATS = ("FLOAT", "DOUBLE")
#: The range of 64 bits of nanoseconds.
_NANOSECOND_RANGE = (datetime(1678, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, tzinfo=UTC))


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
        """The table as SQL. A column that a file lacks is null in that file's rows. Beside the files' columns it has
        `file_index` and `file_row_number`: where a row lies."""
        return self._renamed.relation if self._renamed else self._as_duckdb_reads

    @cached_property
    def types(self) -> dict[str, str]:
        """Column → DuckDB type, of all columns of the files and of the partitions."""
        if self._renamed is None:
            return self._types_as_duckdb_reads
        types = self._types_in(self._renamed.relation)
        return {name: types[own] for name, own in self._renamed.names.items()}

    @property
    def partitions(self) -> set[str]:
        """The Hive keys that are no columns of the files."""
        return self._hive_keys.keys() - self._written_names

    @cached_property
    def _renamed(self) -> Renamed | None:
        """The table under other column names, where DuckDB would take one column for another, or reads no files of such
        different folders together. Else None."""
        names = [*self._written_names, *self._hive_keys]
        texts = hive_values(self.path)
        has_same_keys = len({tuple(keys) for keys in texts.values()}) == 1  # DuckDB reads no others together
        if has_same_keys and not are_alike([*names, *ROW_PLACE]) and self._types_as_duckdb_reads.keys() <= {*names}:
            return None
        values = {
            file: {
                key: int(value) if value and self._hive_keys[key] == "BIGINT" else value for key, value in keys.items()
            }
            for file, keys in texts.items()
        }
        return Renamed.of_files(values, self.connection)

    @cached_property
    def _as_duckdb_reads(self) -> str:
        partitions = ", ".join(f"{identifier(key)}: {dtype}" for key, dtype in self._hive_keys.items())
        hive = f"hive_partitioning = true, hive_types = {{{partitions}}}" if partitions else "hive_partitioning = false"
        return f"read_parquet({self._file_list}, union_by_name = true, {hive})"

    @cached_property
    def _types_as_duckdb_reads(self) -> dict[str, str]:
        return self._types_in(self._as_duckdb_reads)

    @cached_property
    def _file_list(self) -> str:
        return "[" + ", ".join(literal(escape(name)) for name in list_files(self.path)) + "]"

    @cached_property
    def _hive_keys(self) -> dict[str, str]:
        return hive_partitions(self.path)

    @cached_property
    def _written_names(self) -> set[str]:
        """The names in the files' schemas, those of nested fields among them."""
        query = f"SELECT DISTINCT name FROM parquet_schema({self._file_list})"
        return {name for (name,) in self.connection.sql(query).fetchall()}

    def _types_in(self, relation: str) -> dict[str, str]:
        return {name: str(dtype) for name, dtype, *_ in self.connection.sql(f"DESCRIBE FROM {relation}").fetchall()}

    @property
    def row_count(self) -> int:
        """The number of rows, from the files' footers."""
        query = f"SELECT coalesce(sum(num_rows), 0) FROM parquet_file_metadata({self._file_list})"
        ((rows,),) = self.connection.sql(query).fetchall()
        return int(rows)

    def column(self, name: str) -> str:
        """The column as SQL."""
        own = self.own_name(name)
        return identifier(own if self._renamed is None else self._renamed.names[own])

    def type_of(self, name: str) -> str:
        """DuckDB's name of the column's type."""
        return self.types[self.own_name(name)]

    def is_missing(self, key: str) -> str:
        """The SQL condition that a key is null, or NaN, which some writers put for a missing number."""
        column = self.column(key)
        return f"({column} IS NULL OR {is_nan(column)})" if self.type_of(key) in _FLOATS else f"({column} IS NULL)"

    def since_1970(self, name: str, unit: str) -> str:
        """A time column as SQL for a whole number of `unit` (`us` or `ns`) since 1970. Without a zone it is UTC. A
        timestamp that nanoseconds cannot hold is the nearest that they can."""
        column = self.comparable(name)
        if unit == "ns" and not self.type_of(name).endswith("_NS"):
            first, last = (self.timestamp_literal(name, end) for end in _NANOSECOND_RANGE)
            column = f"least(greatest({column}, {first}), {last})"
        return f"epoch_{unit}({column})"

    def timestamp_literal(self, name: str, timestamp: datetime) -> str:
        """A timestamp as SQL, to compare the time column `name` with. It is a constant, so DuckDB skips row groups."""
        timestamp = zoned(timestamp).astimezone(UTC)
        kind = self.type_of(name) if self.is_time(name) else "TIMESTAMPTZ"
        if kind.endswith("_NS"):
            timestamp = min(max(timestamp, _NANOSECOND_RANGE[0]), _NANOSECOND_RANGE[1])
        return f"CAST({literal(str(timestamp.replace(tzinfo=None)))} AS {kind})"

    def comparable(self, name: str) -> str:
        """A time column as SQL, in the type of `timestamp_literal`. Raises ValueError for a column of numbers."""
        column, kind = self.column(name), self.type_of(name)
        if self.is_time(name):
            return column
        if kind not in ("VARCHAR", NULL_TYPE):
            raise ValueError(
                f"The time column {name!r} of {self.path} holds {kind}. Write timestamps, or ISO 8601 texts."
            )
        if name not in self._parsed_names:
            self._require_timestamps(name)
        return f"CAST({column} AS TIMESTAMPTZ)"

    @cached_property
    def _parsed_names(self) -> set[str]:
        """The time columns of text that were read once, and hold timestamps alone."""
        return set()

    def _require_timestamps(self, name: str) -> None:
        is_wrong = f"{self.column(name)} IS NOT NULL AND try_cast({self.column(name)} AS TIMESTAMPTZ) IS NULL"
        query = f"SELECT {self.column(name)} FROM {self.relation} WHERE {is_wrong} LIMIT 1"
        for (text,) in self.connection.sql(query).fetchall():
            raise ValueError(
                f"The time column {name!r} of {self.path} holds {text!r}, which is no timestamp. Write ISO 8601 texts."
            )
        self._parsed_names.add(name)

    def is_time(self, name: str) -> bool:
        """Whether the column holds timestamps or dates, and neither text nor nulls alone."""
        return self.type_of(name).startswith(("TIMESTAMP", "DATE"))

    def between(self, name: str, start: datetime | None, end: datetime | None) -> str:
        """The SQL condition that the time column `name` is from `start` to `end`, both included. None is no limit."""
        bounds = [f"{self.comparable(name)} >= {self.timestamp_literal(name, start)}"] if start else []
        bounds += [f"{self.comparable(name)} <= {self.timestamp_literal(name, end)}"] if end else []
        return " AND ".join(bounds) or "true"

    def own_name(self, name: str) -> str:
        """The name that the files have for the column."""
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


def file_schema(path: str) -> pa.Schema:
    """The schema of the last file by name, which is the newest of daily files. A column that holds nulls alone there
    has its type from the newest file in which it holds more. Raises FileNotFoundError."""
    files = list_files(path)
    schema = pq.read_schema(files.pop())
    while files and pa.null() in schema.types:
        older = pq.read_schema(files.pop())
        for i, field in enumerate(schema):
            if field.type == pa.null() and field.name in older.names:
                schema = schema.set(i, field.with_type(older.field(field.name).type))
    return schema


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
