"""The events that a stream job remembers, for as long as a window reaches them. A later version of an event names only
what it changes: a chargeback may name its order and no merchant. The job adds to it what it remembers of the event."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json, to_json

from features.domains import Stream
from features.windows import events
from features.windows.events import Change, Event, Key, Row
from features.windows.raw import CREATED
from jobs.stream.state import StateFile


@dataclass
class Changes:
    """What a batch changes.

    before      id → the row of the event before the batch, None for a new event
    after       id → the event after the batch
    sent        id → the columns that the batch has of the event; those of a later row of the batch count
    duplicates  how many rows changed nothing
    rows        how many rows changed something
    """

    before: dict[str, Row | None] = field(default_factory=dict)
    after: dict[str, Event] = field(default_factory=dict)
    sent: dict[str, Row] = field(default_factory=dict)
    duplicates: int = 0
    rows: int = 0

    def __iter__(self) -> Iterator[Change]:
        """The row of each event before and after."""
        return ((self.before[key], event.row) for key, event in self.after.items())


class Memory:
    """The events of one stream, in its state file."""

    def __init__(self, state: StateFile, stream: Stream) -> None:
        self._state, self._raw = state, stream.raw
        self._columns = events.column_names(stream.raw)
        self._timestamps = events.timestamp_columns(stream.raw, stream.tables)
        #: The columns of each different key of a live table, and their names as one text.
        self._keys = {table.keys: ",".join(table.keys) for table in stream.tables}

    def changes(self, rows: Sequence[Row], committed: int | None) -> Changes:
        """What rows change, in their order. `committed`: the commit timestamp of a batch that arrives; None for rows of
        the history, which say when they were known: in `created`, or else by their event time."""
        changes, id_column, time = Changes(), self._raw.id_column, self._raw.time
        known = self._load([row[id_column] for row in rows])
        for row in rows:
            key = row[id_column]
            known_at: int = (row.get(CREATED) or row[time]) if committed is None else committed
            before = known.get(key)
            event = (
                Event(row, known_at)
                if before is None
                else before.with_version(self._raw, row, known_at, committed is not None)
            )
            if event is None:
                changes.duplicates += 1
                continue
            changes.before.setdefault(key, None if before is None else before.row)
            changes.after[key] = known[key] = event
            changes.sent[key] = _filled(changes.sent[key], row) if key in changes.sent else row
            changes.rows += 1
        return changes

    def put(self, changes: Changes) -> None:
        """Remember the events as they are after a batch."""
        rows, indexed, outdated = [], [], []
        for key, event in changes.after.items():
            before, row = changes.before[key], event.row
            newest = max([row[name] for name in self._timestamps if row[name] is not None])
            rows.append((key, newest, to_json((event.known, [row[name] for name in self._columns]))))
            for columns, name in self._keys.items():
                new = tuple([row[column] for column in columns])
                old = tuple([before[column] for column in columns]) if before else None
                if new != old:
                    if None not in new:
                        indexed.append((name, to_json(new), key))
                    if old and None not in old:
                        outdated.append((name, to_json(old), key))
        self._state.put_events(rows)
        self._state.remove_event_keys(outdated)
        self._state.put_event_keys(sorted(indexed))

    def newest(self, rows: Iterable[Row]) -> int:
        """The newest timestamp of rows, in µs since 1970; 0 where there are none."""
        return max((row[name] for row in rows for name in self._timestamps if row[name] is not None), default=0)

    def rows_of(self, columns: tuple[str, ...], key: Key) -> list[Row]:
        """The events of a key of the live tables with these key columns."""
        return [self._unpacked(packed).row for packed in self._state.events_of(self._keys[columns], to_json(key))]

    def forget_before(self, timestamp: int) -> None:
        """Forget the events whose timestamps are all before this one, in µs since 1970."""
        forgotten = self._state.forget_events_before(timestamp)
        rows = ((key, self._unpacked(packed).row) for key, packed in forgotten)
        self._state.remove_event_keys(
            (name, to_json([row[column] for column in columns]), key)
            for key, row in rows
            for columns, name in self._keys.items()
        )

    def _load(self, ids: Iterable[str]) -> dict[str, Event]:
        return {key: self._unpacked(packed) for key, packed in self._state.events(list(dict.fromkeys(ids)))}

    def _unpacked(self, packed: bytes) -> Event:
        known, values = from_json(packed)
        row: Row = dict(zip(self._columns, values, strict=True))
        row |= {derived.name: derived.value(row) for derived in self._raw.derived}
        return Event(row, known)


def _filled(row: Row, later: Mapping[str, Any]) -> Row:
    """The columns of a row, and over them those that a later row fills."""
    return {**row, **{name: value for name, value in later.items() if value is not None}}
