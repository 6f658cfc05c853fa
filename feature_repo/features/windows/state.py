"""The state of one key as its events come, in any order: enough to answer an `AggregationTable` for any moment from
`SLACK` before its newest event on, however long nothing happens.

An aggregation keeps its fold's state in tiles, one for each hop of time: the old edge of a window moves by whole ones.
The young edge does not, so an event stays as it came until the newest is the delay and `SLACK` past it. The state
depends on which events came, and not on when or in which order they did.

What became of an event, for a `rate`, is an entry of its own: it counts from its own moment on, in the tile of its
event.
"""

from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import Any
from zlib import crc32

from pydantic_core import from_json, to_json

from errors import FeaturesNotReady
from features.utc import MICROSECOND, since_1970
from features.windows.aggregation import AggregationTable
from features.windows.tiles import NO_OUTCOME, SLACK, Entry, Slot, State

#: Of the bytes of a state.
FORMAT = 1


class LiveTable:
    """The definitions of a table, event by event."""

    def __init__(self, table: AggregationTable) -> None:
        self.table = table
        used = chain.from_iterable((a.column, *a.where) for a in table.aggregations)
        #: The columns of an entry, after its times and id.
        self.columns = tuple(dict.fromkeys(name for name in used if name and name != table.outcome))
        # Ids order events of one moment, and tell whose an outcome is. Where nothing asks for that they are only bytes.
        tells_apart = any(a.function == "rate" or a.function.startswith("last") for a in table.aggregations)
        name = (table.source.id if tells_apart else None) or NO_OUTCOME
        #: The entry of a row's event (`features/windows/events.py`).
        self.entry: Callable[[Mapping[str, Any]], Entry] = itemgetter(table.event_time, name, NO_OUTCOME, *self.columns)
        self._slots: list[Slot] = []
        self._of: list[tuple[str, int, int]] = []
        known: dict[Any, int] = {}
        for a in table.aggregations:
            alike = (a.function, a.column, *a.where.items(), a.delay, a.old_edge_hop, a.n, a.window is None)
            if alike not in known:
                known[alike] = len(self._slots)
                self._slots.append(Slot(a, self.columns))
            slot, reach = self._slots[known[alike]], 0 if a.window is None else (a.delay + a.window) // MICROSECOND
            slot.reach = max(slot.reach, reach)
            self._of.append((a.name, known[alike], reach))
        #: Of the bytes of its states: those of another definition mean something else.
        reaches = [(alike, self._slots[slot].reach) for alike, slot in known.items()]
        self.version = crc32(repr((FORMAT, table.keys, table.event_time, table.source.derived, reaches)).encode())
        self._thaws = [_thaw(slot.fold.zero) for slot in self._slots]
        self._has_sets = any(isinstance(slot.fold.zero, frozenset) for slot in self._slots)

    def zero(self) -> State:
        return State([{} for _ in self._slots])

    def reached(self, newest: int) -> int:
        """An entry dated before it changes nothing any more."""
        if len(self._slots) == 1:
            return self._slots[0].reached(newest)
        return min([slot.reached(newest) for slot in self._slots])

    def add(self, state: State, came: Sequence[Entry]) -> list[Entry]:
        """Take in entries that were not taken in before. Answers those that came too late: no window reached them."""
        before = after = state.newest
        in_order = True
        for entry in came:
            in_order &= entry[0] >= after
            after = max(after, entry[0], entry[2])
        state.newest, recent = after, state.recent
        reached = self.reached(after)
        kept = [entry for entry in came if entry[0] >= reached]
        for entry in kept:
            if recent and entry < recent[-1]:
                insort(recent, entry)
            else:
                recent.append(entry)
        for slot, tiles in zip(self._slots, state.tiles, strict=True):
            slot.take(tiles, recent, kept, before, after)
        self._prune(state, reached)
        return [] if in_order or len(kept) == len(came) else self._late(before, came)

    def _late(self, newest: int, came: Sequence[Entry]) -> list[Entry]:
        """Those that no window reached when they came, one after the other: a batch of a whole day is not late."""
        late = []
        for entry in came:
            newest = max(newest, entry[0], entry[2])
            if entry[0] < self.reached(newest):
                late.append(entry)
        return late

    def _prune(self, state: State, reached: int) -> None:
        """Let go of the entries that are in every slot's tiles, or beyond its reach."""
        newest, recent = state.newest, state.recent
        if not recent or recent[0][0] >= newest - SLACK:
            return
        done = min([max(slot.tiled(newest), slot.reached(newest)) for slot in self._slots])
        if recent[0][0] < done:
            cut = bisect_left(recent, (done,))
            state.recent = [e for e in recent[:cut] if e[2] >= newest - SLACK and e[0] >= reached] + recent[cut:]

    def values(self, state: State, as_of: datetime) -> dict[str, Any]:
        """The table's features at a moment, or at the first that the state answers."""
        moment = max(since_1970(as_of), state.newest - SLACK)
        found = {name: self._slots[slot].at(state.tiles[slot], state, moment, reach) for name, slot, reach in self._of}
        return found | {flag.name: flag.of(found[flag.aggregation]) for flag in self.table.flags}

    def to_json(self, state: State) -> bytes:
        """The same bytes for the same events, whatever their order."""
        tiles = [dict(sorted(each.items())) if len(each) > 1 else each for each in state.tiles]
        if self._has_sets:
            tiles = [{start: _plain(of) for start, of in each.items()} for each in tiles]
        return to_json((self.version, state.newest, tiles, state.recent))

    def from_json(self, text: bytes) -> State:
        """Raises FeaturesNotReady on a state of another definition."""
        version, *kept = from_json(text)
        if version != self.version:
            raise FeaturesNotReady(
                f"A state of {self.table.name} is of another definition. Run: feast apply, and start the stream job"
            )
        newest, tiles, recent = kept
        return State(
            [
                {int(start): thaw(of) for start, of in each.items()}
                for thaw, each in zip(self._thaws, tiles, strict=True)
            ],
            list(map(tuple, recent)),
            newest,
        )


def _plain(of: Any) -> Any:
    return sorted(of) if isinstance(of, frozenset) else of


def _thaw(zero: Any) -> Callable[[Any], Any]:
    """From what JSON kept of a fold's state back to it."""
    if isinstance(zero, frozenset):
        return frozenset
    return _tuples if isinstance(zero, tuple) else lambda kept: kept


def _tuples(of: Any) -> Any:
    return tuple(map(_tuples, of)) if isinstance(of, list) else of
