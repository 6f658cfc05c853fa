"""Folds rows of a keyed topic into what is kept of their key, whichever engine keeps it."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from pydantic_core import from_json

from features.windows.keyed import Kept, from_bytes, key_row, step, to_bytes
from features.windows.state import LiveTable

#: Offset, µs since 1970 when the row was appended, and the row: the event before and after.
KeyedRow = tuple[int, int, bytes]


class State(Protocol):
    """What an engine keeps of one key, and forgets again if the transaction fails."""

    def get_bytes(self, key: str) -> bytes | None:
        """What is kept under a name."""
        ...

    def set_bytes(self, key: str, value: bytes, ttl: timedelta | None = None) -> None:
        """Keep it, for `ttl` after the present message at least; None for ever."""
        ...

    def delete(self, key: str) -> None:
        """Keep it no more."""
        ...


class KeptEntries:
    """The entries of one key of one table, each as a record of its own: a new one writes itself alone."""

    def __init__(self, state: State, table: str) -> None:
        self._state, self._table = state, table

    def get(self, number: int, /) -> bytes | None:
        """The entry under a number."""
        return self._state.get_bytes(f"{self._table} {number}")

    def __setitem__(self, number: int, entry: bytes, /) -> None:
        self._state.set_bytes(f"{self._table} {number}", entry)

    def pop(self, number: int, default: None, /) -> bytes | None:
        """Remove the entry under a number, and return it, or the default."""
        entry = self.get(number)
        if entry is None:
            return default
        self._state.delete(f"{self._table} {number}")
        return entry


def folded(live: LiveTable, state: State, rows: Sequence[KeyedRow]) -> tuple[Kept, int, bytes] | None:
    """What is kept of a key with more rows, when its state was created (µs since 1970), and its state. None where the
    rows mean nothing to this table: an order without a chargeback, to a table of chargebacks.

    `created` is the time of the newest row at the broker, and it never goes back: of two states of one event time, the
    online store keeps the one that was created later. It is in front of what is kept.
    """
    keyed = [(appended, key_row(live, offset, *from_json(row))) for offset, appended, row in rows]
    meant = [(appended, row) for appended, row in keyed if row is not None]
    if not meant:
        return None
    name = live.table.name
    entries = KeptEntries(state, name)
    head, _, stored = (state.get_bytes(name) or b"0\n").partition(b"\n")
    kept, created = from_bytes(live, stored, entries) if stored else Kept(live.zero(), entries=entries), int(head)
    for appended, _ in meant:
        created = max(created + 1, appended)
    kept, text, _ = step(live, kept, [row for _, row in meant])
    state.set_bytes(name, b"%d\n%b" % (created, to_bytes(live, kept)))
    return kept, created, text
