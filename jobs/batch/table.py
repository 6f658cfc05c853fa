"""Raw events → feature tables, from the definitions in `features`, by the SQL of `jobs/batch/query.py`.

A run for an interval computes and replaces exactly the rows of (start, end]. A second run changes nothing.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import duckdb

from features.utc import MICROSECOND, midnight, since_1970
from features.windows.aggregation import TICK
from features.windows.tables import AggregationTable, Table
from jobs import sql
from jobs.batch import at_ticks, partitions, query
from jobs.batch.layout import Layout
from jobs.raw import checks, places
from jobs.raw.relations import open_events
from root import Root

Tell = Callable[[str], object]


class Run(Protocol):
    """One computation of a feature table. Queries are DuckDB's SQL, whatever runs them."""

    def events(
        self, table: Table, files: list[Path], end: datetime, first: int | None, quarantine: Path | None
    ) -> checks.Counts:
        """Check the input, and make the relation `event` of it, as `open_events`."""

    def fold(self, layout: Layout, since: int | None, until: int) -> str:
        """SELECT a table's rows dated since < t ≤ until (µs): `key`, the values and `t`."""

    def replace(
        self, query: str, directory: Path, key: str, since: datetime | None, until: datetime, now: datetime
    ) -> partitions.Replaced:
        """As `partitions.replace`."""


Engine = Callable[[Path], AbstractContextManager[Run]]
"""Begins a computation of the table in a folder, with the lock on it. Raises Busy."""


@dataclass(frozen=True)
class Report:
    """What a run did: the events that it read, the partitions that it wrote, and how long it took."""

    table: str
    events: checks.Counts
    out: partitions.Replaced
    seconds: float

    def __str__(self) -> str:
        remarks = [
            f"{self.events.quarantined:,} bad rows quarantined" if self.events.quarantined else "",
            f"{self.events.repeated:,} repeated events counted once" if self.events.repeated else "",
            f"no column {', '.join(self.events.absent)}: what rests on it is missing" if self.events.absent else "",
        ]
        speed = f"{self.seconds:.1f} s, {self.events.rows / self.seconds:,.0f} rows/s"
        return (
            f"{self.table}: {self.events.rows:,} rows in, {self.out.rows:,} rows out, {self.out.replaced} partitions "
            f"replaced, {self.out.unchanged} unchanged, {speed}" + "".join(f"; {text}" for text in remarks if text)
        )


def compute(
    root: Root,
    table: Table,
    end: datetime,
    now: datetime,
    start: datetime | None = None,
    files: list[Path] | None = None,
    quarantine: Path | None = None,
    tell: Tell = lambda step: None,
    engine: Engine | None = None,
) -> Report:
    """Compute a table's rows dated in (start, end]; without `start`, all of them up to `end`.

    now         what `created` says of rows whose values are new
    files       the raw events; by default those of `root`
    quarantine  a file for the invalid rows; without it, they stop the job
    tell        is called with each step that begins
    engine      what computes; by default DuckDB, in this process

    Raises NoData, BadInput, Busy; on Spark BadParameter, too.
    """
    began = time.perf_counter()
    directory = root.feature_table(table.name)
    files = places.raw_files(root, table.source.name) if files is None else files
    with (engine or in_duckdb)(directory) as run:
        tell("check")
        since, until = None if start is None else since_1970(start), since_1970(end)
        if isinstance(table, AggregationTable):
            layout, first = Layout(table), None if start is None else midnight(start + TICK)
            events = run.events(table, files, end, None if since is None else layout.first_event(since), quarantine)
            tell("windows")
            table_query = query.finished(table, run.fold(layout, since, until))
        else:
            first = None if start is None else start + MICROSECOND
            events = run.events(table, files, end, None, quarantine)
            tell("first sights")
            table_query = query.last_distinct(table, None if first is None else since_1970(first))
        tell("write")
        out = run.replace(table_query, directory, table.key, first, end, now)
    return Report(table.name, events, out, time.perf_counter() - began)


@contextmanager
def in_duckdb(directory: Path) -> Iterator[Run]:
    """The engine that is always there."""
    with partitions.connection(directory) as connection:
        yield _DuckdbRun(connection)


@dataclass(frozen=True)
class _DuckdbRun:
    """A `Run` in this process. The tiles go into a table, so that their number says which grid is faster, and the grid
    into one that is sorted once. DuckDB reads a table in its order where a window has no other."""

    connection: duckdb.DuckDBPyConnection

    def events(
        self, table: Table, files: list[Path], end: datetime, first: int | None, quarantine: Path | None
    ) -> checks.Counts:
        return open_events(self.connection, table, files, end, first, quarantine)

    def fold(self, layout: Layout, since: int | None, until: int) -> str:
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE tile AS {at_ticks.tiles(layout)}")
        if layout.can_be_dense:
            (is_dense,) = sql.row(self.connection, at_ticks.is_dense_enough(layout))
            layout = replace(layout, is_dense=is_dense)
        grid = at_ticks.grid(layout, since, until)
        self.connection.execute(f"CREATE OR REPLACE TEMP TABLE grid AS {grid} ORDER BY key, t; DROP TABLE tile")
        layout = replace(layout, in_order=True)
        return " UNION ALL ".join(f"({at_ticks.at_ticks(layout, since, until, rows)})" for rows in self._shares())

    def _shares(self) -> list[str]:
        """The grid in parts with all rows of their keys, one for each thread of DuckDB, which reads it in order."""
        threads, rows = sql.row(self.connection, "SELECT current_setting('threads')::BIGINT, count(*) FROM grid")
        cuts = ", ".join(str(rows * share // threads) for share in range(threads))
        begins = self.connection.execute(
            f"SELECT min(rowid) FROM grid WHERE key IN (SELECT key FROM grid WHERE rowid IN ({cuts})) GROUP BY key"
        ).fetchall()
        edges = [*sorted(begin for (begin,) in begins or [(0,)]), rows]
        return [f"(FROM grid WHERE rowid >= {begin} AND rowid < {end})" for begin, end in pairwise(edges)]

    def replace(
        self, query: str, directory: Path, key: str, since: datetime | None, until: datetime, now: datetime
    ) -> partitions.Replaced:
        return partitions.replace(self.connection, query, directory, key, since, until, now)
