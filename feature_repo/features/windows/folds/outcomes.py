"""The fold of outcomes, which are known later than their events."""

from collections.abc import Iterable
from itertools import chain
from typing import Any

from features.windows.folds import Fold, Order


def newest_outcomes(n: int) -> Fold:
    """The share of the `n` newest events whose outcome is known. An outcome may arrive before its event.

    >>> two = newest_outcomes(2)
    >>> state = two.added(two.zero, [(0, (1, "a")), (0, (2, "b")), (0, (3, "c"))])
    >>> two.value(two.add_outcome(state, (2, "b"))), two.value(two.add_outcome(state, (1, "a")))
    (0.5, 0.0)
    """

    def merge(*states: Iterable[Any]) -> tuple[Any, ...]:
        known: dict[Order, int] = {}
        for event, is_known in sorted(chain.from_iterable(states), reverse=True):
            if event not in known and len(known) == n:
                break
            known.setdefault(event, is_known)
        return tuple(known.items())

    def value(state: tuple[Any, ...]) -> float | None:
        return sum(is_known for _, is_known in state) / len(state) if state else None

    return Fold(
        (), lambda state, known, order: merge(state, [(order, known)]), merge, value,
        add_outcome=lambda state, order: merge(state, [(order, 1)]),
        merge_many=lambda states: merge(*states),
        form=tuple[tuple[tuple[Any, ...], int], ...],
    )  # fmt: skip
