"""Writes states into the online store, and finds out whether those that it wrote are still there.

What says how far the store was written lies in the store, in two rows of each live view: `MARKER` and `PROGRESS` of
`features/windows/live.py`. A note in the state file alone would go on saying so when the store is removed, made again,
or replaced by an old copy: then the job would write the keys of new events only, and all others would read as new.
"""

import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from pydantic_core import from_json, to_json

from features.utc import EPOCH, MICROSECOND
from features.windows.live import MARKER, PROGRESS, reserved_key, seen_of, state_of
from features.windows.raw import CREATED
from features.windows.state import LiveTable
from features.windows.tiles import AHEAD_US
from jobs.stream.offline import online_rows
from jobs.stream.state import HISTORY, StateFile, StateRow
from jobs.stream.states import States
from serving.store import Store, StoredRow

#: The job looks this often whether the states are still there.
CHECK_SECONDS = 1.0
#: States that are written again in one transaction.
PAGE_STATES = 20_000


class OnlineStates:
    """The states of one stream's live tables in the online store. Every method may raise FeaturesNotReady."""

    def __init__(self, store: Store, live: Sequence[LiveTable], state: StateFile, states: States, online: int) -> None:
        """`online`: the commit timestamp of the last batch whose states are online, as far as the state file knows."""
        self._store, self._live, self._state, self._states = store, live, state, states
        self._file = state.id()
        #: Table → the commit timestamp of the last batch that wrote a state of it online.
        self._written = {
            table.name: states.newest(table.name, online) for table in (live_table.table for live_table in live)
        }
        self._next_check = 0.0

    def write(self, changed: Sequence[Sequence[StateRow]]) -> None:
        """Write states, for each live table, all of them together."""
        tables, written = dict[str, pa.Table](), dict[str, int]()
        for live, states in zip(self._live, changed, strict=True):
            if states:
                committed = written[live.table.name] = max(row[3] for row in states)
                tables[state_of(live.table)] = online_rows(live, [*states, self._progress(live, committed)])
        self._store.write_tables(tables)
        self._written |= written

    def check(self, is_due: bool = False) -> None:
        """Look whether all states are there, once in `CHECK_SECONDS` or where it is due, and write again what is not.
        Meanwhile, requests get an error."""
        if not is_due and time.monotonic() < self._next_check:
            return
        is_whole = self._state.meta(HISTORY) is not None  # until then, a key may be missing that has events
        for live in self._live:
            names, dtypes = (state_of(live.table), seen_of(live.table)), dtypes_of(live)
            keys = [reserved_key(MARKER, dtypes), reserved_key(PROGRESS, dtypes)]
            marker, progress = self._store.kept(state_of(live.table), names, keys)
            content = from_json(marker[1][0] or b"{}") if marker else {}
            reached = progress[1][1] if progress else 0
            if content.get("file") != self._file:
                self._write_again(live, 0, marker, is_whole)
            elif reached < self._written[live.table.name]:  # an old copy of the store
                self._write_again(live, reached, marker, is_whole)
            elif content["whole"] != is_whole:
                self._mark(live, marker, self._file, is_whole)
        self._next_check = time.monotonic() + CHECK_SECONDS

    def _write_again(self, live: LiveTable, since: int, marker: StoredRow | None, is_whole: bool) -> None:
        """Write the states that batches after `since` wrote, and the marker last."""
        marker = self._mark(live, marker, "", False)
        for states in self._states.pages_since(live.table.name, since, self._written[live.table.name], PAGE_STATES):
            self._store.write_table(state_of(live.table), online_rows(live, states))
        if committed := self._written[live.table.name]:
            self._store.write_table(state_of(live.table), online_rows(live, [self._progress(live, committed)]))
        self._mark(live, marker, self._file, is_whole)

    def _progress(self, live: LiveTable, committed: int) -> StateRow:
        """The row that says which batch of this file wrote last, dated as that was committed."""
        key = to_json(reserved_key(PROGRESS, dtypes_of(live)))
        return key, to_json({"file": self._file}), committed + AHEAD_US, committed

    def _mark(self, live: LiveTable, before: StoredRow | None, file: str, is_whole: bool) -> StoredRow:
        """Write the marker. A row never goes back in time, so it is dated after the one before."""
        dated = max(time.time_ns() // 1000, before[0] + 1 if before else 0)
        content = {"file": file, "whole": is_whole}
        self._store.write_table(state_of(live.table), marker_row(live, dated, content, int(is_whole)))
        return dated, (to_json(content), int(is_whole))


def dtypes_of(live: LiveTable) -> list[str]:
    """The types of the columns of a key."""
    return [live.table.source.column(key).dtype for key in live.table.keys]


def marker_row(live: LiveTable, dated: int, content: dict[str, Any], seen: int) -> pa.Table:
    """The row of the marker, dated in µs since 1970."""
    table, timestamp = live.table, EPOCH + dated * MICROSECOND
    row = dict(zip(table.keys, reserved_key(MARKER, dtypes_of(live)), strict=True))
    row |= {state_of(table): to_json(content), seen_of(table): seen, "event_timestamp": timestamp, CREATED: timestamp}
    return pa.Table.from_pylist([row], online_rows(live, []).schema)
