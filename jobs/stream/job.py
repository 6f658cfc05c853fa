"""Events as they happen → the same features, kept as states: each update goes online and into the offline log.

A batch of events changes states, what was seen and the position in one transaction; what goes elsewhere follows,
absolute and known by its stamp, and is written again after a crash. So wherever it is killed, it ends where it would
have ended.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from pydantic_core import from_json, to_json

from features.domains import Stream
from features.utc import MICROSECOND, since_1970
from features.windows import events, numbering
from features.windows.events import ACCEPTED, Row
from features.windows.live import state_of
from features.windows.state import LiveTable, State
from features.windows.tiles import AHEAD
from jobs.raw import offline_log
from jobs.stream.lines import Batch
from jobs.stream.lines import read as read_lines
from jobs.stream.offline import DEAD, EVENT, OfflineLog, online_rows
from jobs.stream.sources import Position, Source
from jobs.stream.state import ONLINE, STAMP, WATERMARK, Key, StateFile, StateRow
from jobs.stream.status import Counts, Status
from root import Root
from serving.store import Store

#: Bytes that are read at a time, hence the largest batch.
MOST_BYTES = 16 * 1024 * 1024
#: Decoded states that are kept in memory.
MOST_STATES = 500_000
DAY = timedelta(days=1)
#: A row, and those of its moments that were not seen.
Fresh = tuple[Row, list[str]]


def prepare(root: Root, stream: Stream) -> None:
    """Make the folders of its states: `feast apply` wants a file in each source."""
    for live in map(LiveTable, stream.tables):
        if not any((directory := root.states(state_of(live.table))).rglob("*.parquet")):
            offline_log.write_empty(directory, online_rows(live, []))


class StreamJob:
    """`clock` says when events were taken in; `store` is where they go online."""

    def __init__(self, root: Root, stream: Stream, source: Source, store: Store, clock: Callable[[], datetime]) -> None:
        self.stream, self._source, self._store, self._clock = stream, source, store, clock
        self._live = [LiveTable(table) for table in stream.tables]
        self.state = StateFile(root.stream_state(stream.domain), stream.tables)
        self._position = self.state.position(source.name)
        self._stamp: int = self.state.meta(STAMP, 0)
        self._online: int = self.state.meta(ONLINE, 0)
        self._received = self.state.received()
        self._cache: list[dict[Key, State]] = [{} for _ in self._live]
        self._moments = events.moments(stream.raw, stream.tables)
        self.status = Status(stream.domain, Counts(**from_json(self.state.meta("counts", "{}"))))
        self.status.watermark = self.state.meta(WATERMARK, 0)
        self._offline = OfflineLog(root, stream.raw, self._live, self.state)

    def recover(self) -> None:
        """Write again what a run that was killed may not have written."""
        self._catch_up()
        self.flush()

    def step(self, final: bool = False) -> bool:
        """Take in what the source has next. False if it has nothing. Raises FeaturesNotReady: what was taken in is
        kept, and goes online with the next step."""
        self._catch_up()
        lines, after = self._source.read(self._position, MOST_BYTES, final)
        if after == self._position:
            return False
        batch = read_lines(self.stream, lines, since_1970(self._clock()) + AHEAD)
        counts = Counts(dead_letters=len(batch.dead))
        self._commit(self._fresh(batch.rows, counts), counts, batch, after)
        return True

    def seed(self, rows: Iterable[Sequence[Row]]) -> int:
        """Take in history: it goes into the states and online, and not into the log. Raises FeaturesNotReady."""
        taken = 0
        for batch in rows:
            self._catch_up()
            fresh = self._fresh(batch, Counts())
            self._commit(fresh, Counts())
            taken += len(fresh)
        return taken

    def is_flush_due(self) -> bool:
        return self._offline.is_due()

    def flush(self) -> None:
        """Write all that waits for the offline log."""
        self._offline.finish()
        self._offline.begin(self._stamp)
        self._offline.finish()
        self._forget()

    def flush_a_part(self) -> None:
        """The next file of what waits: events that come meanwhile wait for one, and not for all of them."""
        if not self._offline.a_part():
            self._offline.begin(self._stamp)
            self._forget()

    def _forget(self) -> None:
        """Ids that no window reaches, by the newest event too: what is old now was new in a file of last month, and may
        be in it twice."""
        newest = min(self.status.watermark, since_1970(self._clock())) - DAY // MICROSECOND
        reached = min(live.reached(newest) for live in self._live)
        with self.state.batch():
            self.state.set_meta({ONLINE: self._online})
            self.state.forget_seen_before(reached)

    def close(self) -> None:
        self.flush()
        self.state.close()

    def behind(self) -> int:
        return self._source.behind(self._position)

    def _fresh(self, rows: Sequence[Row], counts: Counts) -> list[Fresh]:
        """The rows that bring a moment that was not seen, each with those moments."""
        name, fresh = self.stream.raw.id or "", []
        seen = self.state.seen([row[name] for row in rows])
        for row in rows:
            key = row[name]
            new = [moment for moment in self._moments if row[moment] is not None and (key, moment) not in seen]
            if not new:
                counts.duplicates += 1
                continue
            fresh.append((row, new))
            for moment in new:
                seen.add((key, moment))
        counts.events += len(fresh)
        return fresh

    def _commit(
        self, fresh: Sequence[Fresh], counts: Counts, batch: Batch | None = None, position: Position | None = None
    ) -> None:
        """All of it is kept, or on any error nothing; then it goes online. `batch`: as it came; none of history."""
        stamp = max(since_1970(self._clock()), self._stamp + 1)
        changed = self._fold(fresh, stamp, counts)
        name, newest = self.stream.raw.id or "", max((row[m] for row, new in fresh for m in new), default=0)
        with self.state.batch():
            for live, states in zip(self._live, changed, strict=True):
                self.state.put_states(live.table.name, states)
            self.state.add_seen([(row[name], moment, row[moment]) for row, new in fresh for moment in new])
            if batch is not None:
                events_packed = offline_log.packed(self.stream.raw, [row for row, _ in fresh])
                self.state.add_to_log(EVENT, stamp, len(fresh), events_packed)
                self.state.add_to_log(DEAD, stamp, len(batch.dead), b"".join(line + b"\n" for line in batch.dead))
                for producer, number in batch.numbers:
                    numbering.add(self._received.setdefault(producer, []), number)
                self.state.set_received({of: self._received[of] for of, _ in batch.numbers})
                self.state.set_position(self._source.name, position or {})
                self.status.add(counts, newest)
            told = {WATERMARK: self.status.watermark, "counts": to_json(vars(self.status.counts))}
            self.state.set_meta({STAMP: stamp, ONLINE: self._online, **told})
        self._stamp = stamp
        self._offline.add(changed, 0 if batch is None else len(fresh) + len(batch.dead))
        if batch is not None:
            self._position = position or {}
        self._write_online(changed)
        if batch is not None:
            now = since_1970(self._clock())
            self.status.visible([(now - row[ACCEPTED]) / 1e6 for row, _ in fresh if row.get(ACCEPTED)])

    def _fold(self, fresh: Sequence[Fresh], stamp: int, counts: Counts) -> list[list[StateRow]]:
        """The states that change, of each table."""
        changed, late = [], set[tuple[int, Key, int]]()
        for n, (live, cache) in enumerate(zip(self._live, self._cache, strict=True)):
            by_key = events.by_key(live, fresh)
            self._load(live, cache, by_key)
            states: list[StateRow] = []
            for key, came in by_key.items():
                state = cache[key]
                late.update((n, key, entry[0]) for entry in live.add(state, came))
                states.append((to_json(key), live.to_json(state), state.newest, stamp))
            changed.append(sorted(states))
        counts.late += sum(bool(of := self._entries(one)) and of <= late for one in fresh) if late else 0
        return changed

    def _entries(self, one: Fresh) -> set[tuple[int, Key, int]]:
        """Table, key and time of what an event is to each table."""
        of_tables = enumerate(events.by_key(live, [one]) for live in self._live)
        return {(n, key, entry[0]) for n, found in of_tables for key, entries in found.items() for entry in entries}

    def _load(self, live: LiveTable, cache: dict[Key, State], keys: Iterable[Key]) -> None:
        if len(cache) > MOST_STATES:
            cache.clear()
        unknown = [key for key in keys if key not in cache]
        stored = self.state.states(live.table.name, unknown) if unknown else {}
        for key in unknown:
            cache[key] = live.from_json(stored[key]) if key in stored else live.zero()

    def _catch_up(self) -> None:
        """Write online what a run that was killed, or a store that refused, has left."""
        if self._online < self._stamp:
            self._write_online([self.state.states_since(live.table.name, self._online) for live in self._live])

    def _write_online(self, changed: Sequence[Sequence[StateRow]]) -> None:
        """The states of each table, with which all up to the last stamp are online."""
        for live, states in zip(self._live, changed, strict=True):
            if states:
                self._store.write_table(state_of(live.table), online_rows(live, states))
        self._online = self._stamp
