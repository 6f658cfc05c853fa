"""Keeps the states of keys, and writes them online: once for each key that a transaction has rows of, before it
commits. Then a busy key costs one state a transaction, however many rows it has.

A transaction that fails leaves states online that its successor writes again, at the same versions or at later ones.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
from pydantic_core import from_json
from quixstreams import State
from quixstreams.sinks import BaseSink

from features.windows.keyed import Kept, KeyedTables, from_bytes, key_row, step, to_bytes
from features.windows.live import MARKER, reserved_key, seen_of, state_of
from features.windows.raw import CREATED
from features.windows.state import LiveTable
from jobs.raw.offline_log import ARROW_TYPES
from jobs.stream.offline import online_rows
from jobs.stream.online.states import dtypes_of, reserved
from jobs.stream.state import StateRow
from serving.store import Store

#: Partition and key.
_Place = tuple[int, bytes]
#: Offset, µs since 1970 when the broker appended it, and the row: the event before and after.
_Row = tuple[int, int, bytes]


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


class StatesSink(BaseSink):
    """The rows of one keyed topic since the last commit. `noted` is told how many entries were late."""

    def __init__(self, tables: KeyedTables, store: Store, noted: Callable[[int], None]) -> None:
        super().__init__()
        self._tables, self._store, self._noted = tables, store, noted
        self._rows: dict[_Place, list[_Row]] = {}
        self._states: dict[_Place, State] = {}

    def add(self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int) -> None:
        """Take one row. Quix Streams calls it."""
        text, state = value
        place = (partition, key)
        self._states.setdefault(place, state)
        self._rows.setdefault(place, []).append((offset, timestamp * 1000, text))

    def flush(self) -> None:
        """Fold the rows, and write the states online. Raises FeaturesNotReady; then the transaction fails too."""
        rows, states = self._rows, self._states
        self.on_paused()
        late = 0
        for live in self._tables.live:
            changed, created = [], []
            for place, of_key in rows.items():
                if folded := _folded(live, states[place], of_key):
                    kept, latest, text = folded
                    changed.append((place[1], text, kept.state.newest, kept.version))
                    created.append(latest)
                    late += len(kept.late)
            if changed:
                self._store.write_table(state_of(live.table), _online(live, changed, created))
        self._noted(late)

    def on_paused(self) -> None:
        """Forget the rows: Quix Streams gives them again."""
        self._rows, self._states = {}, {}


def mark(store: Store, tables: Sequence[LiveTable], group: str, is_whole: bool) -> bool:
    """Note in the online store whether a key without a state has no events. Until then, requests get an error. `group`
    says whose states they are: what is whole for a group stays so. Returns whether it is. Raises FeaturesNotReady."""
    was_whole = True
    for live in tables:
        names, key = (state_of(live.table), seen_of(live.table)), reserved_key(MARKER, dtypes_of(live))
        (marker,) = store.kept(state_of(live.table), names, [key])
        if marker and from_json(marker[1][0] or b"{}") == {"file": group, "whole": True}:
            continue
        dated, content = time.time_ns() // 1000, {"file": group, "whole": is_whole}
        dated = max(dated, marker[0] + 1) if marker else dated
        store.write_table(state_of(live.table), reserved(live, MARKER, dated, content, int(is_whole)))
        was_whole = False
    return is_whole or was_whole


def _folded(live: LiveTable, state: State, rows: list[_Row]) -> tuple[Kept, int, bytes] | None:
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


def _online(live: LiveTable, states: Sequence[StateRow], created: Sequence[int]) -> pa.Table:
    """Rows of the live view, with µs since 1970 as `created`."""
    rows = online_rows(live, states)
    column = pa.array(created, pa.int64()).cast(ARROW_TYPES["timestamp"])
    return rows.set_column(rows.schema.get_field_index(CREATED), CREATED, column)
