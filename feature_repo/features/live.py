"""The state of one key as its events come, in any order: enough to answer an `AggregationTable` for any moment from its
newest event on, however long nothing happens, and for a minute before it.

An aggregation keeps its fold's state in tiles, one for each hop of time: the old edge of a window moves by whole ones.
The young edge does not, so an event stays as it came until the newest is the delay and a minute past it. The state
depends on which events came, and not on when or in which order they did.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from features.aggregation import Aggregation, AggregationTable
from features.folds import Fold, fold
from features.moments import MICROSECOND, since_1970

#: A moment that is asked about may be so much before the newest event, µs: others' events come in the meantime.
SLACK = 60_000_000
#: Before every event.
NEVER = -(2**63)


@dataclass(frozen=True)
class Event:
    """`time`: when it happened, µs since 1970. `values`: by column."""

    time: int
    id: str
    values: Mapping[str, Any]


@dataclass
class State:
    """Of one key. `tiles`: for each aggregation, in the table's order, the start of a tile → its fold's state.
    `recent`: events that are not in the tiles of every aggregation yet. `newest`: the time of the newest event."""

    tiles: list[dict[int, Any]]
    recent: dict[str, Event] = field(default_factory=dict)
    newest: int = NEVER


class _Live:
    """One aggregation on the clock of whole microseconds."""

    def __init__(self, of: Aggregation) -> None:
        if of.function == "rate":
            raise ValueError(f"{of.name}: the outcome of a rate comes after its event; it cannot be live.")
        self._of = of
        self.fold: Fold = fold(of.function, of.n)
        self._delay = of.delay // MICROSECOND
        self._window = None if of.window is None else of.window // MICROSECOND
        self._hop = of.old_edge_hop // MICROSECOND

    def counts(self, event: Event) -> bool:
        where = ((event.values.get(c), v if isinstance(v, tuple) else (v,)) for c, v in self._of.where.items())
        return all(value in wanted for value, wanted in where) and (
            self._of.column is None or event.values.get(self._of.column) is not None
        )

    def oldest(self, moment: int) -> int:
        """From when on events count at a moment."""
        if self._window is None:
            return NEVER
        edge = moment - self._delay - self._window
        return edge - edge % self._hop if self._hop else edge

    def reached(self, newest: int) -> int:
        """From when on events may count at a moment that can still be asked about."""
        return self.oldest(newest - SLACK)

    def tiled(self, newest: int) -> int:
        """Events before it are in tiles. Where the old edge moves by the microsecond, none."""
        return newest - SLACK - self._delay if self._hop or self._window is None else NEVER

    def tile(self, time: int) -> int:
        return NEVER if self._window is None else time - time % self._hop

    def at(self, tiles: Mapping[int, Any], state: State, moment: int) -> Any:
        oldest, tiled = self.oldest(moment), self.tiled(state.newest)
        merged = self.fold.zero
        for start, of in tiles.items():
            if start >= oldest:
                merged = self.fold.merge(merged, of)
        for event in state.recent.values():
            if max(oldest, tiled) <= event.time < moment - self._delay and self.counts(event):
                merged = self.add(merged, event)
        return self.fold.value(merged)

    def folded(self, kept: Any) -> Any:
        """A fold's state from what JSON kept of it."""
        return frozenset(kept) if isinstance(self.fold.zero, frozenset) else _tuples(kept)

    def add(self, state: Any, event: Event) -> Any:
        value = event.values.get(self._of.column) if self._of.column else None
        return self.fold.add(state, value, (event.time, event.id))


class LiveTable:
    """The definitions of a table, event by event. Raises ValueError for a `rate`."""

    def __init__(self, table: AggregationTable) -> None:
        self._table = table
        self._live = [_Live(a) for a in table.aggregations]

    def zero(self) -> State:
        return State([{} for _ in self._live])

    def add(self, state: State, event: Event) -> bool:
        """Take in an event that was not taken in before. False where it came too late: no window reaches it."""
        before, after = state.newest, max(state.newest, event.time)
        if event.time < min(live.reached(after) for live in self._live):
            return False
        state.newest = after
        state.recent[event.id] = event
        for live, tiles in zip(self._live, state.tiles, strict=True):
            low, high, oldest = live.tiled(before), live.tiled(after), live.reached(after)
            for e in state.recent.values():
                if oldest <= e.time < high and (e is event or e.time >= low) and live.counts(e):
                    start = live.tile(e.time)
                    tiles[start] = live.add(tiles.get(start, live.fold.zero), e)
            for start in [start for start in tiles if start < oldest]:
                del tiles[start]
        kept = min(max(live.tiled(after), live.reached(after)) for live in self._live)
        state.recent = {e.id: e for e in state.recent.values() if e.time >= kept}
        return True

    def values(self, state: State, as_of: datetime) -> dict[str, Any]:
        """The table's features at a moment that is at most `SLACK` before the newest event."""
        moment = since_1970(as_of)
        found = {
            of.name: live.at(tiles, state, moment)
            for of, live, tiles in zip(self._table.aggregations, self._live, state.tiles, strict=True)
        }
        return found | {flag.name: flag.of(found[flag.aggregation]) for flag in self._table.flags}

    def to_json(self, state: State) -> bytes:
        """The same bytes for the same events, whatever their order."""
        tiles = [{start: _plain(of) for start, of in sorted(each.items())} for each in state.tiles]
        recent = [asdict(e) for e in sorted(state.recent.values(), key=lambda e: (e.time, e.id))]
        return json.dumps({"tiles": tiles, "recent": recent, "newest": state.newest}, separators=(",", ":")).encode()

    def from_json(self, text: bytes) -> State:
        kept = json.loads(text)
        tiles = [
            {int(start): live.folded(of) for start, of in each.items()}
            for live, each in zip(self._live, kept["tiles"], strict=True)
        ]
        return State(tiles, {e["id"]: Event(**e) for e in kept["recent"]}, kept["newest"])


def _plain(state: Any) -> Any:
    return sorted(state) if isinstance(state, frozenset) else state


def _tuples(of: Any) -> Any:
    return tuple(map(_tuples, of)) if isinstance(of, list) else of
