"""What a stream job writes to the offline log: the events, the dead letters, and the states for the history of the live
views. All of it stays in the state file until it is in files. The job writes those one at a time, between batches."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa
from pydantic_core import from_json

from features.windows.live import seen_of, state_of
from features.windows.raw import CREATED, RawTable
from features.windows.state import LiveTable
from features.windows.tiles import AHEAD_US
from jobs.raw import offline_log
from jobs.stream.state import LOGGED, StateFile, StateRow
from root import Root

#: Kinds of rows in the state file's table `to_log`.
EVENT, DEAD = "event", "dead"
#: The job writes to the offline log when more events than this wait, or when the oldest has waited longer than this.
FLUSH_EVENTS, FLUSH_SECONDS = 200_000, 5.0


class OfflineLog:
    """The parts of a flush, and when the next one is due."""

    def __init__(self, root: Root, raw: RawTable, live: Sequence[LiveTable], state: StateFile) -> None:
        self._root, self._raw, self._live, self._state = root, raw, live, state
        self._waiting, self._waiting_since = state.waiting(), time.monotonic()
        logged = state.meta(LOGGED, 0)
        #: For each live table, key → the newest row that is not in the log yet.
        self._changed = [
            {row[0]: row for row in state.states_since(live_table.table.name, logged)} for live_table in live
        ]
        self._parts: list[Callable[[], None]] = []

    def add(self, changed: Sequence[Sequence[StateRow]], rows: int) -> None:
        """Note the states that a batch has changed, and how many events and dead letters it has kept in the state
        file."""
        for newest, states in zip(self._changed, changed, strict=True):
            newest.update((row[0], row) for row in states)
        self._waiting_since = self._waiting_since if self._waiting else time.monotonic()
        self._waiting += rows

    def is_due(self) -> bool:
        """Whether enough events wait for the offline log, or have waited long enough."""
        is_old = time.monotonic() - self._waiting_since > FLUSH_SECONDS
        return bool(self._parts) or self._waiting > FLUSH_EVENTS or (is_old and self._waiting > 0)

    def begin(self, committed: int) -> None:
        """Begin a flush of everything up to the last batch, whose commit timestamp is given."""
        changed, self._changed, self._waiting = self._changed, [{} for _ in self._live], 0
        states = [
            partial(_write_states, self._root, live, list(rows.values()))
            for live, rows in zip(self._live, changed, strict=True)
        ]
        self._parts = [self._state.sync, self._write_events, self._write_dead, *states, partial(self._note, committed)]

    def write_part(self) -> bool:
        """Write the next file of the flush. False where there is none."""
        if self._parts:
            self._parts.pop(0)()
            return True
        return False

    def finish(self) -> None:
        """Write all files of the flush that are left."""
        while self.write_part():
            pass

    def _write_events(self) -> None:
        if batches := self._state.to_log(EVENT):
            first, last = batches[0][0], batches[-1][0]
            rows = offline_log.unpack(self._raw, batches)
            offline_log.write(self._root.offline_log(self._raw.name), rows, self._raw.time, first, last)
            self._state.remove_logged(EVENT, last)

    def _write_dead(self) -> None:
        if batches := self._state.to_log(DEAD):
            offline_log.write_dead(self._root.dead_letters(self._raw.name), batches)
            self._state.remove_logged(DEAD, batches[-1][0])

    def _note(self, committed: int) -> None:
        with self._state.batch():
            self._state.set_meta({LOGGED: committed})


def _write_states(root: Root, live: LiveTable, states: Sequence[StateRow]) -> None:
    """Write the states that have changed since the last flush, each as it is now."""
    if states:
        committed = [row[3] for row in states]
        folder = root.states(state_of(live.table))
        offline_log.write(folder, online_rows(live, states), CREATED, min(committed), max(committed))


def online_rows(live: LiveTable, states: Sequence[StateRow]) -> pa.Table:
    """Rows of the live view. An event may be dated up to `AHEAD_US` in the future. So the event timestamp of a row is
    that much before its newest event, and no request finds a row that is dated later than itself."""
    table, timestamp = live.table, pa.timestamp("us", "UTC")
    keys = list(zip(*(from_json(key) for key, *_ in states), strict=True)) or [()] * len(table.keys)
    types = [offline_log.ARROW_TYPES[table.source.column(key).dtype] for key in table.keys]
    committed = pa.array([row[3] for row in states], pa.int64())
    dated = pa.array([newest - AHEAD_US for *_, newest, _ in states], pa.int64())
    return pa.table(
        {name: pa.array(values, kind) for name, values, kind in zip(table.keys, keys, types, strict=True)}
        | {
            state_of(table): pa.array([state for _, state, *_ in states], pa.binary()),
            seen_of(table): committed,
            "event_timestamp": dated.cast(timestamp),
            CREATED: committed.cast(timestamp),
        }
    )
