"""The events that a stream job remembers, for as long as a window reaches them. A later version of an event names only
what it changes: a chargeback may name its order and no merchant. The job adds to it what it remembers of the event."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from pydantic_core import from_json, to_json

from features.domains import Stream
from features.windows import events
from features.windows.events import Change, Event, Key, Row
from features.windows.raw import CREATED
from features.windows.state import LiveTable
from features.windows.tiles import Entry
from jobs.stream.state import StateFile


@dataclass
class Changes:
    """What a batch changes.

    versions    the row of an event before and after each version that changes it, in their order
    after       id → the event after the batch
    sent        id → the columns that the batch has of the event; those of a later row of the batch count
    duplicates  how many rows changed nothing
    rows        how many rows changed something
    """

    versions: list[Change] = field(default_factory=list)
    after: dict[Any, Event] = field(default_factory=dict)
    sent: dict[Any, Row] = field(default_factory=dict)
    duplicates: int = 0
    rows: int = 0


class Memory:
    """The events of one stream, in its state file."""

    def __init__(self, state: StateFile, stream: Stream) -> None:
        self._state, self._raw = state, stream.raw
        self._columns = stream.raw.stored_columns
        self._values = itemgetter(*self._columns)
        self._newest = events.newest(stream.raw, stream.tables)

    def changes(self, rows: Sequence[Row], committed: int | None) -> Changes:
        """What rows change, in their order. `committed`: the commit timestamp of a batch that arrives; None for rows of
        the history, which say when they were known: in `created`, or else by their event time."""
        changes, id_column, time = Changes(), self._raw.id_column, self._raw.time
        known = self._load([row[id_column] for row in rows])
        for row in rows:
            key = row[id_column]
            known_at: int = (row.get(CREATED) or row[time]) if committed is None else committed
            before = known.get(key)
            if before is None:
                changes.versions.append((None, row))
                changes.sent[key] = row
                changes.after[key] = known[key] = Event(row, known_at)
            elif event := before.with_version(self._raw, row, known_at, committed is not None):
                changes.versions.append((before.row, event.row))
                changes.after[key] = known[key] = event
                changes.sent[key] = _filled(changes.sent[key], row) if key in changes.sent else row
            else:
                changes.duplicates += 1
                continue
            changes.rows += 1
        return changes

    def since(self, committed: int) -> dict[int, Changes]:
        """The batches after a commit timestamp, by their own, if they had new events only, and no others."""
        batches: dict[int, Changes] = {}
        for stored in self._state.events_since(committed):
            row, known = self._event(stored)
            batches.setdefault(known, Changes()).versions.append((None, row))  # type: ignore[arg-type]
        return batches

    def put(self, changes: Changes) -> None:
        """Remember the events as they are after a batch."""
        newest, values = self._newest, self._values
        self._state.put_events(
            [
                (known if isinstance(known, int) else to_json(known), newest(row), *values(row))
                for row, known in changes.after.values()
            ]
        )

    def newest(self, rows: Iterable[Row]) -> int:
        """The newest timestamp of rows, in µs since 1970; 0 where there are none."""
        return max(map(self._newest, rows), default=0)

    def entries_of(self, live: LiveTable, key: Key) -> list[Entry]:
        """The entries of a key of a live table."""
        rows = (self._event(stored).row for stored in self._state.events_of(live.table.keys, key))
        return [entry for row in rows for entry in events.entries(live, row)]

    def forget_before(self, timestamp: int) -> None:
        """Forget the events whose timestamps are all before this one, in µs since 1970."""
        self._state.forget_events_before(timestamp)

    def _load(self, ids: Iterable[Any]) -> dict[Any, Event]:
        id_column = self._raw.id_column
        remembered = map(self._event, self._state.events(list(dict.fromkeys(ids))))
        return {event.row[id_column]: event for event in remembered}

    def _event(self, stored: tuple[Any, ...]) -> Event:
        known, *values = stored
        return Event(
            dict(zip(self._columns, values, strict=True)), known if isinstance(known, int) else from_json(known)
        )


def _filled(row: Row, later: Mapping[str, Any]) -> Row:
    """The columns of a row, and over them those that a later row fills."""
    return {**row, **{name: value for name, value in later.items() if value is not None}}
