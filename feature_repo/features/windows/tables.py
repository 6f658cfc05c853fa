"""Feature tables: what `jobs execute` computes at every tick, and what a stream job keeps up to date."""

import math
import re
from dataclasses import dataclass
from datetime import timedelta

from features.windows.aggregation import FOR_EVER, TICK, Aggregation, Flag
from features.windows.folds import LARGEST
from features.windows.raw import Column, Dtype, RawTable

#: Columns that the queries of `jobs/batch/` have beside the features.
RESERVED = re.compile(
    r"key|t|tie|known|created|before|row_values|next_t|is_tick|event_timestamp|request_t|nth|[skm]\d+", re.IGNORECASE
)
#: Type of a column → the types of the values that `where` may have for it. SQL would cast another, such as "5" to 5.
WHERE_TYPES: dict[Dtype, tuple[type, ...]] = {"string": (str,), "int": (int,), "float": (int, float), "timestamp": ()}


@dataclass(frozen=True)
class Feature:
    """A column of a feature table, for the catalogue. `window` in words; None where there is none."""

    name: str
    dtype: Dtype
    window: str | None
    unit: str
    description: str


def _largest(column: Column) -> float:
    """How far from 0 a value of a column that is summed may be."""
    bounds = (column.minimum, column.maximum)
    return max(LARGEST if bound is None else abs(bound) for bound in bounds)


@dataclass(frozen=True)
class AggregationTable:
    """A feature table: aggregations of one raw table by one key, evaluated at day boundaries, UTC.

    A row stands where a value changed, the first all-empty one included. If nothing changes for one longest window, a
    row stands at each tick from then on. So no value outlives its `ttl` while it still holds.

    time    the column that dates an event; None: the raw table's own. A row without it is not an event of this table.
    also    further parts of the key, which only a live table may have
    lives   a TTL, if not that of the windows
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

    def __post_init__(self) -> None:
        for name in (*(a.name for a in self.aggregations), *(flag.name for flag in self.flags)):
            if not name.isidentifier() or RESERVED.fullmatch(name):
                raise ValueError(f"{self.name}: a feature cannot be named {name!r}. Choose another name.")
        for a in self.aggregations:
            for column, values in a.allowed.items():
                dtype = self.source.column(column).dtype
                if invalid := [value for value in values if type(value) not in WHERE_TYPES[dtype]]:
                    raise ValueError(
                        f"{a.name}: {column} is never {invalid[0]!r}. Its type is {dtype}: change `where`."
                    )
        for derived in self.source.derived:
            if derived.function == "product" and derived.name in self.summed_columns:
                most = math.prod(_largest(self.source.column(name)) for name in derived.columns)
                if most > LARGEST:
                    raise ValueError(
                        f"{self.name}: {derived.name} may be {most:.1e}, and a sum holds {LARGEST:.0e}. Give "
                        f"{' and '.join(derived.columns)} a minimum and a maximum."
                    )

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns of the key."""
        return (self.key, *self.also)

    @property
    def event_time(self) -> str:
        """The column that dates an event."""
        return self.time or self.source.time

    @property
    def outcome(self) -> str | None:
        """The timestamp of an outcome that its aggregations use, if any does."""
        return next((a.outcome for a in self.aggregations if a.outcome), None)

    @property
    def folded_columns(self) -> tuple[str, ...]:
        """The columns that its aggregations fold or filter by, each once."""
        names = (name for a in self.aggregations for name in (a.column, *a.where) if name)
        return tuple(dict.fromkeys(names))

    @property
    def summed_columns(self) -> frozenset[str]:
        """The columns whose values it adds up, and those that such a column is computed from."""
        summed = {a.column for a in self.aggregations if a.column and {"units", "root_units"} & set(a.record.keeps)}
        derived = {name for d in self.source.derived if d.name in summed for name in d.columns}
        return frozenset(summed | derived)

    @property
    def longest_reach(self) -> timedelta:
        """How far back an event may lie and still count, without the hop."""
        return max(a.reach for a in self.aggregations)

    @property
    def ttl(self) -> timedelta:
        """How long a row may be served after its timestamp."""
        return self.lives or min(self.longest_reach + TICK, FOR_EVER)

    @property
    def empty(self) -> dict[str, float | int | None]:
        """Feature → its value for a key without a row within `ttl`."""
        values = {a.name: a.empty for a in self.aggregations}
        return values | {flag.name: flag.value(values[flag.aggregation]) for flag in self.flags}

    @property
    def features(self) -> tuple[Feature, ...]:
        """Every column, for the catalogue."""
        windows = {a.name: a.window_in_words for a in self.aggregations}
        return (
            *(Feature(a.name, a.dtype(self.source), windows[a.name], a.unit, a.about) for a in self.aggregations),
            *(Feature(f.name, "int", windows[f.aggregation], f.unit, f.description) for f in self.flags),
        )


@dataclass(frozen=True)
class LastDistinctTable:
    """A feature table: the last two distinct `value`s of a key, by when each was first seen.

    A row is dated one microsecond after an event that brought a new value. A point-in-time join takes rows dated at or
    before its timestamp, and an event of that very timestamp must not count. `last` and `previous` name the features.
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
    def keys(self) -> tuple[str, ...]:
        """The columns of the key."""
        return (self.key,)

    @property
    def event_time(self) -> str:
        """The column that dates an event."""
        return self.source.time

    @property
    def folded_columns(self) -> tuple[str, ...]:
        """The columns of the raw table that are folded."""
        return (self.value,)

    @property
    def ttl(self) -> timedelta:
        """How long a row may be served after its timestamp."""
        return FOR_EVER

    @property
    def empty(self) -> dict[str, None]:
        """Feature → its value for a key without a row."""
        return {self.last: None, self.previous: None}

    @property
    def features(self) -> tuple[Feature, ...]:
        """Every column, for the catalogue."""
        dtype = self.source.column(self.value).dtype
        return (
            Feature(self.last, dtype, None, self.unit, f"The {self.value} most recently seen for the first time."),
            Feature(self.previous, dtype, None, self.unit, f"The {self.value} seen before that, if any."),
        )


Table = AggregationTable | LastDistinctTable
