"""Windowed aggregations, defined once, as data that Python and SQL both read.

    value(key, t) = fold of the key's events with floor(t − delay − window, hop) ≤ event time < t − delay

`jobs/batch/at_ticks.py` turns a definition into SQL for the ticks of a feature table, `jobs/batch/at_moments.py` for
given timestamps. Tests compare both with a list comprehension over the events. The folds are in
`features/windows/folds.py`.
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from features.windows.folds import Function, fold
from features.windows.raw import Dtype, RawTable

ZERO = timedelta(0)
TICK = timedelta(days=1)
#: Longer than any history: how long a value without a window lives.
FOR_EVER = timedelta(days=100 * 365)
#: Longest window → the hop by which its old edge moves, unless a definition says otherwise.
HOPS = ((timedelta(hours=12), timedelta(minutes=5)), (timedelta(days=12), timedelta(hours=1)))
#: An empty count and an empty sum are 0; every other function of no events is missing.
_ZERO_WHEN_EMPTY = ("count", "count_distinct", "sum", "last_n_sum")


def _in_words(length: timedelta) -> str:
    units = {"d": timedelta(days=1), "h": timedelta(hours=1), "min": timedelta(minutes=1), "s": timedelta(seconds=1)}
    return next((f"{length // of} {unit}" for unit, of in units.items() if not length % of), str(length))


@dataclass(frozen=True)
class Aggregation:
    """One feature: `function` of `column` over the events of `window` that are as `where` says.

    column     None counts events; an event whose column is null does not take part. For `rate` it is the moment of an
               outcome, and the value is the share of the events whose outcome had come by t.
    window     None: all events ever
    where      column → the value that it has, or the values of which it has one
    delay      an event counts only from so long after it happened, because what it means was not known before
    hop        by how much the old edge moves at a time; None: by the window's length (`HOPS`), ZERO: exactly
    n          how many events `last_n_mean` and `last_n_sum` take
    """

    name: str
    function: Function
    column: str | None
    window: timedelta | None
    where: Mapping[str, Any] = field(default_factory=dict)
    delay: timedelta = ZERO
    hop: timedelta | None = None
    n: int | None = None
    unit: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        if (self.column is None) != (self.function == "count") and self.function != "count":
            raise ValueError(f"{self.name}: {self.function} needs a column. Name one.")
        if self.window is None and self.function == "rate":
            raise ValueError(f"{self.name}: a rate needs a window. Give one.")
        if self.function.startswith("last_n") != (self.n is not None):
            raise ValueError(f"{self.name}: n goes with last_n_mean and last_n_sum, and only with them.")

    @property
    def old_edge_hop(self) -> timedelta:
        if self.hop is not None or self.window is None:
            return self.hop or ZERO
        return next((hop for longest, hop in HOPS if self.window <= longest), timedelta(days=1))

    @property
    def reach(self) -> timedelta:
        """How far back from t an event may lie and still count, without the hop."""
        return FOR_EVER if self.window is None else self.delay + self.window

    @property
    def empty(self) -> float | int | None:
        """The value of an empty window: 0 for a count or a sum, missing for the others."""
        if self.function not in _ZERO_WHEN_EMPTY:
            return None
        return 0 if self.function.startswith("count") else 0.0

    def dtype(self, source: RawTable) -> Dtype:
        if self.function in ("count", "count_distinct"):
            return "int"
        return source.column(self.column or "").dtype if self.function in ("min", "max", "last") else "float"

    @property
    def window_in_words(self) -> str:
        late = f", {_in_words(self.delay)} ago" if self.delay else ""
        return ("all" if self.window is None else _in_words(self.window)) + late

    @property
    def about(self) -> str:
        where = "".join(f", {column} {value}" for column, value in self.where.items())
        return self.description or f"{self.function} of {self.column or 'events'}{where}, {self.window_in_words}."

    def over(self, events: Iterable[tuple[Any, Any]]) -> Any:
        """Fold the (value, order) pairs that the window holds. The plain definition; slow and right."""
        of = fold(self.function, self.n)
        state = of.zero
        for value, order in events:
            state = of.add(state, value, order)
        return of.value(state)


OPERATORS: dict[str, Callable[[float, float], bool]] = {"<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Flag:
    """1 where an aggregation stands beyond a bound, 0 where not, missing where the aggregation is missing.
    Data, not a lambda, so that SQL and Python read the same one."""

    name: str
    aggregation: str
    operator: Literal["<", ">"]
    bound: float
    unit: str = "0/1"
    description: str = ""

    def of(self, value: float | None) -> int | None:
        return None if value is None else int(OPERATORS[self.operator](value, self.bound))


@dataclass(frozen=True)
class Feature:
    """A column of a feature table, for the catalogue. `window` in words; None where there is none."""

    name: str
    dtype: Dtype
    window: str | None
    unit: str
    description: str


@dataclass(frozen=True)
class AggregationTable:
    """A feature table: aggregations of one raw table by one key, evaluated at day boundaries, UTC.

    A row stands where a value changed, the first all-empty one included, and again at every tick from one longest
    window after that, should nothing change for so long: so no value outlives its `ttl` while it still holds.
    `time` names the moment that dates an event; None: the raw table's own. Rows without it are no events here.
    `also`: further parts of the key, which only a live table may have. `lives`: a TTL, if not that of the windows.
    """

    name: str
    source: RawTable
    key: str
    aggregations: tuple[Aggregation, ...]
    flags: tuple[Flag, ...] = ()
    time: str | None = None
    description: str = ""
    also: tuple[str, ...] = ()
    lives: timedelta | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.key, *self.also)

    @property
    def event_time(self) -> str:
        return self.time or self.source.time

    @property
    def outcome(self) -> str | None:
        """The column of its rates, if it has any: the moment of what became of an event."""
        return next((a.column for a in self.aggregations if a.function == "rate"), None)

    @property
    def longest_reach(self) -> timedelta:
        return max(a.reach for a in self.aggregations)

    @property
    def ttl(self) -> timedelta:
        return self.lives or min(self.longest_reach + TICK, FOR_EVER)

    @property
    def empty(self) -> dict[str, float | int | None]:
        """What every feature is for a key that was never seen, or not within `ttl`."""
        values = {a.name: a.empty for a in self.aggregations}
        return values | {f.name: f.of(values[f.aggregation]) for f in self.flags}

    @property
    def features(self) -> tuple[Feature, ...]:
        windows = {a.name: a.window_in_words for a in self.aggregations}
        return (
            *(Feature(a.name, a.dtype(self.source), windows[a.name], a.unit, a.about) for a in self.aggregations),
            *(Feature(f.name, "int", windows[f.aggregation], f.unit, f.description) for f in self.flags),
        )


@dataclass(frozen=True)
class LastDistinctTable:
    """A feature table: the last two distinct `value`s that were seen with a key, by first sight.

    A row stands one microsecond after each first sight: a point-in-time join takes rows dated at or before the
    moment, and the moment's own event must not count. `last` and `previous` name the features.
    """

    name: str
    source: RawTable
    key: str
    value: str
    last: str
    previous: str
    unit: str = ""
    description: str = ""

    @property
    def event_time(self) -> str:
        return self.source.time

    @property
    def ttl(self) -> timedelta:
        return FOR_EVER

    @property
    def empty(self) -> dict[str, None]:
        return {self.last: None, self.previous: None}

    @property
    def features(self) -> tuple[Feature, ...]:
        kind = self.source.column(self.value).dtype
        return (
            Feature(self.last, kind, None, self.unit, f"The {self.value} most recently seen for the first time."),
            Feature(self.previous, kind, None, self.unit, f"The {self.value} seen before that, if any."),
        )


Table = AggregationTable | LastDistinctTable
