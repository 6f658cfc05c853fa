"""What a feature folds, by a plain loop over the raw events of the root."""

from datetime import datetime
from functools import cache
from typing import Any

import oracle
import pyarrow.parquet as pq

import settings
from features.utc import MICROSECOND, since_1970
from features.windows.raw import RawTable
from features.windows.tables import AggregationTable
from features.windows.tiles import SLACK_US
from jobs.batch.folded import Folded
from jobs.raw import places


@cache
def raw_rows(source: RawTable) -> list[dict[str, Any]]:
    """Every raw row of the module's root, as the oracle wants it."""
    rows = []
    for file in places.raw_files(settings.root(), source.name):
        for number, row in enumerate(pq.read_table(file, partitioning=None).to_pylist()):
            row |= {derived.name: derived.value(row) for derived in source.derived}
            row["id"] = row[source.id] if source.id else f"{file} {number}"
            row["at"], row["created"] = row[source.time], row.get(source.created_column or "")
            rows.append(row)
    return rows


def once(table: AggregationTable, key: tuple[Any, ...], known: datetime) -> list[dict[str, Any]]:
    """The events that had the key at any time, as they were known: the key, too, is that of the last version that names
    it."""
    pairs = list(zip(table.keys, key, strict=True))
    rows = raw_rows(table.source)
    ids = {row["id"] for row in rows if any(row.get(column) == value for column, value in pairs)}
    events = [dict(event) for event in oracle.once([row for row in rows if row["id"] in ids], known)]
    for event in events:
        event["key"] = tuple(event.get(name) for name in table.keys)
    return events


def check(folds: Folded, table: AggregationTable, key: tuple[Any, ...], at: datetime, known: datetime) -> None:
    """Windows and values are those of a loop over the events."""
    events = once(table, key, known)
    for a in table.aggregations:
        inside = oracle.window(a, events, table.event_time, key, at)
        counted = [e for e in inside if a.column is None or a.outcome or e[a.column] is not None]
        counted = counted if a.n is None else counted[-a.n :]
        window = folds.windows[a.name]
        assert window.events == len(counted)
        newest = [(since_1970(e[table.event_time]), e["id"] if table.source.id else None) for e in counted[::-1][:10]]
        assert list(window.newest) == newest
        assert window.until == since_1970(at - a.delay)
        begin = None if a.window is None else since_1970(oracle.floor(at - a.delay - a.window, a.old_edge_hop))
        assert window.since == begin
        assert folds.values[a.name] == oracle.value(a, events, table.event_time, key, at)
    assert len(folds.windows) == len(table.aggregations) + len(table.flags)


def answered(table: AggregationTable, key: tuple[Any, ...], as_of: datetime, known: datetime) -> datetime:
    """The first timestamp, from `as_of` on, that a state of these events answers."""
    events = [event for event in once(table, key, known) if event["key"] == key]
    times = [e[column] for e in events for column in (table.event_time, table.outcome) if column and e[column]]
    return max([as_of, *(time - SLACK_US * MICROSECOND for time in times)])
