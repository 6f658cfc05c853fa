"""Windowed aggregations, defined once. `value(key, t) = fold of the key's events with t − window ≤ time < t`.

An aggregation is four small functions — zero, add, merge, value. A mean keeps (sum, count); nothing stores a
mean. `jobs/batch.py` runs the same definitions as SQL, at day boundaries; the tests hold both to a plain fold.
"""

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

TICK = timedelta(days=1)


@dataclass(frozen=True)
class Fold:
    """`add` takes an event's value in, `merge` joins two states (associative), `value` reads the number."""

    zero: Any
    add: Callable[[Any, float], Any]
    merge: Callable[[Any, Any], Any]
    value: Callable[[Any], float | int | None]


FOLDS: dict[str, Fold] = {
    "count": Fold(0, lambda n, _: n + 1, operator.add, lambda n: n),
    "sum": Fold(0.0, operator.add, operator.add, lambda s: s),
    "mean": Fold(
        (0.0, 0),
        lambda s, x: (s[0] + x, s[1] + 1),
        lambda a, b: (a[0] + b[0], a[1] + b[1]),
        lambda s: s[0] / s[1] if s[1] else None,
    ),
}


@dataclass(frozen=True)
class Aggregation:
    """`name` is the feature's name; `column` None counts events."""

    name: str
    function: Literal["count", "sum", "mean"]
    column: str | None
    window: timedelta

    @property
    def empty(self) -> float | int | None:
        """The value of an empty window: 0 for a count or a sum, missing for a mean."""
        fold = FOLDS[self.function]
        return fold.value(fold.zero)

    def over(self, values: Iterable[float]) -> float | int | None:
        """Fold the values that the window holds. The plain definition; slow and right."""
        fold = FOLDS[self.function]
        state = fold.zero
        for value in values:
            state = fold.add(state, value)
        return fold.value(state)


OPERATORS: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Flag:
    """1 where an aggregation stands beyond a bound, 0 where not, missing where the aggregation is missing.
    Data, not a lambda, so that SQL and Python read the same one."""

    name: str
    aggregation: str
    operator: Literal["<", ">"]
    bound: float

    def of(self, value: float | None) -> int | None:
        return None if value is None else int(OPERATORS[self.operator](value, self.bound))


@dataclass(frozen=True)
class AggregationTable:
    """A feature table: aggregations of one raw event table by one key, evaluated at day boundaries.

    A row stands at every tick whose window holds an event, and at the first tick after, all empty. So a value
    never outlives its window, and a reader who asks at any moment finds a row no older than `ttl`, or nothing.
    """

    name: str
    source: str
    key: str
    aggregations: tuple[Aggregation, ...]
    flags: tuple[Flag, ...] = ()

    @property
    def ttl(self) -> timedelta:
        return max(a.window for a in self.aggregations) + TICK

    @property
    def empty(self) -> dict[str, float | int | None]:
        """What every feature is for a key that was never seen, or not within `ttl`."""
        values = {a.name: a.empty for a in self.aggregations}
        return values | {f.name: f.of(values[f.aggregation]) for f in self.flags}


@dataclass(frozen=True)
class LastDistinctTable:
    """A feature table: the last two distinct `value`s that were seen with a key, by first sight.

    A row stands one microsecond after each first sight: a point-in-time join takes rows dated at or before the
    moment, and the moment's own event must not count. `last` and `previous` name the features.
    """

    name: str
    source: str
    key: str
    value: str
    last: str
    previous: str

    @property
    def empty(self) -> dict[str, None]:
        return {self.last: None, self.previous: None}


Table = AggregationTable | LastDistinctTable
