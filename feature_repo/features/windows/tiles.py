"""What a state keeps of one key, and how entries come into its tiles and count at a moment: pure, and in any order."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from features.utc import MICROSECOND
from features.windows.aggregation import Aggregation
from features.windows.folds import Fold, fold

#: A state answers any moment from so much before its newest event on, µs: others' events come between a question and
#: its answer. Asked for an earlier one, it answers that one.
SLACK = 2_000_000
#: An event may be dated so much later than it comes: clocks differ.
AHEAD = 10_000_000
#: Before every event.
NEVER = -(2**63)

#: The name of what stands in a row for the outcome of what has none, 0.
NO_OUTCOME = ""

#: When it happened (µs since 1970), its id or 0, when its outcome came (µs; 0 for the event itself), and its values in
#: the order of `LiveTable.columns`.
Entry = tuple[Any, ...]


@dataclass
class State:
    """Of one key. `tiles`: for each of the table's slots, the start of a tile → its fold's state. `recent`: entries
    that are not in the tiles of every slot yet, oldest first. `newest`: the latest moment of any entry."""

    tiles: list[dict[int, Any]]
    recent: list[Entry] = field(default_factory=list)
    newest: int = NEVER


class Slot:
    """Tiles that aggregations share: those that differ in nothing but how far back they reach."""

    def __init__(self, of: Aggregation, columns: Sequence[str]) -> None:
        self.fold: Fold = fold(of.function, of.n)
        self.is_rate = of.function == "rate"
        self.delay = of.delay // MICROSECOND
        self.hop = of.old_edge_hop // MICROSECOND
        self.is_endless = of.window is None
        self.reach = 0
        self._column = columns.index(of.column) + 3 if of.column in columns else None
        self._where = [
            (columns.index(name) + 3, frozenset(value if isinstance(value, tuple) else (value,)))
            for name, value in of.where.items()
        ]

    def oldest(self, moment: int, reach: int) -> int:
        """From when on events count at a moment."""
        if self.is_endless:
            return NEVER
        edge = moment - reach
        return edge - edge % self.hop if self.hop else edge

    def reached(self, newest: int) -> int:
        """From when on events may count at a moment that can still be asked about."""
        return self.oldest(newest - SLACK, self.reach)

    def tiled(self, newest: int) -> int:
        """Events before it are in tiles. Where the old edge moves by the microsecond, none."""
        return newest - SLACK - self.delay if self.hop or self.is_endless else NEVER

    def is_tiled(self, entry: Entry, newest: int) -> bool:
        return entry[0] < self.tiled(newest) and (not entry[2] or entry[2] < newest - SLACK)

    def counts(self, entry: Entry) -> bool:
        if entry[2] and not self.is_rate:
            return False
        for at, wanted in self._where:
            if entry[at] not in wanted:
                return False
        return self._column is None or entry[self._column] is not None

    def add(self, state: Any, entry: Entry) -> Any:
        if self.is_rate:
            return (state[0] + 1, state[1]) if entry[2] else (state[0], state[1] + 1)
        return self.fold.add(state, None if self._column is None else entry[self._column], entry[:2])

    def take(self, tiles: dict[int, Any], recent: list[Entry], came: Sequence[Entry], before: int, after: int) -> None:
        """Move into tiles what is ripe now and was not before; drop the tiles that no window reaches any more.
        `before`, `after`: the newest moment without and with what came."""
        high, oldest = self.tiled(after), self.reached(after)
        fresh: list[Entry] = []
        if recent and recent[0][0] < high:
            low = self.tiled(before)
            kept = recent[: bisect_left(recent, (high,))]
            if self.is_rate:
                new = set(came)
                fresh = [e for e in kept if self.is_tiled(e, after) and (e in new or not self.is_tiled(e, before))]
            else:
                fresh = [e for e in came if e[0] < low] if before != NEVER else []
                fresh += kept[bisect_left(kept, (low,)) :]
        hop, endless, zero = self.hop, self.is_endless, self.fold.zero
        for entry in fresh:
            if entry[0] >= oldest and self.counts(entry):
                start = NEVER if endless else entry[0] - entry[0] % hop
                tiles[start] = self.add(tiles.get(start, zero), entry)
        if tiles and not endless and hop and oldest != self.reached(before):
            for start in [start for start in tiles if start < oldest]:
                del tiles[start]

    def at(self, tiles: Mapping[int, Any], state: State, moment: int, reach: int) -> Any:
        oldest, merged, merge = self.oldest(moment, reach), self.fold.zero, self.fold.merge
        for start, of in tiles.items():
            if start >= oldest:
                merged = merge(merged, of)
        for entry in state.recent:
            if (
                oldest <= entry[0] < moment - self.delay
                and entry[2] < moment
                and not self.is_tiled(entry, state.newest)
                and self.counts(entry)
            ):
                merged = self.add(merged, entry)
        return self.fold.value(merged)
