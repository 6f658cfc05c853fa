"""The rows of a feature table, with its own names, as SQL over the relation `event` of `jobs/raw/relations.py`."""

from datetime import datetime

from features.utc import since_1970
from features.windows.tables import AggregationTable, LastDistinctTable, Table
from jobs import sql
from jobs.batch import at_ticks
from jobs.batch.layout import Layout
from jobs.raw.relations import cell


def printed(table: Table, until: datetime) -> str:
    """The one query that a feature table becomes, formatted: its rows dated up to `until`. It runs on DuckDB, over the
    relation `event` that `jobs.raw.relations.open_events` makes."""
    import sqlglot  # it takes a third of a second, and no run needs it

    query = sqlglot.transpile(whole(table, since_1970(until)), read="duckdb", write="duckdb", pretty=True)[0]
    return f"""-- {table.name}: {table.description}
-- The rows dated up to {until.isoformat()}. The relation event has the checked events of raw/{table.source.name}:
-- key; t, the event time in µs since 1970; tie, the id; and each column that is folded, as c_<column>.
{query};"""


def whole(table: Table, until: int) -> str:
    """All rows dated up to `until`, µs."""
    if not isinstance(table, AggregationTable):
        return last_distinct(table, None)
    layout = Layout(table)
    layout = Layout(table, is_dense=layout.can_be_dense)
    relations = f"tile AS ({at_ticks.tiles(layout)}), grid AS ({at_ticks.grid(layout, None, until)})"
    return f"WITH {relations} {finished(table, at_ticks.at_ticks(layout, None, until))}"


def finished(table: AggregationTable, rows: str) -> str:
    """Rows of `at_ticks` with the table's own names, its flags and `event_timestamp`."""
    values = ", ".join(sql.identifier(a.name) for a in table.aggregations)
    flags = "".join(f", {flag.sql} AS {sql.identifier(flag.name)}" for flag in table.flags)
    key = sql.identifier(table.key)
    return f"SELECT key AS {key}, {values}{flags}, make_timestamptz(t) AS event_timestamp FROM ({rows})"


def last_distinct(table: LastDistinctTable, since: int | None) -> str:
    """Rows dated from `since` (µs) on: one where a value was first seen with a key."""
    key, value = sql.identifier(table.key), cell(table.value)
    return f"""
        WITH first_sight AS (
            SELECT key, {value} AS value, min(t) + 1 AS seen FROM event WHERE {value} IS NOT NULL GROUP BY ALL
        )
        SELECT key AS {key}, value AS {sql.identifier(table.last)},
            lag(value) OVER by_sight AS {sql.identifier(table.previous)},
            make_timestamptz(seen) AS event_timestamp
        FROM first_sight WINDOW by_sight AS (PARTITION BY key ORDER BY seen, value)
        QUALIFY row_number() OVER (PARTITION BY key, seen ORDER BY value DESC) = 1 AND seen >= {since or 0}"""
