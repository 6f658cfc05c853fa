"""What runs our SQL over raw files: DuckDB in this process, or Spark (`jobs/batch/spark/reader.py`). For both, the SQL
is DuckDB's."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import duckdb
import pyarrow as pa

from jobs import sql
from jobs.raw.forms import scans
from jobs.raw.forms.scans import FILE, PLACE, Scan
from jobs.raw.forms.text_files import TextFile

_BATCH_ROWS = 100_000
_PLACES = ", ".join(map(sql.identifier, (FILE, PLACE)))
#: SQL: every column as text, but those that say where a row lies.
TEXTS = f"COLUMNS(* EXCLUDE ({_PLACES}))::VARCHAR"


class Reader(Protocol):
    """Reads raw files, and answers queries over them."""

    def scans(self, files: Iterable[Path]) -> list[Scan]:
        """Every row of the files. Raises BadInput."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query that has few, such as a count."""

    def write(self, queries: Sequence[str], target: TextFile) -> int:
        """Write the rows of the queries as text, one query after the other, each in the order of its columns `FILE` and
        `PLACE`, which are not written. Returns how many rows these are."""


@dataclass(frozen=True)
class DuckdbReader:
    """Reads by a DuckDB in UTC."""

    connection: duckdb.DuckDBPyConnection

    def scans(self, files: Iterable[Path]) -> list[Scan]:
        """As `Reader`."""
        return scans.scans(self.connection, files)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """As `Reader`."""
        return self.connection.execute(query).fetchall()

    def write(self, queries: Sequence[str], target: TextFile) -> int:
        """As `Reader`."""
        return target.write(chain.from_iterable(map(self._batches, queries)))

    def _batches(self, query: str) -> Iterator[pa.RecordBatch]:
        self.connection.complete()  # the result of a query that was read by fetchone
        return self.connection.sql(f"SELECT {TEXTS} FROM ({query}) ORDER BY {_PLACES}").to_arrow_reader(_BATCH_ROWS)
