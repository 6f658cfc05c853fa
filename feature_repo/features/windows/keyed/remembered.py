"""What is remembered of one event, and the rows of keyed topics that its versions become."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic_core import from_json, to_json

from features.utc import MICROSECOND
from features.windows import events
from features.windows.events import Change, Event, Key, Row
from features.windows.raw import RawTable
from features.windows.state import LiveTable
from features.windows.tables import AggregationTable

DAY_US = timedelta(days=1) // MICROSECOND


def remember(raw: RawTable, kept: Event | None, row: Row, offset: int) -> tuple[Event, Change | None]:
    """Process a row of one event, in the order of offsets. Returns what to keep of the event, and the change: the event
    before the row, None for a new one, and after it. No change: the row is a duplicate, or was processed before.

    `row`: column → value, timestamps in µs since 1970; a missing column is one that the row does not fill.

    >>> from features.windows import Column
    >>> raw = RawTable("orders", (Column("id", "string"), Column("paid", "timestamp")), time="at", id="id")
    >>> kept, change = remember(raw, None, {"id": "o1", "at": 5}, 0)
    >>> kept, change = remember(raw, kept, {"id": "o1", "at": 5, "paid": 9}, 1)
    >>> change[1], remember(raw, kept, {"id": "o1", "at": 5, "paid": 9}, 2)[1]
    ({'at': 5, 'id': 'o1', 'paid': 9}, None)
    """
    row = {name: row.get(name) for name in raw.sent_columns}
    if kept is None:
        row |= {derived.name: derived.value(row) for derived in raw.derived}
        return Event(row, offset), (None, row)
    event = kept.with_version(raw, row, offset, True)  # what became known at an older offset changes nothing
    return (kept, None) if event is None else (event, (kept.row, event.row))


def event_to_bytes(event: Event) -> bytes:
    """The columns that are filled, and when they were."""
    return to_json((event.known, {name: value for name, value in event.row.items() if value is not None}))


def event_from_bytes(raw: RawTable, text: bytes) -> Event:
    """What `event_to_bytes` had. A column that was declared since is missing."""
    known, filled = from_json(text)
    row = {name: filled.get(name) for name in raw.sent_columns}
    row |= {derived.name: derived.value(row) for derived in raw.derived}
    if isinstance(known, dict):
        known = {name: known.get(name, min(known.values())) for name in raw.sent_columns}
    return Event(row, known)


def reached(tables: Iterable[LiveTable], newest: int) -> int:
    """Events whose timestamps are all before it are forgotten, µs since 1970: no window has reached them in the day
    before `newest`. An event that is forgotten, and sent again, is a new one."""
    return min(live.reached(newest - DAY_US) for live in tables)


def forget_event(raw: RawTable, tables: tuple[AggregationTable, ...], kept: Event, reached: int) -> Event | None:
    """None where all timestamps of an event are before `reached`, µs since 1970."""
    return None if events.newest(raw, tables)(kept.row) < reached else kept


@dataclass(frozen=True)
class KeyedTables:
    """The live tables of a stream that have the same key columns, and so share a keyed topic.

    keys      the key columns
    live      the tables
    columns   those that the rows of the topic have
    """

    keys: tuple[str, ...]
    live: tuple[LiveTable, ...]
    columns: tuple[str, ...]

    def rows(self, change: Change) -> list[tuple[Key, Change]]:
        """The rows that a change of an event is in the keyed topic: each a key, and the event before and after, as far
        as it has that key. There is none for a key to whose tables the change means nothing."""
        changed = [entries for live in self.live for entries in events.by_key(live, [change])]
        keys = dict.fromkeys(key for entries in changed for key in entries)
        before, after = change
        return [(key, (self._at(key, before), self._at(key, after))) for key in keys]

    def _at(self, key: Key, row: Row | None) -> Row | None:
        if row is None or self.live[0].key(row) != key:
            return None
        return {name: row[name] for name in self.columns}


def by_keys(raw: RawTable, tables: Sequence[AggregationTable]) -> tuple[KeyedTables, ...]:
    """The tables of a stream, by their key columns."""
    groups: dict[tuple[str, ...], list[LiveTable]] = {}
    for live in map(LiveTable, tables):
        groups.setdefault(live.table.keys, []).append(live)
    return tuple(KeyedTables(keys, tuple(group), _columns(raw, keys, group)) for keys, group in groups.items())


def _columns(raw: RawTable, keys: tuple[str, ...], group: Iterable[LiveTable]) -> tuple[str, ...]:
    names = [raw.id_column, raw.time, *keys]
    for live in group:
        names += [live.table.event_time, *live.columns, *((live.outcome,) if live.outcome else ())]
    return tuple(dict.fromkeys(names))
