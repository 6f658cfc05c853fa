"""Events as they happen → the features that batches compute, kept as states. Each changed state goes to the online
store and, with the events, to the offline log.

A batch of events commits in one transaction: the states, the events, and the position in the source.
The online store and the offline log follow. What goes there is a whole state with the commit timestamp of its batch,
not a change to an old state. So the job can write it again after a crash, and writing it twice is the same as once. A
job that is killed anywhere and started again ends with the same data as one that was never killed.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial

from pydantic_core import from_json, to_json

from features import numbers
from features.domains import Stream
from features.utc import since_1970
from features.windows import events, keyed
from features.windows.events import ACCEPTED, Change, Row
from features.windows.keyed import Kept, KeyRow
from features.windows.live import state_of
from features.windows.state import LiveTable
from features.windows.tiles import AHEAD_US, TIME
from jobs.raw import offline_log
from jobs.stream.lines import Batch, parse
from jobs.stream.memory import Changes, Memory
from jobs.stream.offline import DEAD, EVENT, OfflineLog, online_rows
from jobs.stream.online.states import OnlineStates
from jobs.stream.sources import Position, Source
from jobs.stream.state import COMMITTED, COUNTS, HISTORY, ONLINE, WATERMARK, Key, StateFile, StateRow
from jobs.stream.states import States
from jobs.stream.status import Counts, Status
from root import Root
from serving.store import Store

#: A batch is about this many bytes of the source, at most.
MOST_BYTES = 16 * 1024 * 1024
#: Decoded states of a table that are kept in memory. Once there are more, the job empties the cache.
MOST_STATES = 500_000
#: An event may be this much further in the future than when it was accepted: clocks are set back by seconds.
CLOCK_SLACK_SECONDS = 60


def prepare(root: Root, stream: Stream) -> None:
    """Make the folders of the stream's live views. `feast apply` needs a file in the folder of each source."""
    for live in map(LiveTable, stream.tables):
        if not any((folder := root.states(state_of(live.table))).rglob("*.parquet")):
            offline_log.write_empty(folder, online_rows(live, []))


class StreamJob:
    """The job of one stream. `store` has the online store. `hash_key` is the secret with which it seals events. `clock`
    says what time it is, for the commit timestamps."""

    def __init__(
        self, root: Root, stream: Stream, source: Source, store: Store, hash_key: bytes, clock: Callable[[], datetime]
    ) -> None:
        self.stream, self.hash_key, self._source, self._clock = stream, hash_key, source, clock
        self._live = [LiveTable(table) for table in stream.tables]
        self.state = StateFile(root.stream_state(stream.domain), stream.tables)
        self._position = self.state.position(source.name)
        #: Commit timestamps, in µs since 1970: of the last batch, and of the last whose states are online.
        self._committed: int = self.state.meta(COMMITTED, 0)
        self._online: int = self.state.meta(ONLINE, 0)
        self._received = self.state.received()
        self._cache: list[dict[Key, Kept]] = [{} for _ in self._live]
        self._memory, self._states = Memory(self.state, stream), States(self.state, stream.tables)
        self.status = Status(stream.domain, Counts(**from_json(self.state.meta(COUNTS, "{}"))))
        self.status.watermark = self.state.meta(WATERMARK, 0)
        self._restore()
        self._offline = OfflineLog(root, stream.raw, self._live, self.state, self._states)
        self._online_states = OnlineStates(store, self._live, self.state, self._states, self._online)

    def _restore(self) -> None:
        """Compute the states again that waited when a job was killed, batch by batch."""
        for committed, changes in self._memory.since(self._states.written).items():
            self._states.keep(self._fold(changes, committed)[0], committed, are_written=False)
        self._states.write()

    def recover(self) -> None:
        """Write what a run that was killed may not have written. Raises FeaturesNotReady."""
        self._catch_up()
        self.flush()

    def step(self, final: bool = False) -> bool:
        """Process the next batch of the source. False where it has no new lines; `final` says that it gets no more.

        Raises FeaturesNotReady where the online store cannot be written. The batch is committed all the same, and the
        next step writes its states online.
        """
        self._catch_up()
        lines, position = self._source.read(self._position, MOST_BYTES, final)
        if position == self._position:
            return False
        batch = parse(self.stream, lines, since_1970(self._clock()), self.hash_key)
        committed = self._next_commit()
        self._commit(self._memory.changes(batch.rows, committed), committed, batch, position)
        return True

    def seed(self, batches: Iterable[Sequence[Row]]) -> int:
        """Process events of the history. They go into the states and online, and not into the offline log. Returns how
        many were not processed yet. Raises FeaturesNotReady."""
        count = 0
        for rows in batches:
            self._catch_up()
            changes = self._memory.changes([self.stream.raw.seal(row, self.hash_key) for row in rows], None)
            self._commit(changes, self._next_commit())
            count += len(changes.after)
        return count

    def finish_history(self, fingerprint: str) -> None:
        """Note that the history is processed, in the state file and in the online store. Raises FeaturesNotReady."""
        with self.state.batch():
            self.state.set_meta({HISTORY: fingerprint})
        self._online_states.check(is_due=True)

    def clock_fault(self) -> str:
        """What is wrong with the clock: an event was accepted that is dated after now. Empty where nothing is."""
        ahead = (self.status.watermark - since_1970(self._clock()) - AHEAD_US) / 1e6
        if ahead <= CLOCK_SLACK_SECONDS:
            return ""
        return (
            f"The newest event is {ahead:,.0f} s in the future of this machine's clock, so the clock is behind, or was "
            "ahead when the event was accepted. Set the clock. Decisions about the keys of such events get an error."
        )

    def is_flush_due(self) -> bool:
        """Whether the offline log has something to do: see there."""
        return self._offline.is_due()

    def flush(self) -> None:
        """Write everything that waits for the offline log."""
        self._offline.finish()
        self._offline.begin(self._committed)
        self._offline.finish()
        self._forget()

    def flush_part(self) -> None:
        """Do the next part of a flush, or begin one. Events that arrive meanwhile wait for one part only."""
        if not self._offline.write_part():
            self._offline.begin(self._committed)
            self._forget()

    def _forget(self) -> None:
        """Forget the events that no window reaches any more. The windows are those of a day before now, or of a day
        before the newest event where that is older: a file of last month may have an event twice, too."""
        reached = keyed.reached(self._live, min(self.status.watermark, since_1970(self._clock())))
        self._states.write()  # a state that waits may have an event that is forgotten
        with self.state.batch():
            self.state.set_meta({ONLINE: self._online})
            self._memory.forget_before(reached)

    def close(self) -> None:
        """Write what waits, and close the state file."""
        with closing(self.state), closing(self._offline):
            self.flush()

    def behind(self) -> int:
        """How many bytes of the source are not read yet."""
        return self._source.behind(self._position)

    def _next_commit(self) -> int:
        """A commit timestamp after all others."""
        return max(since_1970(self._clock()), self._committed + 1)

    def _commit(
        self, changes: Changes, committed: int, batch: Batch | None = None, position: Position | None = None
    ) -> None:
        """Commit everything, or on any error nothing; then write the states online. `batch` and `position` are what the
        source gave; events of the history have neither."""
        sent = list(changes.sent.values())
        can_wait = batch is not None and all(before is None for before, _ in changes.versions)
        with self.state.batch():
            self._memory.put(changes)
            changed, late = self._fold(changes, committed)
            if not can_wait:
                self._states.put(changed, committed)
            if batch is not None:
                self.state.add_to_log(EVENT, committed, len(sent), offline_log.pack(self.stream.raw, sent))
                self.state.add_to_log(DEAD, committed, len(batch.dead), b"".join(line + b"\n" for line in batch.dead))
                for producer, number in batch.numbers:
                    numbers.add_number(self._received.setdefault(producer, []), number)
                self.state.set_received({producer: self._received[producer] for producer, _ in batch.numbers})
                self.state.set_position(self._source.name, position or {})
                counts = Counts(changes.rows, late, changes.duplicates, len(batch.dead))
                self.status.add(counts, self._memory.newest(sent))
            status = {WATERMARK: self.status.watermark, COUNTS: to_json(vars(self.status.counts))}
            self.state.set_meta({COMMITTED: committed, ONLINE: self._online, **status})
        self._committed = committed
        self._states.keep(changed, committed, are_written=not can_wait)
        self._offline.add(changed, 0 if batch is None else len(sent) + len(batch.dead))
        if batch is not None:
            self._position = position or {}
        self.status.committed()
        self._write_online(changed)
        if batch is not None:
            now = since_1970(self._clock())
            self.status.visible([(now - row[ACCEPTED]) / 1e6 for row in sent if row.get(ACCEPTED)])

    def _fold(self, changes: Changes, committed: int) -> tuple[list[list[StateRow]], int]:
        """Add the changes of events to the states. Returns the states that change, for each live table, and how many
        versions of events were late."""
        changed, late = [], set[tuple[int, Key, int]]()
        for n, (live, cache) in enumerate(zip(self._live, self._cache, strict=True)):
            added, removed = events.by_key(live, changes.versions)
            keys = dict.fromkeys([*added, *removed])
            self._load(live, cache, keys)
            states: list[StateRow] = []
            for key in keys:
                row = KeyRow(committed, added.get(key, ()), removed.get(key, ()))
                recall = partial(self._memory.entries_of, live, key) if row.removed else None
                kept, state, version = keyed.step(live, cache[key], (row,), recall)
                late.update((n, key, entry[TIME]) for entry in kept.late)
                states.append((to_json(key), state, kept.state.newest, version))
            changed.append(sorted(states))
        return changed, sum(self._is_late(change, late) for change in changes.versions) if late else 0

    def _is_late(self, change: Change, late: set[tuple[int, Key, int]]) -> bool:
        """Whether a change of an event changes no table: all its entries (number of the table, key and timestamp) are
        late."""
        entries = {
            (n, key, entry[TIME])
            for n, live in enumerate(self._live)
            for key, added in events.by_key(live, [change])[0].items()
            for entry in added
        }
        return bool(entries) and entries <= late

    def _load(self, live: LiveTable, cache: dict[Key, Kept], keys: Iterable[Key]) -> None:
        """Bring the states of the keys into memory."""
        if len(cache) > MOST_STATES:
            cache.clear()
        unknown = [key for key in keys if key not in cache]
        stored = self._states.of_keys(live.table.name, unknown) if unknown else {}
        for key in unknown:
            cache[key] = Kept(live.from_json(stored[key]) if key in stored else live.zero(), entries=None)

    def _catch_up(self) -> None:
        """Write online what is committed and not online: the process was killed, or the store raised an error, or is
        another one."""
        self._online_states.check()
        if self._online < self._committed:
            self._write_online([self._states.since(live.table.name, self._online) for live in self._live])

    def _write_online(self, changed: Sequence[Sequence[StateRow]]) -> None:
        """Write states of each live table online: all that were committed and are not online yet."""
        self._online_states.write(changed)
        self._online = self._committed
