"""The folds: each is `zero, add, merge, value`. `merge` joins the states of two parts of the events, in any pieces and
any order, to the last digit the same, so that a batch over a month and a stream of tiles give one answer.

Sums are therefore kept in whole billionths (`units`), not as floats, whose last digit depends on the order of adding.
An event is (value, order): `order` is its time and, for ties, its id; only the `last` folds look at it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Function = Literal[
    "count", "sum", "mean", "min", "max", "count_distinct", "last", "stddev", "last_n_mean", "last_n_sum", "rate"
]
#: A sum is kept in billionths, a sum of squares in those of millionths. No value may be over `LARGEST`.
UNITS, ROOT_UNITS, LARGEST = 10**9, 10**6, 9e9


@dataclass(frozen=True)
class Fold:
    """`add` takes an event in, `merge` joins two states (associative, commutative), `value` reads the number."""

    zero: Any
    add: Callable[[Any, Any, Any], Any]
    merge: Callable[[Any, Any], Any]
    value: Callable[[Any], Any]


def _plus(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _units(value: float, units: int = UNITS) -> int:
    return round(value * units)


def _mean(state: tuple[int, int]) -> float | None:
    total, n = state
    return float(total) / float(n * UNITS) if n else None


def _stddev(state: tuple[int, int, int]) -> float | None:
    """Of a sample: missing under two events."""
    squares, total, n = state
    if n < 2:
        return None
    return math.sqrt(float(n * squares - total * total) / float(n * (n - 1))) / ROOT_UNITS


def _extreme(choose: Callable[[Any, Any], Any]) -> Fold:
    def merge(a: Any, b: Any) -> Any:
        return b if a is None else a if b is None else choose(a, b)

    return Fold(None, lambda s, x, _: merge(s, x), merge, lambda s: s)


def _last_n(n: int, value: Callable[[list[Any]], Any]) -> Fold:
    def merge(a: tuple, b: tuple) -> tuple:
        return tuple(sorted(a + b, reverse=True)[:n])

    return Fold((), lambda s, x, order: merge(s, ((order, x),)), merge, lambda s: value([x for _, x in s]))


def _squares(value: float) -> tuple[int, int, int]:
    root = _units(value, ROOT_UNITS)
    return (root * root, root, 1)


FOLDS: dict[str, Fold] = {
    "count": Fold(0, lambda n, _, __: n + 1, lambda a, b: a + b, lambda n: n),
    "sum": Fold(0, lambda s, x, _: s + _units(x), lambda a, b: a + b, lambda s: float(s) / UNITS),
    "mean": Fold((0, 0), lambda s, x, _: _plus(s, (_units(x), 1)), _plus, _mean),
    "stddev": Fold((0, 0, 0), lambda s, x, _: _plus(s, _squares(x)), _plus, _stddev),
    "min": _extreme(min),
    "max": _extreme(max),
    "count_distinct": Fold(frozenset(), lambda s, x, _: s | {x}, lambda a, b: a | b, len),
    "last": _last_n(1, lambda values: values[0] if values else None),
    # The value is 1 where the outcome had come by the moment, else 0.
    "rate": Fold((0, 0), lambda s, x, _: _plus(s, (x, 1)), _plus, lambda s: s[0] / s[1] if s[1] else None),
}


def fold(function: Function, n: int | None = None) -> Fold:
    """`n`: how many events a last-N fold keeps. A last-N mean or sum is exact in the same units."""
    if function == "last_n_mean":
        return _last_n(n or 1, lambda v: _mean((sum(map(_units, v)), len(v))))
    if function == "last_n_sum":
        return _last_n(n or 1, lambda v: float(sum(map(_units, v))) / UNITS)
    return FOLDS[function]
