"""Raw events → feature tables, from the definitions in `features`, by the SQL of `jobs/batch/query.py`.

A run for an interval computes and replaces exactly the rows of (start, end]. A second run changes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

import duckdb

from features.utc import since_1970, utc_day
from features.windows.aggregation import TICK
from features.windows.tables import AggregationTable, Table
from jobs import sql
from jobs.batch import at_ticks, partitions, query
from jobs.batch.layout import Layout
from jobs.raw import checks, places
from jobs.raw.relations import open_events
from root import Root

#: A grid with a row for every tick is the faster one up to this many rows for each tick at which something happens.
DENSE_UP_TO = 4
Tell = Callable[[str], object]
Engine = Callable[[duckdb.DuckDBPyConnection, Layout, int | None, int], str]
"""Folds the view `event`: a table's rows dated since < t ≤ until (µs), as a relation with `key`, the values and `t`."""


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
    engine      folds an aggregation's events; by default `fold_in_duckdb`

    Raises NoData, BadInput, Busy.
    """
    began = time.perf_counter()
    directory = root.feature_table(table.name)
    files = places.raw_files(root, table.source.name) if files is None else files
    with partitions.connection(directory) as connection:
        tell("check")
        since, until = None if start is None else since_1970(start), since_1970(end)
        if isinstance(table, AggregationTable):
            layout = Layout(table)
            first = None if since is None else layout.first_event(since)
            events = open_events(connection, table, files, end, first, quarantine)
            tell("windows")
            rows = (engine or fold_in_duckdb)(connection, layout, since, until)
            table_query, first_day = query.finished(table, rows), date.min if start is None else utc_day(start + TICK)
        else:
            events = open_events(connection, table, files, end, None, quarantine)
            tell("first sights")
            table_query, first_day = query.last_distinct(table, since), date.min if start is None else utc_day(start)
        tell("write")
        out = partitions.replace(connection, table_query, directory, table.key, first_day, utc_day(end), now)
    return Report(table.name, events, out, time.perf_counter() - began)


def fold_in_duckdb(connection: duckdb.DuckDBPyConnection, layout: Layout, since: int | None, until: int) -> str:
    """The engine that is always there. The tiles go into a table, so that their number says which grid is faster."""
    connection.execute(f"CREATE OR REPLACE TEMP TABLE tile AS {at_ticks.tiles(layout)}")
    is_dense = layout.can_be_dense and _is_dense_enough(connection, layout)
    return at_ticks.at_ticks(replace(layout, is_dense=is_dense), since, until)


def _is_dense_enough(connection: duckdb.DuckDBPyConnection, layout: Layout) -> bool:
    """Whether the keys have events on so many days that a row for every day costs little."""
    tiles, ticks = sql.row(
        connection,
        f"SELECT coalesce(sum(n), 0), coalesce(sum(ticks), 0) FROM (SELECT count(*) AS n, "
        f"(max(t) - min(t) + {layout.longest}) // {layout.size} AS ticks FROM tile GROUP BY key)",
    )
    return bool(ticks <= DENSE_UP_TO * tiles * (1 + len(layout.table.aggregations)))
