"""Raw events → feature tables, by the definitions of `features`, as the SQL of `jobs/batch/at_ticks.py`.

A run for an interval computes and replaces exactly the rows of (start, end]; run twice, it changes nothing.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb

from features.utc import utc_day
from features.windows.aggregation import AggregationTable, LastDistinctTable, Table
from jobs.batch import at_ticks, partitions
from jobs.batch.layout import Layout, microseconds
from jobs.raw import checks, places
from jobs.raw.relations import open_events
from root import Root

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A grid with a row for every tick is worth it up to so many times the ticks at which something happens.
DENSE_UP_TO = 4
Tell = Callable[[str], object]
Fold = Callable[[duckdb.DuckDBPyConnection, Layout, int | None, int], str]
"""From the view `event`, a table's rows dated since < t ≤ until (µs), as a relation."""


@dataclass(frozen=True)
class Report:
    """What a run did: events in, rows that stand in the interval now, days replaced, and how long it took."""

    table: str
    events: checks.Events
    out: partitions.Replaced
    seconds: float

    def __str__(self) -> str:
        extra = [
            f"{self.events.quarantined:,} bad rows quarantined" if self.events.quarantined else "",
            f"{self.events.repeated:,} repeated events counted once" if self.events.repeated else "",
            f"no column {', '.join(self.events.absent)}: what rests on it is missing" if self.events.absent else "",
        ]
        speed = f"{self.seconds:.1f} s, {self.events.rows / self.seconds:,.0f} rows/s"
        return (
            f"{self.table}: {self.events.rows:,} rows in, {self.out.rows:,} rows out, {self.out.replaced} partitions "
            f"replaced, {self.out.unchanged} unchanged, {speed}" + "".join(f"; {text}" for text in extra if text)
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
    engine: Fold | None = None,
) -> Report:
    """Compute one table's rows dated in (start, end]; without `start`, all of them up to `end`.

    `now` is what `created` says of rows whose values are new. `engine` folds an aggregation's events; by default DuckDB
    does. Raises NoData, BadInput, Busy.
    """
    began = time.perf_counter()
    directory = root.feature_table(table.name)
    files = places.raw_files(root, table.source.name) if files is None else files
    with partitions.connection(directory) as connected:
        tell("check")
        since, until = None if start is None else _us(start), _us(end)
        if isinstance(table, AggregationTable):
            layout = Layout(table)
            first = None if since is None else layout.first_event(since)
            events = open_events(connected, table, files, end, first, quarantine)
            tell("windows")
            rows = (engine or fold)(connected, layout, since, until)
            query, first_day = _finished(table, rows), date.min if start is None else utc_day(start + _DAY)
        else:
            events = open_events(connected, table, files, end, None, quarantine)
            tell("first sights")
            query, first_day = _last_distinct(table, since), date.min if start is None else utc_day(start)
        tell("write")
        out = partitions.replace(connected, query, directory, table.key, first_day, utc_day(end), now)
    return Report(table.name, events, out, time.perf_counter() - began)


_DAY = timedelta(days=1)


def _us(moment: datetime) -> int:
    return microseconds(moment - EPOCH)


def fold(connected: duckdb.DuckDBPyConnection, layout: Layout, since: int | None, until: int) -> str:
    connected.execute(f"CREATE OR REPLACE TEMP TABLE tile AS {at_ticks.tiles(layout)}")
    layout.is_dense = layout.can_be_dense and _is_dense_enough(connected, layout)
    return at_ticks.at_ticks(layout, since, until)


def _is_dense_enough(connected: duckdb.DuckDBPyConnection, layout: Layout) -> bool:
    """Whether the keys have events on so many days that a row for every day costs little."""
    tiles, ticks = connected.execute(
        f"SELECT coalesce(sum(n), 0), coalesce(sum(ticks), 0) FROM (SELECT count(*) AS n, "
        f"(max(t) - min(t) + {layout.longest}) // {layout.size} AS ticks FROM tile GROUP BY key)"
    ).fetchone() or (0, 0)
    return bool(ticks <= DENSE_UP_TO * tiles * (1 + len(layout.table.aggregations)))


def _finished(table: AggregationTable, rows: str) -> str:
    """The rows with the table's own names, its flags and `event_timestamp`."""
    values = ", ".join(a.name for a in table.aggregations)
    flags = "".join(f", CAST({f.aggregation} {f.operator} {f.bound} AS BIGINT) AS {f.name}" for f in table.flags)
    return f"SELECT key AS {table.key}, {values}{flags}, make_timestamptz(t) AS event_timestamp FROM ({rows})"


def _last_distinct(table: LastDistinctTable, since: int | None) -> str:
    key, value = table.key, f"c_{table.value}"
    return f"""
        WITH first_sight AS (
            SELECT key, {value} AS value, min(t) + 1 AS seen FROM event WHERE {value} IS NOT NULL GROUP BY ALL
        )
        SELECT key AS {key}, value AS {table.last}, lag(value) OVER by_sight AS {table.previous},
            make_timestamptz(seen) AS event_timestamp
        FROM first_sight WINDOW by_sight AS (PARTITION BY key ORDER BY seen, value)
        QUALIFY row_number() OVER (PARTITION BY key, seen ORDER BY value DESC) = 1 AND seen >= {since or 0}"""
