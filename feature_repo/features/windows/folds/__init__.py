"""The algebra of folds: how the events of a window become one number, in any pieces and in any order.

A fold is `zero, add, merge, value`. `merge` joins the states of two parts of the events, in any grouping and order, to
the same state to the last digit. So a batch over a month and a stream of tiles give one answer.

Sums are kept in whole billionths, not as floats: the last digit of a float sum depends on the order of its additions.

>>> total = summed(billionths, lambda units: units / UNITS)
>>> state = total.add(total.add(total.zero, 0.1, None), 0.2, None)
>>> state, total.value(state), 0.1 + 0.2
(300000000, 0.3, 0.30000000000000004)
>>> total.value(total.merge(state, total.add(total.zero, 0.7, None)))
1.0

`features/windows/functions.py` has a record for each function that is a fold.
"""

from array import array
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import md5
from itertools import chain
from operator import add
from typing import Any, NamedTuple

#: A sum is kept in billionths, a sum of squares in the squares of millionths.
UNITS, ROOT_UNITS = 10**9, 10**6
#: No value may be over it.
LARGEST = 9e9

#: A count of different values is exact up to this many.
EXACT = 1000

#: The event time (µs since 1970) and the id of an event. Events are ordered by it.
Order = tuple[Any, ...]


def _tuples(state: Any) -> Any:
    """A state as JSON has it, with tuples for its lists."""
    if not isinstance(state, list):
        return state
    return tuple([_tuples(part) if isinstance(part, list) else part for part in state])


@dataclass(frozen=True)
class Fold:
    """How events become a number.

    zero          the state of no events
    add           (state, value, order) → the state with one more event
    merge         (state, state) → the state of both; associative and commutative
    value         state → the number
    add_outcome   (state, order) → the state once the outcome of that event is known; of shares of known outcomes only
    add_many      (state, list of values and orders) → the state with all of them, in one step; None: by `add`
    merge_many    states, at least one → the state of all of them, in one step; None: by `merge`
    numbers       the state is a tuple of so many whole numbers, which `merge` adds one by one; None: it is none
    form          the type of such a state, for a decoder of JSON; None: any, with tuples for the lists of JSON
    pack, unpack  state → what JSON can hold, the same for equal states; None: the state itself → and back
    """

    zero: Any
    add: Callable[[Any, Any, Any], Any]
    merge: Callable[[Any, Any], Any]
    value: Callable[[Any], Any]
    add_outcome: Callable[[Any, Order], Any] | None = None
    pack: Callable[[Any], Any] | None = None
    unpack: Callable[[Any], Any] | None = None
    add_many: Callable[[Any, list[tuple[Any, Any]]], Any] | None = None
    merge_many: Callable[[Sequence[Any]], Any] | None = None
    numbers: int | None = None
    form: Any = None

    def added(self, state: Any, pairs: list[tuple[Any, Any]]) -> Any:
        """The state with more events, each a value and an order. It takes a number of steps that grows with the events,
        and not with the events times the size of the state."""
        if self.add_many is not None:
            return self.add_many(state, pairs) if pairs else state
        for value, order in pairs:
            state = self.add(state, value, order)
        return state

    def merged(self, states: Sequence[Any]) -> Any:
        """The state of all the events of the states, of which there is at least one."""
        if len(states) == 1:
            return states[0]
        return reduce(self.merge, states) if self.merge_many is None else self.merge_many(states)

    @property
    def places(self) -> "list[Place]":
        """What a row keeps of a state: each of its whole numbers, or the state itself."""
        if self.numbers is not None:
            return [Place(int, sum)] * self.numbers
        merge = self.merge_many or self.merged
        if self.form is not None:
            return [Place(self.form, merge)]
        return [Place(Any, merge, self.pack, self.unpack or _tuples)]


class Place(NamedTuple):
    """A place of a row that is merged with other rows, and written as JSON.

    form          the type by which it is decoded from JSON
    merge         its values in some rows, at least one → the value of them all
    pack, unpack  its value → what JSON can hold, the same for equal values; None: the value itself → and back
    """

    form: Any
    merge: Callable[[Sequence[Any]], Any]
    pack: Callable[[Any], Any] | None = None
    unpack: Callable[[Any], Any] | None = None


def billionths(value: float) -> int:
    """
    >>> billionths(0.1)
    100000000
    """
    return round(value * UNITS)


def millionths(value: float) -> int:
    """The same of `ROOT_UNITS`."""
    return round(value * ROOT_UNITS)


def plus(*states: tuple[int, ...]) -> tuple[int, ...]:
    """
    >>> plus((1, 2), (10, 20), (100, 200))
    (111, 222)
    """
    return tuple(map(sum, zip(*states, strict=True)))


def totals(n: int, add_one: Callable[[Any, Any, Any], Any], value: Callable[[Any], Any], **more: Any) -> Fold:
    """`n` whole numbers, which are added one by one; `more` as `Fold` takes it."""
    return Fold((0,) * n, add_one, plus, value, merge_many=lambda states: plus(*states), numbers=n, **more)


def summed(amount: Callable[[Any], int], value: Callable[[int], Any]) -> Fold:
    """The whole numbers that `amount` makes of the values, added."""
    return Fold(0, lambda total, x, _: total + amount(x), add, value, merge_many=sum, form=int)


def extreme(choose: Callable[..., Any]) -> Fold:
    """
    >>> most = extreme(max)
    >>> most.value(most.add(most.add(most.zero, 3, None), 2, None)), most.value(most.zero)
    (3, None)
    """

    def merge(a: Any, b: Any) -> Any:
        return b if a is None else a if b is None else choose(a, b)

    return Fold(
        None, lambda state, x, _: merge(state, x), merge, lambda state: state, form=Any,
        merge_many=lambda states: choose(
            (x for x in states if x is not None) if None in states else states, default=None
        ),
    )  # fmt: skip


def newest(n: int, value: Callable[[list[Any]], Any]) -> Fold:
    """The `n` newest values, the newest first.

    >>> two = newest(2, list)
    >>> state = two.add(two.add(two.add(two.zero, "b", (2, "id")), "c", (3, "id")), "a", (1, "id"))
    >>> two.value(state)
    ['c', 'b']
    """

    def merge(a: tuple[Any, ...], b: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(sorted([*a, *b], reverse=True)[:n])

    return Fold(
        (), lambda state, x, order: merge(state, ((order, x),)), merge, lambda state: value([x for _, x in state]),
        add_many=lambda state, pairs: merge(state, ((order, x) for x, order in pairs)),
        merge_many=lambda states: merge((), chain.from_iterable(states)),
        form=tuple[tuple[tuple[Any, ...], Any], ...],
    )  # fmt: skip


def hashed(value: Any) -> int:
    """64 bits of a value, which look random. DuckDB computes the same; see `jobs/raw/relations.py`.

    >>> hashed("a"), hashed(0.1) == hashed(0.10000000000000001), hashed(0.0) == hashed(-0.0)
    (7000413967451013937, True, True)
    """
    text = f"{value + 0.0:.17g}" if isinstance(value, float) else str(value)
    return int.from_bytes(md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def distinct() -> Fold:
    """How many different values, of their hashes: exact up to `EXACT` values. Above, the state keeps the smallest
    `EXACT` + 1 hashes, and the value is an estimate: so many lie below the largest of them, so that many lie in all.

    >>> count = distinct()
    >>> count.value(count.added(count.zero, [(n % 1_000, None) for n in range(5_000)]))
    1000
    >>> count.value(count.added(count.zero, [(n, None) for n in range(50_000)]))
    51953
    """

    def smallest(hashes: list[int]) -> "array[int]":
        # Sorted before those that are there twice are dropped: states are in order, and to merge sorted parts is fast.
        return array("Q", list(dict.fromkeys(sorted(hashes)))[: EXACT + 1])

    def added(state: "array[int]", pairs: list[tuple[Any, Any]]) -> "array[int]":
        if len(pairs) > EXACT // 10:
            return smallest([*state, *(hashed(x) for x, _ in pairs)])
        changed = state[:]
        for x, _ in pairs:
            number = hashed(x)
            place = bisect_left(changed, number)
            if place <= EXACT and (place == len(changed) or changed[place] != number):
                changed.insert(place, number)
                del changed[EXACT + 1 :]
        return changed

    def unpack(packed: str | list[Any]) -> "array[int]":
        if isinstance(packed, list):  # the values, as earlier versions kept them
            return smallest(list(map(hashed, packed)))
        return array("Q", b64decode(packed))

    def value(state: "array[int]") -> int:
        return len(state) if len(state) <= EXACT else max(EXACT + 1, EXACT * 2**64 // state[-1])

    return Fold(
        array("Q"),
        lambda state, x, _: added(state, [(x, None)]),
        lambda a, b: smallest([*a, *b]),
        value,
        pack=lambda state: b64encode(state).decode(),
        unpack=unpack,
        add_many=added,
        merge_many=lambda states: smallest(list(chain.from_iterable(states))),
    )
