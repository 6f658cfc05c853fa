"""How entries move into tiles, and count at a timestamp."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from features.utc import MICROSECOND
from features.windows.aggregation import Aggregation, old_edge
from features.windows.folds import Place
from features.windows.tiles import NEVER, OUTCOME, SLACK_US, TIME, Entry
from features.windows.tiles.part import Part

#: The states of a slot's parts, of the entries of one hop of time. The whole numbers of a state follow each other.
Tile = tuple[Any, ...]


class Slot:
    """The tiles that some aggregations share: those whose tiles begin at the same times, and are dropped at the same
    times. Aggregations that differ in nothing but how far back they reach share a part of it, too. All times are in
    µs."""

    def __init__(self, by_part: Sequence[Sequence[Aggregation]], columns: Sequence[str]) -> None:
        """`by_part`: for each part its aggregations. `columns`: the names of an entry's values."""
        #: The entries of slots of one kind are ripe together, and go into tiles with the same starts.
        self.kind = _kind(by_part[0][0])
        self.delay, self.hop, self.is_endless, self.takes_outcomes = self.kind
        self.reach = max(map(_reach, by_part[0]))
        #: What the bytes of its tiles depend on.
        self.definition = [(_events(aggregations[0]), _most(aggregations), self.reach) for aggregations in by_part]
        self._parts: list[Part] = []
        self._places: list[Place] = []
        zero: list[Any] = []
        by_reach: dict[int, list[tuple[Part, str, int | None]]] = {}
        for aggregations in by_part:
            part = Part(replace(aggregations[0], n=_most(aggregations)), columns, len(zero))
            self._parts.append(part)
            self._places += part.fold.places
            zero += [part.fold.zero] if part.fold.numbers is None else part.fold.zero
            for a in aggregations:
                by_reach.setdefault(_reach(a), []).append((part, a.name, a.n))
        self._zero = tuple(zero)
        #: How far back features reach, ascending → their parts, names, and how many events they take.
        self._readings = sorted(by_reach.items())

    def oldest(self, timestamp: int, reach: int) -> int:
        """From when on events count at a timestamp."""
        return NEVER if self.is_endless else old_edge(timestamp, reach, self.hop)

    def reached(self, newest: int) -> int:
        """From when on events may count at a timestamp that the state can still answer."""
        if self.is_endless:
            return NEVER
        edge = newest - SLACK_US - self.reach  # `old_edge`, without a call: it runs for every event
        return edge - edge % self.hop if self.hop else edge

    def tiled(self, newest: int) -> int:
        """Events before it are in tiles. Where the old edge moves by the microsecond, none are."""
        return newest - SLACK_US - self.delay if self.hop or self.is_endless else NEVER

    def is_tiled(self, entry: Entry, newest: int) -> bool:
        """Whether the entry is in a tile, once `newest` (µs) is the newest timestamp. Until then it stays an entry."""
        return entry[TIME] < self.tiled(newest) and (not entry[OUTCOME] or entry[OUTCOME] < newest - SLACK_US)

    def ripe(self, recent: list[Entry], new: Sequence[Entry], before: int, after: int) -> dict[int, list[Entry]]:
        """Start of a tile → the entries that go into it now and did not before. `recent` has the `new` entries already.
        `before`, `after`: the newest timestamp without and with them."""
        high, by_tile = self.tiled(after), dict[int, list[Entry]]()
        if not recent or recent[0][TIME] >= high:
            return by_tile
        low, below = self.tiled(before), recent[: bisect_left(recent, (high,))]
        if self.takes_outcomes:
            fresh = set(new)
            ripe = [e for e in below if self.is_tiled(e, after) and (e in fresh or not self.is_tiled(e, before))]
        else:
            ripe = [e for e in new if e[TIME] < low] if before != NEVER else []
            ripe += below[bisect_left(below, (low,)) :]
        if self.is_endless:
            return {NEVER: ripe}
        hop = self.hop
        for entry in ripe:
            start = entry[TIME] - entry[TIME] % hop
            if start in by_tile:
                by_tile[start].append(entry)
            else:
                by_tile[start] = [entry]
        return by_tile

    def take(self, tiles: dict[int, Tile], ripe: Mapping[int, list[Entry]], before: int, after: int) -> None:
        """Take `ripe` entries into tiles, and drop the tiles that no window reaches any more."""
        oldest = self.reached(after)
        for start, entries in ripe.items():
            if start < oldest:
                continue
            tile = self._added(before_it := tiles.get(start, self._zero), entries)
            if tile is not before_it:
                tiles[start] = tile
        if tiles and not self.is_endless and self.hop and oldest != self.reached(before):
            for start in [start for start in tiles if start < oldest]:
                del tiles[start]

    def _added(self, tile: Tile, entries: Sequence[Entry]) -> Tile:
        """The tile with more entries. It is the same object if none of them takes part."""
        states: list[Any] | None = None
        for part in self._parts:
            if counted := part.counted(entries):
                states = states or list(tile)
                states[part.at] = part.add(tile[part.at], counted)
        return tile if states is None else tuple(states)

    def values(self, tiles: Mapping[int, Tile], recent: list[Entry], newest: int, timestamp: int) -> dict[str, Any]:
        """The features at a timestamp. One pass, from the newest on: a window has all that a shorter one has."""
        entries = self._untiled(recent, newest, timestamp)
        starts, folded, values = sorted(tiles), self._zero, dict[str, Any]()
        tiles_end, entries_end = len(starts), len(entries)
        for reach, readings in self._readings:
            oldest = self.oldest(timestamp, reach)
            first = bisect_left(entries, (oldest,), 0, entries_end)
            if first < entries_end:
                folded, entries_end = self._added(folded, entries[first:entries_end]), first
            first = bisect_left(starts, oldest, 0, tiles_end)
            if first < tiles_end:
                older = [tiles[start] for start in reversed(starts[first:tiles_end])]
                folded, tiles_end = self._merged(older if folded is self._zero else [folded, *older]), first
            for part, name, n in readings:
                state = folded[part.at]
                values[name] = part.fold.value(state if n is None else state[:n])
        return values

    def _merged(self, tiles: Sequence[Tile]) -> Tile:
        """The tile of all entries of some tiles, of which there is at least one."""
        columns = zip(*tiles, strict=True)
        return tuple([place.merge(column) for place, column in zip(self._places, columns, strict=True)])

    def _untiled(self, recent: list[Entry], newest: int, timestamp: int) -> list[Entry]:
        """The entries that count at a timestamp and are in no tile."""
        tiled, waits = self.tiled(newest), newest - SLACK_US
        below = recent[: bisect_left(recent, (timestamp - self.delay,))]
        if not self.takes_outcomes:
            return below[bisect_left(below, (tiled,)) :]
        return [  # not `is_tiled`, without a call
            entry
            for entry in below
            if entry[OUTCOME] < timestamp and (entry[TIME] >= tiled or (entry[OUTCOME] and entry[OUTCOME] >= waits))
        ]

    @property
    def decoded(self) -> tuple[Any, Callable[[Tile], Tile] | None]:
        """The type by which a tile is decoded from JSON, and what makes the tile of it. None: it is the tile."""
        form = tuple.__class_getitem__(tuple(place.form for place in self._places))
        return form, _by_place([place.unpack for place in self._places])

    @property
    def pack(self) -> Callable[[Tile], Tile] | None:
        """Tile → what JSON can hold, the same for equal tiles; None: the tile itself."""
        return _by_place([place.pack for place in self._places])


def slots_of(aggregations: Sequence[Aggregation], columns: Sequence[str]) -> list[Slot]:
    """The slots of a table. `columns`: the names of an entry's values."""
    parts: dict[Any, list[Aggregation]] = {}
    for a in aggregations:
        parts.setdefault(_events(a), []).append(a)
    slots: dict[Any, list[list[Aggregation]]] = {}
    for alike in parts.values():
        slots.setdefault((_kind(alike[0]), max(map(_reach, alike))), []).append(alike)
    return [Slot(by_part, columns) for by_part in slots.values()]


def _kind(a: Aggregation) -> tuple[int, int, bool, bool]:
    return a.delay // MICROSECOND, a.old_edge_hop // MICROSECOND, a.window is None, a.outcome is not None


def _events(a: Aggregation) -> tuple[Any, ...]:
    """What aggregations share that fold the same of the same events, in tiles of the same length."""
    return (a.function, a.column, *a.where.items(), *_kind(a))


def _most(aggregations: Sequence[Aggregation]) -> int | None:
    """The `n` newest events are the first of a state of more."""
    return max((a.n for a in aggregations if a.n), default=None)


def _reach(a: Aggregation) -> int:
    return 0 if a.window is None else a.reach // MICROSECOND


def _by_place(functions: Sequence[Callable[[Any], Any] | None]) -> Callable[[Tile], Tile] | None:
    """A function of a tile, from one of each of its places; None where it would change nothing."""
    if not any(functions):
        return None
    return lambda tile: tuple(
        [value if function is None else function(value) for function, value in zip(functions, tile, strict=True)]
    )
