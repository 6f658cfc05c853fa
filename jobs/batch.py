"""Raw events → feature tables. The definitions are those of `features`; here they become SQL on DuckDB.

A run for an interval computes and replaces exactly the days of that interval; run twice, it changes nothing.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import settings
from features.aggregation import TICK, AggregationTable, LastDistinctTable, Table
from features.moments import midnight, utc_day
from jobs import partitions

#: The SQL of each fold of `features.aggregation`. Doubles are added in the order of the events' times: in the order in
#: which threads meet them, the last digit would be another one each day.
SQL = {
    "count": "count({column}) {in_window}",
    "sum": "coalesce(sum({column} {in_order}) {in_window}, 0)",
    "mean": "sum({column} {in_order}) {in_window} / count({column}) {in_window}",
}


@dataclass(frozen=True)
class Report:
    """`skipped` events have no key, no time, or nobody knows when they came; they are counted, never guessed."""

    table: str
    rows: int
    skipped: int


def run(table: Table, until: datetime, since: datetime | None = None) -> Report:
    """Compute one table's rows dated since..until; without `since`, all of them anew. Raises NoData."""
    connection = partitions.connect()
    source = partitions.raw(table.source)
    connection.execute(
        # Nanoseconds become microseconds; a time without a zone is UTC.
        "CREATE TEMP VIEW event AS FROM (SELECT * REPLACE (event_timestamp::TIMESTAMPTZ AS event_timestamp, "
        f"created::TIMESTAMPTZ AS created) FROM {partitions.files(source)}) "
        f"WHERE {table.key} IS NOT NULL AND event_timestamp IS NOT NULL "
        f"AND created <= {_moment(until)} AND event_timestamp < {_moment(until)}"
    )
    first, skipped = connection.execute(
        f"SELECT (SELECT min(event_timestamp) FROM event), count(*) FROM {partitions.files(source)} "
        f"WHERE {table.key} IS NULL OR event_timestamp IS NULL OR created IS NULL"
    ).fetchone() or (None, 0)
    start = midnight(since or first or until)
    query = _aggregations(table, start, until) if isinstance(table, AggregationTable) else _last_distinct(table, start)
    first_day = start.date() if since else date.min
    directory, last_day = settings.feature_table(table.name), utc_day(until)
    rows = partitions.replace(connection, query, directory, first_day, last_day)
    return Report(table.name, rows, skipped)


def _moment(moment: datetime) -> str:
    return f"TIMESTAMPTZ '{moment.astimezone(UTC).isoformat()}'"


def _interval(length: timedelta) -> str:
    return f"INTERVAL {length // timedelta(microseconds=1)} MICROSECONDS"


def _aggregations(table: AggregationTable, start: datetime, until: datetime) -> str:
    """At each tick t, fold the events with t − window ≤ time < t; then the first empty tick of each key.

    `created` is when the last event that a row rests on was known, never before the tick itself, so a replay
    of history gives the same rows and a point-in-time join can ask what was known at the moment.
    """
    longest = max(a.window for a in table.aggregations)
    folds = ", ".join(
        SQL[a.function].format(
            column=a.column or "*",
            in_order=f"ORDER BY event_timestamp, {a.column}",
            in_window=f"FILTER (WHERE event_timestamp >= tick - {_interval(a.window)})",
        )
        + f" AS {a.name}"
        for a in table.aggregations
    )
    empty = ", ".join(f"{'NULL' if a.empty is None else a.empty} AS {a.name}" for a in table.aggregations)
    flags = "".join(f", CAST({f.aggregation} {f.operator} {f.bound} AS BIGINT) AS {f.name}" for f in table.flags)
    key = table.key
    return f"""
        WITH tick AS (
            SELECT unnest(generate_series({_moment(start - TICK)}, {_moment(until)}, {_interval(TICK)})) AS tick
        ), full_row AS (
            SELECT {key}, tick, greatest(tick, max(created)) AS created, {folds}
            FROM event JOIN tick ON event_timestamp >= tick - {_interval(longest)} AND event_timestamp < tick
            GROUP BY {key}, tick
        ), empty_row AS (
            SELECT {key}, tick + {_interval(TICK)} AS tick, tick + {_interval(TICK)} AS created, {empty} FROM full_row
            WHERE tick + {_interval(TICK)} <= {_moment(until)}
        ), every_row AS (
            SELECT * FROM full_row
            UNION ALL BY NAME SELECT * FROM empty_row ANTI JOIN full_row USING ({key}, tick)
        )
        SELECT * EXCLUDE (tick){flags}, tick AS event_timestamp FROM every_row WHERE tick >= {_moment(start)}"""


def _last_distinct(table: LastDistinctTable, start: datetime) -> str:
    key, value = table.key, table.value
    return f"""
        WITH first_sight AS (
            SELECT {key}, {value}, min(event_timestamp) + INTERVAL 1 MICROSECOND AS seen, min(created) AS created
            FROM event WHERE {value} IS NOT NULL GROUP BY {key}, {value}
        )
        SELECT {key}, {value} AS {table.last}, lag({value}) OVER by_sight AS {table.previous}, seen AS event_timestamp,
            greatest(seen, max(created) OVER by_sight) AS created
        FROM first_sight WINDOW by_sight AS (PARTITION BY {key} ORDER BY seen, {value})
        QUALIFY row_number() OVER (PARTITION BY {key}, seen ORDER BY {value} DESC) = 1 AND seen >= {_moment(start)}"""
