"""What a stream job has for the offline log, and the states that it has for the history of its views: kept in its state
file until it is in files, which are written one at a time between batches."""

import time
from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa
from pydantic_core import from_json

from features.windows.live import seen_of, state_of
from features.windows.raw import CREATED, RawTable
from features.windows.state import LiveTable
from features.windows.tiles import AHEAD
from jobs.raw import offline_log
from jobs.stream.state import LOGGED, StateFile, StateRow
from root import Root

EVENT, DEAD = "event", "dead"
#: Events wait until they are so many, or so old.
TOGETHER, AFTER_SECONDS = 200_000, 5.0
_ARROW = {"string": pa.string(), "int": pa.int64(), "float": pa.float64()}


class OfflineLog:
    def __init__(self, root: Root, raw: RawTable, live: Sequence[LiveTable], state: StateFile) -> None:
        self._root, self._raw, self._live, self._state = root, raw, live, state
        self._waiting, self._waits_since = state.waiting(), time.monotonic()
        logged = state.meta(LOGGED, 0)
        self._changed = [{row[0]: row for row in state.states_since(of.table.name, logged)} for of in live]
        self._parts: list[Callable[[], None]] = []

    def add(self, changed: Sequence[Sequence[StateRow]], rows: int) -> None:
        """States that a batch has changed, and how many events and dead letters it left in the state file."""
        for known, states in zip(self._changed, changed, strict=True):
            known.update((row[0], row) for row in states)
        self._waits_since = self._waits_since if self._waiting else time.monotonic()
        self._waiting += rows

    def is_due(self) -> bool:
        late = time.monotonic() - self._waits_since > AFTER_SECONDS
        return bool(self._parts) or self._waiting > TOGETHER or (late and self._waiting > 0)

    def begin(self, stamp: int) -> None:
        """Set out to write what there is up to the batch of this stamp, the last."""
        changed, self._changed, self._waiting = self._changed, [{} for _ in self._live], 0
        states = [
            partial(_write, self._root, live, list(of.values())) for live, of in zip(self._live, changed, strict=True)
        ]
        self._parts = [self._log_events, self._log_dead, *states, partial(self._note, stamp)]

    def a_part(self) -> bool:
        """Write the next file. False if there is none to write."""
        if self._parts:
            self._parts.pop(0)()
            return True
        return False

    def finish(self) -> None:
        while self.a_part():
            pass

    def _log_events(self) -> None:
        if batches := self._state.to_log(EVENT):
            log = offline_log.events(self._raw, batches)
            offline_log.write(
                self._root.offline_log(self._raw.name), log, self._raw.time, batches[0][0], batches[-1][0]
            )
            self._state.logged(EVENT, batches[-1][0])

    def _log_dead(self) -> None:
        if batches := self._state.to_log(DEAD):
            offline_log.write_dead(self._root.dead_letters(self._raw.name), batches)
            self._state.logged(DEAD, batches[-1][0])

    def _note(self, stamp: int) -> None:
        with self._state.batch():
            self._state.set_meta({LOGGED: stamp})


def _write(root: Root, live: LiveTable, states: Sequence[StateRow]) -> None:
    """The states that changed since the last time, as they are now."""
    if states:
        stamps = [stamp for *_, stamp in states]
        directory = root.states(state_of(live.table))
        offline_log.write(directory, online_rows(live, states), CREATED, min(stamps), max(stamps))


def online_rows(live: LiveTable, states: Sequence[StateRow]) -> pa.Table:
    """Rows of the live view. A row is dated at the first moment that its state answers."""
    table, moment = live.table, pa.timestamp("us", "UTC")
    keys = list(zip(*(from_json(key) for key, *_ in states), strict=True)) or [()] * len(table.keys)
    types = [_ARROW[table.source.column(key).dtype] for key in table.keys]
    stamps = pa.array([stamp for *_, stamp in states], pa.int64())
    dated = pa.array([newest - AHEAD for *_, newest, _ in states], pa.int64())
    return pa.table(
        {name: pa.array(of, kind) for name, of, kind in zip(table.keys, keys, types, strict=True)}
        | {
            state_of(table): pa.array([state for _, state, *_ in states], pa.binary()),
            seen_of(table): stamps,
            "event_timestamp": dated.cast(moment),
            CREATED: stamps.cast(moment),
        }
    )
