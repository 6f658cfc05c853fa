"""What a stream job writes to the offline log: the events, the dead letters, and the states for the history of the live
views. All of it stays in the state file until it is in files."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import pyarrow as pa
from pydantic_core import from_json

from features.windows.live import seen_of, state_of
from features.windows.raw import CREATED, RawTable
from features.windows.state import LiveTable
from features.windows.tiles import AHEAD_US
from jobs.raw import offline_log
from jobs.stream.state import LOGGED, SYNCED, StateFile, StateRow
from jobs.stream.states import States
from root import Root

#: Kinds of rows in the state file's table `to_log`.
EVENT, DEAD = "event", "dead"
#: The job writes to the offline log when more events than this wait, or when the oldest has waited longer than this.
FLUSH_EVENTS, FLUSH_SECONDS = 200_000, 5.0


class OfflineLog:
    """The parts of a flush, and when the next one is due.

    The files are written in a thread, for as long as that takes, and batches go on meanwhile. What has to be read from
    the state file, or removed there, is done between two batches, by the thread that has the file."""

    def __init__(self, root: Root, raw: RawTable, live: Sequence[LiveTable], state: StateFile, states: States) -> None:
        self._root, self._raw, self._live, self._state = root, raw, live, state
        self._waiting, self._waiting_since = state.waiting(), time.monotonic()
        logged = state.meta(LOGGED, 0)
        #: For each live table, key → the newest row that is not in the log yet.
        self._changed = [{row[0]: row for row in states.since(live_table.table.name, logged)} for live_table in live]
        self._writes: list[Callable[[], None]] = []
        #: First the files that a killed run may have written, once more.
        self._parts: list[Callable[[], None]] = [partial(self._write, logged)] if self._waiting else []
        self._writer = ThreadPoolExecutor(1, "offline-log")
        self._writing: Future[None] | None = None
        #: After an error nothing more is written: what follows would count as written what is not. The state file has
        #: all of it for the next job.
        self._has_failed = False

    def add(self, changed: Sequence[Sequence[StateRow]], rows: int) -> None:
        """Note the states that a batch has changed, and how many events and dead letters it has kept in the state
        file."""
        for newest, states in zip(self._changed, changed, strict=True):
            newest.update((row[0], row) for row in states)
        self._waiting_since = self._waiting_since if self._waiting else time.monotonic()
        self._waiting += rows

    def is_due(self) -> bool:
        """Whether there is something to do: a file is written, so many events wait that another flush has to begin, or
        the oldest has waited long enough."""
        if self._writing is not None:
            return self._writing.done() or self._waiting > FLUSH_EVENTS
        is_old = time.monotonic() - self._waiting_since > FLUSH_SECONDS
        return bool(self._parts) or self._waiting > FLUSH_EVENTS or (is_old and self._waiting > 0)

    def begin(self, committed: int) -> None:
        """Begin a flush of everything up to the last batch, whose commit timestamp is given."""
        if self._has_failed:
            return
        changed, self._changed, self._waiting = self._changed, [{} for _ in self._live], 0
        reads = [
            partial(self._read_states, live, list(rows.values()))
            for live, rows in zip(self._live, changed, strict=True)
        ]
        self._parts = [self._state.sync, *reads, partial(self._write, committed)]

    def write_part(self) -> bool:
        """Do the next part of the flush, or wait for its files. False where there is none."""
        if self._has_failed:
            return False
        try:
            if self._writing is not None:
                self._writing.result()
                self._writing = None
            if not self._parts:
                return False
            self._parts.pop(0)()
        except BaseException:
            self._has_failed = True
            raise
        return True

    def finish(self) -> None:
        """Write all that is left of the flush."""
        while self.write_part():
            pass

    def close(self) -> None:
        """Wait for the file that is being written."""
        self._writer.shutdown()

    def _read_states(self, live: LiveTable, states: Sequence[StateRow]) -> None:
        """Take the states that have changed since the last flush, each as it is now."""
        if states:
            committed = [row[3] for row in states]
            folder, rows = self._root.states(state_of(live.table)), online_rows(live, states)
            self._writes.append(partial(offline_log.write, folder, rows, CREATED, min(committed), max(committed)))

    def _write(self, committed: int) -> None:
        """Take what the batches have that are safe from a power cut, and write all files. Later batches wait for the
        next flush, so that a run after a crash writes the same files again, and no others that overlap with them."""
        synced, states, self._writes = self._state.meta(SYNCED, 0), self._writes, []
        writes: list[Callable[[], None]] = []
        if events := self._state.to_log(EVENT, synced):
            writes.append(partial(self._write_events, events))
        if dead := self._state.to_log(DEAD, synced):
            writes.append(partial(offline_log.write_dead, self._root.dead_letters(self._raw.name), dead))
        self._writing = self._writer.submit(_in_turn, [*writes, *states])
        self._parts.append(partial(self._note, committed, synced))

    def _write_events(self, batches: Sequence[tuple[int, bytes]]) -> None:
        rows = offline_log.unpack(self._raw, batches)
        offline_log.write(self._root.offline_log(self._raw.name), rows, self._raw.time, batches[0][0], batches[-1][0])

    def _note(self, committed: int, synced: int) -> None:
        """Remove what is in files now from the state file."""
        with self._state.batch():
            self._state.remove_logged(synced)
            self._state.set_meta({LOGGED: committed})


def _in_turn(writes: Sequence[Callable[[], None]]) -> None:
    for write in writes:
        write()


def online_rows(live: LiveTable, states: Sequence[StateRow]) -> pa.Table:
    """Rows of the live view. An event may be dated up to `AHEAD_US` in the future. So the event timestamp of a row is
    that much before its newest event, and no request finds a row that is dated later than itself."""
    table, timestamp = live.table, pa.timestamp("us", "UTC")
    read: list[list[Any]] = from_json(b"[%b]" % b",".join([row[0] for row in states]))
    keys = list(zip(*read, strict=True)) or [()] * len(table.keys)
    types = [offline_log.ARROW_TYPES[table.source.column(key).dtype] for key in table.keys]
    committed = pa.array([row[3] for row in states], pa.int64())
    dated = pa.array([row[2] - AHEAD_US for row in states], pa.int64())
    return pa.table(
        {name: pa.array(values, kind) for name, values, kind in zip(table.keys, keys, types, strict=True)}
        | {
            state_of(table): pa.array([row[1] for row in states], pa.binary()),
            seen_of(table): committed,
            "event_timestamp": dated.cast(timestamp),
            CREATED: committed.cast(timestamp),
        }
    )
