"""Windowed aggregations, defined once, as data that Python and SQL both read.

    value(key, t) = fold of the key's events with floor(t − delay − window, hop) ≤ event time < t − delay

`jobs/batch/at_ticks.py` turns a definition into SQL for the ticks of a feature table, `jobs/batch/at_moments.py` into
SQL for given timestamps. `features/windows/state.py` computes it event by event. The tests compare all three with a
list comprehension over the events. `features/windows/functions.py` has the functions.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from features.utc import MICROSECOND
from features.windows.folds import Fold, Order
from features.windows.functions import FUNCTIONS, Function, named
from features.windows.raw import Dtype, RawTable

ZERO = timedelta(0)
TICK = timedelta(days=1)
#: Longer than any history: the TTL of a value without a window.
FOR_EVER = timedelta(days=100 * 365)
#: Longest window → the hop by which its old edge moves, unless a definition says otherwise.
HOPS = ((timedelta(hours=12), timedelta(minutes=5)), (timedelta(days=12), timedelta(hours=1)))


def old_edge(timestamp_us: int, reach_us: int, hop_us: int) -> int:
    """From when on an event counts at a timestamp, µs since 1970. A hop of 0 is exact. `jobs/batch/layout.py` has the
    same in SQL.

    >>> old_edge(1_007, 100, 50), old_edge(1_007, 100, 0)
    (900, 907)
    """
    edge = timestamp_us - reach_us
    return edge - edge % hop_us if hop_us else edge


def _in_words(length: timedelta) -> str:
    units = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1), "s": timedelta(seconds=1)}
    return next((f"{length // unit} {name}" for name, unit in units.items() if not length % unit), str(length))


@dataclass(frozen=True)
class Aggregation:
    """One feature: `function` of `column` over the events of `window` that are as `where` says.

    function   the name of a record in `features/windows/functions.py`
    column     an event whose column is null does not take part. None counts events. For `rate` and `last_n_rate` it is
               the timestamp of an outcome: the value is the share of the events whose outcome was known at t.
    window     None: all events
    where      column → the value that it has, or a tuple of values of which it has one
    delay      how long after an event it starts to count, because what it means was not known before
    hop        how far the old edge moves at a time; None: by the window's length (`HOPS`), ZERO: exactly
    n          how many events the functions of the n newest take

    Raises ValueError where the definition means nothing.

    >>> Aggregation("spent_1d", "sum", "amount", timedelta(days=1)).over([(1.5, 1), (2.25, 2)])
    3.75
    >>> Aggregation("spent_1d", "summ", "amount", timedelta(days=1))
    Traceback (most recent call last):
    ValueError: spent_1d: There is no function 'summ'. Did you mean 'sum'? Choose one of: count, count_distinct, sum, \
mean, stddev, min, max, last, last_n_mean, last_n_sum, rate, \
last_n_rate.
    """

    name: str
    function: str
    column: str | None
    window: timedelta | None
    where: Mapping[str, Any] = field(default_factory=dict)
    delay: timedelta = ZERO
    hop: timedelta | None = None
    n: int | None = None
    unit: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        try:
            function = named(self.function)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None
        if function.needs_column and self.column is None:
            raise ValueError(f"{self.name}: {self.function} needs a column. Name one.")
        if function.needs_window and self.window is None:
            raise ValueError(f"{self.name}: {self.function} needs a window. Give one.")
        if function.needs_n != (self.n is not None):
            takers = ", ".join(name for name, record in FUNCTIONS.items() if record.needs_n)
            raise ValueError(f"{self.name}: n goes with {takers}, and only with them.")
        least = {"window": MICROSECOND, "delay": ZERO, "hop": ZERO, "n": 1}
        for argument, minimum in least.items():
            if (value := getattr(self, argument)) is not None and value < minimum:
                raise ValueError(f"{self.name}: {argument} is {value}. The least is {minimum}.")

    @property
    def record(self) -> Function:
        """What its function is."""
        return named(self.function)

    @property
    def fold(self) -> Fold:
        """How events become the value, in Python."""
        return self.record.fold_of(self.n)

    @property
    def allowed(self) -> Mapping[str, tuple[Any, ...]]:
        """Column → the values of which an event has one to count."""
        return {column: value if isinstance(value, tuple) else (value,) for column, value in self.where.items()}

    @property
    def outcome(self) -> str | None:
        """Its column, if that is the timestamp of an outcome."""
        return self.column if self.record.takes_outcomes else None

    @property
    def old_edge_hop(self) -> timedelta:
        """By how much the old edge of the window moves at a time; ZERO: it moves exactly."""
        if self.hop is not None or self.window is None:
            return self.hop or ZERO
        return next((hop for longest, hop in HOPS if self.window <= longest), timedelta(days=1))

    @property
    def reach(self) -> timedelta:
        """How far back from t an event may be and still count, without the hop."""
        return FOR_EVER if self.window is None else self.delay + self.window

    def old_edge(self, timestamp_us: int) -> int:
        """From when on an event counts at a timestamp, µs since 1970."""
        return old_edge(timestamp_us, self.reach // MICROSECOND, self.old_edge_hop // MICROSECOND)

    @property
    def empty(self) -> float | int | None:
        """The value of a window without events; None: missing."""
        return self.record.empty

    def dtype(self, source: RawTable) -> Dtype:
        """The type of the value, for events of this raw table."""
        if (dtype := self.record.dtype) is not None or self.column is None:
            return dtype or "int"
        return source.column(self.column).dtype

    @property
    def window_in_words(self) -> str:
        """The window and the delay for people, such as `7 d, 1 d ago`; `all` for all events."""
        delay = f", {_in_words(self.delay)} ago" if self.delay else ""
        return ("all" if self.window is None else _in_words(self.window)) + delay

    @property
    def about(self) -> str:
        """The description; without one, what the definition says in words."""
        where = "".join(f", {column} {value}" for column, value in self.where.items())
        return self.description or f"{self.function} of {self.column or 'events'}{where}, {self.window_in_words}."

    def over(self, events: Iterable[tuple[Any, Order]]) -> Any:
        """Fold the (value, order) pairs that the window holds. The plain definition; slow and right."""
        fold = self.fold
        return fold.value(fold.added(fold.zero, list(events)))


OPERATORS: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Flag:
    """1 where an aggregation is beyond a bound, 0 where it is not, missing where the aggregation is missing. It is
    data, not a lambda: SQL and Python read the same flag.

    >>> flag = Flag("few", "trips", "<", 10)
    >>> flag.value(9.5), flag.value(10), flag.value(None), flag.sql
    (1, 0, None, 'CAST("trips" < 10 AS BIGINT)')
    """

    name: str
    aggregation: str
    operator: Literal["<", ">"]
    bound: float
    unit: str = "0/1"
    description: str = ""

    def value(self, number: float | None) -> int | None:
        """1, 0 or missing, as the aggregation's value compares with the bound."""
        return None if number is None else int(OPERATORS[self.operator](number, self.bound))

    @property
    def sql(self) -> str:
        """Over a relation with a column for the aggregation."""
        return f'CAST("{self.aggregation}" {self.operator} {self.bound} AS BIGINT)'
