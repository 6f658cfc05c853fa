"""Entries of one key, and how they move into tiles and count at a timestamp. Pure, and the same in whatever order
entries arrive."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import itemgetter
from typing import Any

from features.utc import MICROSECOND
from features.windows.aggregation import Aggregation, old_edge
from features.windows.folds import Fold

#: A state answers any timestamp from this long before its newest event on, µs: between a question and its answer,
#: events of others arrive. For an earlier timestamp it answers the first that it can.
SLACK_US = 2_000_000
#: An event may be dated this much later than it arrives, µs: clocks differ.
AHEAD_US = 10_000_000
#: Before every event, µs.
NEVER = -(2**63)

#: What an event, or its outcome, is to a table: a tuple whose places are below.
Entry = tuple[Any, ...]
#: The event time, µs since 1970; the event's id, or 0 where ids make no difference; the timestamp of its outcome, µs,
#: or 0 for the event itself; from VALUES on, the values of the table's columns.
TIME, ID, OUTCOME, VALUES = range(4)


def entry_maker(time: str, id_column: str | None, columns: Sequence[str]) -> Callable[[Mapping[str, Any]], Entry]:
    """A function from a row to the entry of its event.

    >>> entry_maker("at", "id", ["x"])({"at": 5, "id": "e1", "x": 2.5, "y": 0})
    (5, 'e1', 0, 2.5)
    >>> entry_maker("at", None, [])({"at": 5, "id": "e1"})
    (5, 0, 0)
    """
    if not columns:
        return (lambda row: (row[time], row[id_column], 0)) if id_column else lambda row: (row[time], 0, 0)
    if len(columns) == 1:
        (column,) = columns
        if id_column:
            return lambda row: (row[time], row[id_column], 0, row[column])
        return lambda row: (row[time], 0, 0, row[column])
    values = itemgetter(*columns)
    if id_column:
        return lambda row: (row[time], row[id_column], 0, *values(row))
    return lambda row: (row[time], 0, 0, *values(row))


def key_maker(columns: Sequence[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """A function from a row to the values of its key.

    >>> key_maker(["who"])({"who": "w1", "place": "p1"}), key_maker(["who", "place"])({"who": "w1", "place": "p1"})
    (('w1',), ('w1', 'p1'))
    """
    if len(columns) > 1:
        return itemgetter(*columns)
    (column,) = columns
    return lambda row: (row[column],)


def outcome_entry(entry: Entry, outcome: int) -> Entry:
    """The entry of an event's outcome, from that of the event and the outcome's timestamp, µs.

    >>> outcome_entry((5, "e1", 0, 2.5), 9)
    (5, 'e1', 9, 2.5)
    """
    return (*entry[:OUTCOME], outcome, *entry[VALUES:])


class Slot:
    """The tiles that some aggregations share: those that differ in nothing but how far back they reach. All times are
    in µs."""

    def __init__(self, aggregation: Aggregation, columns: Sequence[str]) -> None:
        """`columns`: the names of an entry's values."""
        self.fold: Fold = aggregation.fold
        self.takes_outcomes = aggregation.outcome is not None
        self.delay = aggregation.delay // MICROSECOND
        self.hop = aggregation.old_edge_hop // MICROSECOND
        self.is_endless = aggregation.window is None
        self.reach = 0
        column = aggregation.column
        self._place = VALUES + columns.index(column) if column is not None and column in columns else None
        self._where = [
            (VALUES + columns.index(name), frozenset(value if isinstance(value, tuple) else (value,)))
            for name, value in aggregation.where.items()
        ]
        self._needs_order = "order" in aggregation.record.keeps
        self._add, self.counted = self._adder(), self._counting()

    def _adder(self) -> Callable[[Any, list[Entry]], Any]:
        """(state, entries) → the state with more entries. A function of its own for each kind of fold: it runs for
        every event."""
        add, add_many, add_outcome, place = self.fold.add, self.fold.added, self.fold.add_outcome, self._place
        if add_outcome is not None:
            return lambda state, entries: reduce(
                lambda state, entry: (
                    add_outcome(state, entry[:OUTCOME]) if entry[OUTCOME] else add(state, 0, entry[:OUTCOME])
                ),
                entries,
                state,
            )
        if place is None and self._needs_order:
            return lambda state, entries: add_many(state, [(None, entry[:OUTCOME]) for entry in entries])
        if place is None:
            return lambda state, entries: add_many(state, [(None, None)] * len(entries))
        if self._needs_order:
            return lambda state, entries: add_many(state, [(entry[place], entry[:OUTCOME]) for entry in entries])
        return lambda state, entries: add_many(state, [(entry[place], None) for entry in entries])

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

    def counts(self, entry: Entry) -> bool:
        """Whether the entry takes part in this aggregation at all."""
        if entry[OUTCOME] and not self.takes_outcomes:
            return False
        for place, allowed in self._where:
            if entry[place] not in allowed:
                return False
        return self._place is None or entry[self._place] is not None

    def _counting(self) -> Callable[[Sequence[Entry]], list[Entry]]:
        """Entries → those that take part. A function of its own for each usual kind: it runs for every event."""
        place, where = self._place, self._where
        if self.takes_outcomes or len(where) + (place is not None) > 1:
            return lambda entries: list(filter(self.counts, entries))
        if place is not None:
            value: int = place
            return lambda entries: [entry for entry in entries if entry[value] is not None and not entry[OUTCOME]]
        for column, allowed in where:
            return lambda entries: [entry for entry in entries if entry[column] in allowed and not entry[OUTCOME]]
        return lambda entries: [entry for entry in entries if not entry[OUTCOME]]

    @property
    def kind(self) -> tuple[Any, ...]:
        """The entries of slots of one kind are ripe together, and go into tiles with the same starts."""
        return self.delay, self.hop, self.is_endless, self.takes_outcomes

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

    def take(self, tiles: dict[int, Any], ripe: Mapping[int, list[Entry]], before: int, after: int) -> None:
        """Take `ripe` entries into tiles, and drop the tiles that no window reaches any more."""
        oldest = self.reached(after)
        for start, entries in ripe.items():
            if start >= oldest and (counted := self.counted(entries)):
                tiles[start] = self._add(tiles.get(start, self.fold.zero), counted)
        if tiles and not self.is_endless and self.hop and oldest != self.reached(before):
            for start in [start for start in tiles if start < oldest]:
                del tiles[start]

    def values(
        self,
        tiles: Mapping[int, Any],
        recent: Sequence[Entry],
        newest: int,
        timestamp: int,
        readings: Sequence[tuple[int, int | None]],
    ) -> list[Any]:
        """The values at a timestamp of the aggregations that reach so far back and take so many events; they reach back
        further and further. One pass, from the newest tile on: a window has all tiles of a shorter one."""
        fold, young, waits = self.fold, timestamp - self.delay, newest - SLACK_US
        tiled = self.tiled(newest)
        recent = recent[: bisect_left(recent, (young,))]
        if not self.takes_outcomes:
            entries = self.counted(recent[bisect_left(recent, (tiled,)) :])
        else:  # not `is_tiled`, without a call
            entries = [
                entry
                for entry in recent
                if entry[OUTCOME] < timestamp
                and (entry[TIME] >= tiled or (entry[OUTCOME] and entry[OUTCOME] >= waits))
                and self.counts(entry)
            ]
        starts, merged, values = sorted(tiles), fold.zero, []
        parts, end = [tiles[start] for start in starts], len(starts)
        for reach, n in readings:
            oldest = self.oldest(timestamp, reach)
            first = bisect_left(starts, oldest, 0, end)
            if first < end:
                merged, end = fold.merged([merged, *parts[first:end]]), first
            counted = [entry for entry in entries if entry[TIME] >= oldest] if entries else entries
            whole = self._add(merged, counted) if counted else merged
            values.append(fold.value(whole if n is None else whole[:n]))
        return values
