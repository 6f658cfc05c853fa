"""Which entries a fold takes, and what it takes of them."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from features.windows.aggregation import Aggregation
from features.windows.folds import Fold
from features.windows.tiles import OUTCOME, VALUES, Entry


class Part:
    """The part of a tile that belongs to one fold of the same column and the same events."""

    def __init__(self, aggregation: Aggregation, columns: Sequence[str], first: int) -> None:
        """`columns`: the names of an entry's values. `first`: the first of its places in a tile."""
        self.fold: Fold = aggregation.fold
        numbers = self.fold.numbers
        #: Where a tile has its state.
        self.at: Any = first if numbers is None else slice(first, first + numbers)
        self.takes_outcomes = aggregation.outcome is not None
        column = aggregation.column
        self._place = VALUES + columns.index(column) if column is not None and column in columns else None
        self._where = [
            (VALUES + columns.index(name), frozenset(values)) for name, values in aggregation.allowed.items()
        ]
        self._needs_order = "order" in aggregation.record.keeps
        self.add, self.counted = self._adder(), self._counting()

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

    def _counts(self, entry: Entry) -> bool:
        """Whether the entry takes part at all."""
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
            return lambda entries: list(filter(self._counts, entries))
        if place is not None:
            value: int = place
            return lambda entries: [entry for entry in entries if entry[value] is not None and not entry[OUTCOME]]
        for column, allowed in where:
            return lambda entries: [entry for entry in entries if entry[column] in allowed and not entry[OUTCOME]]
        return lambda entries: [entry for entry in entries if not entry[OUTCOME]]
