"""A table's features at given moments, exactly, by what was known at each: for training, for backtests, and to hold to
it what was served. An event counts if it had happened, and was learned of, by then; of its versions, the one known
then."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from features.utc import EPOCH, MICROSECOND
from features.windows.aggregation import Aggregation, AggregationTable
from features.windows.live import seen_of
from features.windows.tiles import AHEAD, SLACK
from jobs import sql
from jobs.batch import at_ticks
from jobs.batch.layout import microseconds
from jobs.raw import places
from jobs.raw.relations import open_events
from root import Root


def at_moments(
    root: Root, table: AggregationTable, asked: pd.DataFrame, files: list[Path] | None = None
) -> pd.DataFrame:
    """`asked` has the table's keys and `event_timestamp` (UTC); and if what was learned up to another moment counts,
    that as `<table>_seen`, µs since 1970, null for nothing. The answer has the same rows in the same order, and the
    features as columns. Raises NoData, BadInput.
    """
    files = places.raw_files(root, table.source.name) if files is None else files
    moments = asked["event_timestamp"].dt.as_unit("us").astype("int64")
    known = asked[seen_of(table)].astype("Int64").fillna(-1) if seen_of(table) in asked else moments
    keys = [pa.Array.from_pandas(asked[name]) for name in table.keys]
    relation = {"ask": range(len(asked)), "t": moments, "known": known, **{f"k{i}": key for i, key in enumerate(keys)}}
    with sql.connect() as connected:
        last = EPOCH + (int(max(moments.max(), known.max())) + AHEAD) * MICROSECOND if len(asked) else EPOCH
        open_events(connected, table, files, last, versions=True)
        connected.register("asked", pa.table(relation))
        found = connected.execute(f"{_query(table, seen_of(table) in asked)} ORDER BY ask").df()
    return asked.reset_index(drop=True).join(found.drop(columns="ask"))


def records_at_moments(root: Root, table: AggregationTable, asked: pd.DataFrame) -> list[dict[str, Any]]:
    """The features alone, row by row, None where one is missing."""
    found = at_moments(root, table, asked)[list(table.empty)].astype(object)
    return found.where(found.notna(), None).to_dict("records")


def _query(table: AggregationTable, has_seen: bool) -> str:
    states: list[str] = []
    values: list[str] = []
    for a in table.aggregations:
        role = {}
        for name, state in _states(a):
            role[name] = f"s{len(states)}"
            states.append(f"{state} AS {role[name]}")
        values.append(f"{at_ticks.value(a, role)} AS {a.name}")
    flags = [f"CAST({f.aggregation} {f.operator} {f.bound} AS BIGINT) AS {f.name}" for f in table.flags]
    parts = [f"k{i}" for i in range(len(table.keys))]
    key = parts[0] if len(parts) == 1 else f"[{', '.join(parts)}]"
    reaches = [microseconds(a.reach + a.old_edge_hop) for a in table.aggregations if a.window is not None]
    oldest = f"AND e.t >= a.t - {max(reaches)}" if len(reaches) == len(table.aggregations) else ""
    asked = f"SELECT ask, t, known, {key} AS key FROM asked"
    if has_seen:
        asked = _answered(table, asked)
    inside = (
        f"SELECT a.ask, a.t AS moment, e.* FROM ({asked}) a "
        f"JOIN event e ON e.key = a.key AND e.t < a.t AND e.created <= a.known "
        f"AND (e.superseded IS NULL OR e.superseded > a.known) {oldest}"
    )
    folded = f"SELECT ask, {', '.join(states)} FROM ({inside}) GROUP BY ask"
    valued = f"SELECT ask, {', '.join(values)} FROM (SELECT ask FROM asked) LEFT JOIN ({folded}) USING (ask)"
    return f"SELECT *{''.join(', ' + flag for flag in flags)} FROM ({valued})"


def _answered(table: AggregationTable, asked: str) -> str:
    """The moments asked about; or where a live state answers only later ones, the first of these."""
    newest = f"greatest(e.t, coalesce(c_{table.outcome}, 0))" if table.outcome else "e.t"
    known = f"JOIN event e ON e.key = a.key AND e.created <= a.known AND {newest} - {SLACK} > a.t"
    first = f"SELECT a.ask, max({newest}) - {SLACK} AS first FROM ({asked}) a {known} GROUP BY a.ask"
    return f"SELECT ask, coalesce(first, t) AS t, known, key FROM ({asked}) LEFT JOIN ({first}) USING (ask)"


def _states(a: Aggregation) -> Iterator[tuple[str, str]]:
    """Role → the state of the events in the window, as SQL over them and their `moment`."""
    delay, reach, hop = microseconds(a.delay), microseconds(a.reach), microseconds(a.old_edge_hop)
    inside = [f"t < moment - {delay}"] if delay else []
    if a.window is not None:
        inside.append(f"t >= (moment - {reach}){f' // {hop} * {hop}' if hop else ''}")
    for role, (state, _) in at_ticks.states(a, inside).items():
        yield role, f"[{state}]" if role == "l" else state
    if a.function == "rate":
        came = [*inside, *at_ticks.where(a), f"c_{a.column} < moment"]
        yield "came", f"count(*) FILTER (WHERE {' AND '.join(came)})"
