"""The state of one key as its events arrive, in any order: enough to compute an `AggregationTable` at any timestamp
from `SLACK_US` before its newest event on, however long nothing happens.

A state keeps what was folded in tiles, one for each hop of time, because the old edge of a window moves by whole hops.
The young edge is exact. So an event stays an entry until the newest is the delay and `SLACK_US` past it.
The state depends on which events arrived, and not on when or in which order.

The outcome of an event, for a rate, is an entry of its own. It goes into the tile of its event, and counts from its own
timestamp on.

>>> from datetime import timedelta
>>> from features.utc import EPOCH
>>> from features.windows.aggregation import Aggregation
>>> from features.windows.raw import RawTable
>>> visits = (Aggregation("visits_1h", "count", None, timedelta(hours=1)),)
>>> live = LiveTable(AggregationTable("people", RawTable("visits"), "who", visits))
>>> state, minute = live.zero(), 60_000_000
>>> live.add(state, [(5 * minute, 0, 0), (50 * minute, 0, 0)])
[]
>>> [live.values(state, EPOCH + timedelta(minutes=m))["visits_1h"] for m in (50, 51, 80, 120)]
[1, 2, 1, 0]
>>> live.to_json(state)[-51:]
b',3000000000,[{"300000000":[1]}],[[3000000000,0,0]]]'
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zlib import crc32

import msgspec
from pydantic_core import to_json

from errors import FeaturesNotReady
from features.utc import since_1970
from features.windows.recent import Columns, Recent, State
from features.windows.tables import AggregationTable
from features.windows.tiles import NEVER, OUTCOME, SLACK_US, TIME, Entry, entry_maker, key_maker
from features.windows.tiles.slot import Slot, slots_of

#: The format of a state's bytes.
FORMAT = 2


class LiveTable:
    """A table's definitions, event by event.

    Raises ValueError on two outcomes, and on an outcome that is used as a value, too: an entry has one outcome.
    """

    def __init__(self, table: AggregationTable) -> None:
        self.table = table
        #: Feature → its value for a key without events.
        self.empty = table.empty
        outcomes = {a.outcome for a in table.aggregations if a.outcome}
        values = {a.column for a in table.aggregations if not a.outcome}
        if len(outcomes) > 1 or outcomes & values:
            raise ValueError(f"{table.name}: a live table has one outcome, which is no value. Use a batch table.")
        self.outcome = table.outcome
        #: The key of a row's event.
        self.key: Callable[[Mapping[str, Any]], tuple[Any, ...]] = key_maker(table.keys)
        #: The columns of an entry's values.
        self.columns = tuple(name for name in table.folded_columns if name != table.outcome)
        needs_id = any(a.record.needs_id for a in table.aggregations)
        #: The entry of a row's event.
        self.entry: Callable[[Mapping[str, Any]], Entry] = entry_maker(
            table.event_time, table.source.id if needs_id else None, self.columns
        )
        self._slots = slots_of(table.aggregations, self.columns)
        #: Of the bytes of its states: those of another definition mean something else.
        definitions = [slot.definition for slot in self._slots]
        self.version = crc32(repr((FORMAT, table.keys, table.event_time, table.source.derived, definitions)).encode())
        kinds: dict[Any, list[tuple[int, Slot]]] = {}
        for number, slot in enumerate(self._slots):
            kinds.setdefault(slot.kind, []).append((number, slot))
        self._kinds = list(kinds.values())
        self._packs = [slot.pack for slot in self._slots]
        forms, self._unpacks = zip(*(slot.decoded for slot in self._slots), strict=True)
        tiles = tuple[tuple(dict[int, form] for form in forms)]  # type: ignore[misc,valid-type]
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(tuple[int, int, tiles, list[Entry | Columns]])  # type: ignore[valid-type]

    def zero(self) -> State:
        """The state of a key without events."""
        return State([{} for _ in self._slots])

    def reached(self, newest: int) -> int:
        """An entry dated before it changes nothing any more; µs."""
        if len(self._slots) == 1:
            return self._slots[0].reached(newest)
        return min([slot.reached(newest) for slot in self._slots])

    def add(self, state: State, entries: Sequence[Entry], newest: int = NEVER) -> list[Entry]:
        """Take in entries that were not taken in before. Returns those that are too late: no window reached them.
        `newest`: the newest timestamp of the state is this one at least, µs."""
        before = after = state.newest
        is_in_order = True
        for entry in entries:  # without calls: it runs for every event
            if entry[TIME] >= after:
                after = entry[TIME]
            else:
                is_in_order = False
            if entry[OUTCOME] > after:
                after = entry[OUTCOME]
        after = max(after, newest)
        state.newest, recent = after, state.recent
        reached = self.reached(after)
        kept = [entry for entry in entries if entry[TIME] >= reached]
        recent.add(kept)
        for slots in self._kinds:
            ripe = slots[0][1].ripe(recent, kept, before, after)
            for number, slot in slots:
                slot.take(state.tiles[number], ripe, before, after)
        self._prune(state, reached)
        return [] if is_in_order or len(kept) == len(entries) else self._too_late(before, entries)

    def _too_late(self, newest: int, entries: Sequence[Entry]) -> list[Entry]:
        """Those that no window reached when they arrived, one after the other: in a batch of a whole day, the first
        events are not too late."""
        too_late, longest = [], max([slot.reach for slot in self._slots]) + SLACK_US
        for entry in entries:
            time = entry[TIME]
            newest = max(newest, time, entry[OUTCOME])
            if time < newest - longest and time < self.reached(newest):
                too_late.append(entry)
        return too_late

    def _prune(self, state: State, reached: int) -> None:
        """Drop the entries that are in every slot's tiles, or that no window reaches any more."""
        newest, recent = state.newest, state.recent
        if not recent or recent[0][TIME] >= newest - SLACK_US:
            return
        done = min([max(slot.tiled(newest), slot.reached(newest)) for slot in self._slots])
        if recent[0][TIME] < done:
            cut = bisect_left(recent, (done,))
            waiting = [e for e in recent[:cut] if e[OUTCOME] >= newest - SLACK_US and e[TIME] >= reached]
            recent.drop(cut, waiting)

    def values(self, state: State, as_of: datetime) -> dict[str, Any]:
        """The table's features at a timestamp, or at the first that the state can answer."""
        timestamp = max(since_1970(as_of), state.newest - SLACK_US)
        values: dict[str, Any] = {}
        for slot, tiles in zip(self._slots, state.tiles, strict=True):
            values |= slot.values(tiles, state.recent, state.newest, timestamp)
        return values | {flag.name: flag.value(values[flag.aggregation]) for flag in self.table.flags}

    def to_json(self, state: State) -> bytes:
        """The same bytes for the same events, whatever their order."""
        all_tiles = [dict(sorted(tiles.items())) if len(tiles) > 1 else tiles for tiles in state.tiles]
        for number, pack in enumerate(self._packs):
            if pack is not None:
                all_tiles[number] = {start: pack(tile) for start, tile in all_tiles[number].items()}
        return b"%b,%b]" % (to_json((self.version, state.newest, all_tiles))[:-1], state.recent.to_json())

    def from_json(self, text: bytes) -> State:
        """Raises FeaturesNotReady on a state of another definition."""
        try:
            version, newest, tiles, recent = self._decoder.decode(text)
        except msgspec.ValidationError:
            version = None
        if version != self.version:
            raise FeaturesNotReady(
                f"A state of {self.table.name} is of another definition. Run: feast apply, and start the stream job"
            )
        return State(
            [
                by_start if unpack is None else {start: unpack(tile) for start, tile in by_start.items()}
                for unpack, by_start in zip(self._unpacks, tiles, strict=True)
            ],
            Recent.read(recent),
            newest,
        )
