"""A table's features at given timestamps, exactly, from what was known at each: for training, for backtests, and to
compare with what was served. An event counts if it had happened, and was known, by then; of its versions, the one that
was known then."""

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.utc import EPOCH, MICROSECOND
from features.windows.aggregation import Aggregation
from features.windows.live import is_offset, seen_of
from features.windows.tables import AggregationTable
from features.windows.tiles import AHEAD_US, SLACK_US
from jobs import sql
from jobs.batch import intervals, states
from jobs.batch.layout import microseconds, old_edge
from jobs.raw import keyed_log, places
from jobs.raw.relations import cell, key_of, open_events
from root import Root


def at_moments(
    root: Root,
    table: AggregationTable,
    entity_frame: pd.DataFrame,
    files: list[Path] | None = None,
    quarantine: Path | None = None,
) -> pd.DataFrame:
    """The rows of `entity_frame` in their order, with the table's features as further columns.

    `entity_frame` has the table's keys and `event_timestamp` (UTC). A column `<table>_seen` (µs since 1970, or an
    offset; null for nothing) says up to when events were known, if that is not `event_timestamp`. `files`: the raw
    events; by default those of `root`. Invalid ones go to `quarantine`; without it they are an error. Where events are
    known by offset, they are those of the keyed log. Raises NoData, BadInput.
    """
    has_seen = seen_of(table) in entity_frame
    timestamps = entity_frame["event_timestamp"].dt.as_unit("us").astype("int64")
    known = entity_frame[seen_of(table)].astype("Int64").fillna(-1) if has_seen else timestamps
    keys = {f"k{i}": pa.Array.from_pandas(entity_frame[name]) for i, name in enumerate(table.keys)}
    requests = pa.table({"nth": np.arange(len(entity_frame)), "t": timestamps, "known": known, **keys})
    is_by_offset = np.zeros(len(entity_frame), bool)
    if has_seen:
        values = zip(*(column.to_pylist() for column in keys.values()), strict=True)
        is_by_offset[:] = [is_offset(table, key, version) for version, key in zip(known, values, strict=True)]
    by_offset = pa.array(is_by_offset)
    newest_us = max(timestamps.max(), known.max()) + AHEAD_US if len(entity_frame) else 0
    until = EPOCH + int(newest_us) * MICROSECOND
    parts = []
    with sql.connect() as connection:
        if by_offset.true_count:
            keyed_log.open_rows(connection, root, table)
            parts.append(_joined(connection, table, requests.filter(by_offset), has_seen))
        if by_offset.true_count < len(requests) or not len(requests):
            files = places.raw_files(root, table.source.name) if files is None else files
            open_events(connection, table, files, until, quarantine=quarantine, versions=True)
            parts.append(_joined(connection, table, requests.filter(pc.invert(by_offset)), has_seen))
    features = parts[0] if len(parts) == 1 else pd.concat(parts)
    return entity_frame.reset_index(drop=True).join(features.set_index("nth"))


def _joined(
    connection: duckdb.DuckDBPyConnection, table: AggregationTable, requests: pa.Table, has_seen: bool
) -> pd.DataFrame:
    """`nth` and the features of requests, over the relation `event`."""
    connection.register("requests", requests)
    if has_seen or not len(requests) or not intervals.takes(table):
        return connection.execute(f"{valued(table, has_seen)} ORDER BY nth").df()
    reach, timestamps = _longest_reach(table), requests["t"]
    first, last = (pc.min(timestamps).as_py(), pc.max(timestamps).as_py())
    where = f"t < {last}" + ("" if reach is None else f" AND t >= {first - reach}")
    moments, late = intervals.fold(connection, table, answered(table, has_seen), where)
    is_late = pc.is_in(requests["nth"], late)
    results = []
    for chosen, query in ((pc.invert(is_late), _valued(table, moments)), (is_late, valued(table, has_seen))):
        if pc.any(chosen).as_py():
            connection.register("requests", requests.filter(chosen))
            results.append(connection.execute(f"{query} ORDER BY nth").df())
    return pd.concat(results)


def records_at_moments(
    root: Root, table: AggregationTable, entity_frame: pd.DataFrame, quarantine: Path | None = None
) -> list[dict[str, Any]]:
    """The features alone, row by row, None where one is missing. Raises NoData, BadInput."""
    features = at_moments(root, table, entity_frame, quarantine=quarantine)[list(table.empty)].astype(object)
    return features.where(features.notna(), None).to_dict("records")


def valued(table: AggregationTable, has_seen: bool) -> str:
    """SELECT `nth` and the table's features, over the relations `event` and `requests`: `nth`, `t`, `known` (µs) and
    the parts of the key, `k0` and so on. With `has_seen`, at the timestamps that a live state answers."""
    folded = [f"{_state(a, part)} AS s{i}" for i, (a, part) in enumerate(states.parts(table))]
    if any(a.outcome for a in table.aggregations):
        folded.append("any_value(request_t) AS request_t")
    return _valued(table, f"SELECT nth, {', '.join(folded)} FROM ({known_events(table, has_seen)}) GROUP BY nth")


def _valued(table: AggregationTable, by_request: str) -> str:
    """SELECT `nth` and the table's features of the relation `requests`, from a query of `nth`, `request_t` and the
    states `s0`, `s1`, … in the order of `states.parts`."""
    columns: dict[str, dict[str, str]] = {a.name: {} for a in table.aggregations}
    for i, (a, part) in enumerate(states.parts(table)):
        columns[a.name][part] = f"s{i}"
    values = [
        f"{states.value(a, columns[a.name], 'request_t')} AS {sql.identifier(a.name)}" for a in table.aggregations
    ]
    flags = [f"{flag.sql} AS {sql.identifier(flag.name)}" for flag in table.flags]
    query = f"SELECT nth, {', '.join(values)} FROM (SELECT nth FROM requests) LEFT JOIN ({by_request}) USING (nth)"
    return f"SELECT *{''.join(', ' + flag for flag in flags)} FROM ({query})"


def known_events(table: AggregationTable, has_seen: bool) -> str:
    """SELECT the events that had happened and were known at each request, as they were known: `nth`, `request_t` and
    the columns of `event`."""
    reach = _longest_reach(table)
    oldest = "" if reach is None else f"AND e.t >= r.t - {reach}"
    return (
        f"SELECT r.nth, r.t AS request_t, e.* FROM ({answered(table, has_seen)}) r "
        f"JOIN event e ON e.key = r.key AND e.t < r.t AND e.created <= r.known "
        f"AND (e.superseded IS NULL OR e.superseded > r.known) {oldest}"
    )


def _longest_reach(table: AggregationTable) -> int | None:
    """No event further back counts, µs; None: any may."""
    reaches = [microseconds(a.reach + a.old_edge_hop) for a in table.aggregations if a.window is not None]
    return max(reaches) if len(reaches) == len(table.aggregations) else None


def answered(table: AggregationTable, has_seen: bool) -> str:
    """SELECT the requests, `nth`, `t`, `known` and `key`; with `has_seen`, at the timestamps that a live state answers:
    where it answers only later ones, at the first."""
    key = key_of([f"k{i}" for i in range(len(table.keys))])
    requests = f"SELECT nth, t, known, {key} AS key FROM requests"
    return _answerable(table, requests) if has_seen else requests


def _answerable(table: AggregationTable, requests: str) -> str:
    newest = f"greatest(e.t, coalesce({cell(table.outcome)}, 0))" if table.outcome else "e.t"
    known = f"JOIN event e ON e.key = r.key AND e.created <= r.known AND {newest} - {SLACK_US} > r.t"
    first = f"SELECT r.nth, max({newest}) - {SLACK_US} AS first FROM ({requests}) r {known} GROUP BY r.nth"
    return f"SELECT nth, coalesce(first, t) AS t, known, key FROM ({requests}) LEFT JOIN ({first}) USING (nth)"


def _state(a: Aggregation, part: str) -> str:
    """A part of the state of the events in the window, as SQL over them and their request's timestamp, `request_t`."""
    inside = in_window(a)
    if part not in a.record.states:
        return states.known_outcomes(a, [*inside, f"{cell(a.outcome or '')} < request_t"])
    return states.states(a, inside)[part]


def in_window(a: Aggregation) -> list[str]:
    """SQL conditions: that an event of `known_events` is in the window."""
    inside = [f"t < request_t - {microseconds(a.delay)}"] if a.delay else []
    return inside if a.window is None else [*inside, f"t >= {old_edge('request_t', a)}"]
