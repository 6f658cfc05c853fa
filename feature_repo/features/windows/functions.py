"""The aggregation functions: one record each. Batch, streams, requests and the docs read it, and nothing else names a
function. A new function is one more record here, and one line in the tests' oracle.

>>> mean = FUNCTIONS["mean"]
>>> mean.about
'the mean'
>>> fold = mean.fold_of(None)
>>> fold.value(fold.add(fold.add(fold.zero, 1.5, None), 2.5, None))
2.0
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from operator import add
from string import Formatter
from typing import Literal

from choices import unknown
from features.windows.folds import (
    EXACT,
    UNITS,
    Fold,
    billionths,
    distinct,
    extreme,
    millionths,
    newest,
    plus,
    summed,
    totals,
)
from features.windows.folds.outcomes import newest_outcomes
from features.windows.folds.quotients import EXACT_AS_FLOAT, EXPONENT, mean, mean_sql, stddev, stddev_sql
from features.windows.raw import Dtype


def _names(form: str) -> frozenset[str]:
    """The names in braces."""
    return frozenset(name for _, name, *_ in Formatter().parse(form) if name)


@dataclass(frozen=True)
class StateSql:
    """One part of a function's state, as DuckDB's SQL, which `jobs/batch/spark/dialect.py` translates for Spark. Names
    in braces are placeholders.

    select   an aggregate over some events, of `{column}`, the same in whole billionths, `{units}`, or millionths,
             `{root_units}`, or hashed, `{hash}`, two fields that order events, `{order}`, and `{n}`. The engine appends
             which events count.
    merge    the state of all the states in a frame: `{state}` is the state's column, `{over}` the frame
    fold     how events in a row become the state (`jobs/batch/intervals.py`); None: only `select` says
    part     what an event has, in the placeholders of `select`
    """

    select: str
    merge: str
    fold: Literal["counted", "added", "smallest", "largest", "newest"] | None = None
    part: str = "1"

    @property
    def placeholders(self) -> frozenset[str]:
        """The names in braces that `select` uses."""
        return _names(self.select)


@dataclass(frozen=True)
class Function:
    """An aggregation function.

    about           what the value is, in a few words
    fold            how events become the value, in Python; for the n newest events, a function of n, whose state has
                    the newest first, so that the first of it are the state of fewer
    states          part → its SQL: the same state as the fold's
    value           SQL of the value, over the merged parts by name, `{n}`, `{UNITS}` and `{ROOT_UNITS}`; if it takes
                    outcomes, also over `{known}`, how many events have an outcome that was known, or over `{t}`, by
                    when it had to be known, µs
    dtype           of the value; None: the column's
    empty           the value when no event counts; None: it is missing
    needs_column    False: without a column, it folds the events themselves
    needs_window    it has no meaning over all events
    """

    name: str
    about: str
    fold: Fold | Callable[[int], Fold]
    states: Mapping[str, StateSql]
    value: str
    dtype: Dtype | None = "float"
    empty: float | int | None = None
    needs_column: bool = True
    needs_window: bool = False

    @property
    def needs_n(self) -> bool:
        """Whether it folds the n newest events."""
        return not isinstance(self.fold, Fold)

    @property
    def takes_outcomes(self) -> bool:
        """Its column is the timestamp of an outcome. An event without one takes part, too."""
        return self.fold_of(1 if self.needs_n else None).add_outcome is not None

    @property
    def counts_known(self) -> bool:
        """Its value is over how many events have an outcome that was known."""
        return "known" in _names(self.value)

    @property
    def keeps(self) -> frozenset[str]:
        """What its state holds of events, of `units`, `root_units`, `hash`, `order`."""
        return frozenset().union(*(state.placeholders for state in self.states.values())) & {*KEPT}

    @property
    def needs_id(self) -> bool:
        """Ids order the events of one timestamp, and tell which event an outcome belongs to."""
        return "order" in self.keeps or self.takes_outcomes

    def fold_of(self, n: int | None) -> Fold:
        """`n`: how many events it takes. Raises ValueError where n is missing, or means nothing."""
        if isinstance(self.fold, Fold) != (n is None):
            raise ValueError(f"{self.name} takes {'an' if self.needs_n else 'no'} n.")
        return self.fold if isinstance(self.fold, Fold) else self.fold(n or 0)


#: What a state may hold of events → in words.
KEPT = {"units": "billionths", "root_units": "millionths", "hash": "hashes", "order": "the order of events"}


def named(name: str) -> Function:
    """Raises ValueError, with the functions that there are."""
    if name not in FUNCTIONS:
        raise ValueError(unknown("function", name, FUNCTIONS, "No function is declared.").message)
    return FUNCTIONS[name]


def rows() -> Iterator[tuple[str, ...]]:
    """The table of `docs/reference/functions.md`: its head, then a row for each function."""
    yield "function", "value", "type", "without events", "needs", "keeps"
    for f in FUNCTIONS.values():
        needs = {"a column": f.needs_column, "`n`": f.needs_n, "a window": f.needs_window}
        yield (
            f"`{f.name}`",
            f.about,
            f.dtype or "the column's",
            "missing" if f.empty is None else str(f.empty),
            ", ".join(what for what, is_needed in needs.items() if is_needed) or "–",
            ", ".join(words for kind, words in KEPT.items() if kind in f.keeps) or "–",
        )


def _squares(value: float) -> tuple[int, int, int]:
    root = millionths(value)
    return (root * root, root, 1)


_EVENTS = StateSql("count(*)", "sum({state}) {over}", "counted")
_TOTAL = StateSql("sum({units})", "sum({state}) {over}", "added", "{units}")
_NEWEST = StateSql(
    "max(struct_pack({order}, x := {units}), {n})",
    "list_sort(flatten(list({state}) FILTER (WHERE {state} IS NOT NULL) {over}), 'DESC')[:{n}]", "newest", "{units}",
)  # fmt: skip
_SQUARE = "{root_units}::HUGEINT * {root_units}"
_NEWEST_TOTAL = "list_sum(list_transform({newest}, lambda e : e.x))"

_ALL = (
    Function(
        "count", "how many events, or how many with a value",
        Fold(
            0, lambda state, x, _: state + 1, add, lambda state: state,
            add_many=lambda state, pairs: state + len(pairs), merge_many=sum, form=int,
        ),
        {"events": _EVENTS}, "coalesce({events}, 0)::BIGINT", "int", empty=0, needs_column=False,
    ),
    Function(
        "count_distinct", f"how many different values; exact up to {EXACT:,}, above that an estimate", distinct(),
        {"smallest": StateSql(
            f"min(DISTINCT {{hash}}, {EXACT + 1})",
            "list_sort(list_distinct(flatten(list({state}) FILTER (WHERE {state} IS NOT NULL) {over})))"
            f"[:{EXACT + 1}]",
        )},
        f"CASE WHEN len({{smallest}}) <= {EXACT} THEN len({{smallest}}) WHEN {{smallest}} IS NULL THEN 0 ELSE greatest("
        f"{EXACT + 1}, {EXACT}::HUGEINT * {2**64}::HUGEINT // list_max({{smallest}})::HUGEINT) END::BIGINT",
        "int", empty=0,
    ),
    Function(
        "sum", "the sum", summed(billionths, lambda state: state / UNITS),
        {"total": _TOTAL},
        f"CASE WHEN abs({{total}}) < {EXACT_AS_FLOAT} THEN {{total}}::DOUBLE / {{UNITS}}::DOUBLE "
        f"ELSE coalesce(({{total}}::VARCHAR || '{EXPONENT}')::DOUBLE, 0) END", empty=0.0,
    ),
    Function(
        "mean", "the mean", totals(2, lambda state, x, _: (state[0] + billionths(x), state[1] + 1), mean),
        {"total": _TOTAL, "events": _EVENTS},
        f"CASE WHEN abs({{total}}) < {EXACT_AS_FLOAT} AND {{events}} * {{UNITS}} < {EXACT_AS_FLOAT} "
        f"THEN {{total}}::DOUBLE / ({{events}} * {{UNITS}})::DOUBLE "
        f"WHEN {{events}} > 0 THEN {mean_sql('{total}', '{events}')} END",
    ),
    Function(
        "stddev", "the standard deviation of a sample; missing under two events",
        totals(3, lambda state, x, _: plus(state, _squares(x)), stddev),
        {
            "squares": StateSql(f"sum({_SQUARE})", "sum({state}) {over}", "added", _SQUARE),
            "roots": StateSql("sum({root_units})", "sum({state}) {over}", "added", "{root_units}"),
            "events": _EVENTS,
        },
        stddev_sql(),
    ),
    Function(
        "min", "the smallest value", extreme(min),
        {"least": StateSql("min({column})", "min({state}) {over}", "smallest", "{column}")}, "{least}", None,
    ),
    Function(
        "max", "the largest value", extreme(max),
        {"most": StateSql("max({column})", "max({state}) {over}", "largest", "{column}")}, "{most}", None,
    ),
    Function(
        "last", "the newest value", newest(1, lambda values: values[0] if values else None),
        {"newest": StateSql("max(struct_pack({order}, x := {column}))", "max({state}) {over}", "newest", "{column}")},
        "({newest}).x", None,
    ),
    Function(
        "last_n_mean", "the mean of the `n` newest values",
        lambda n: newest(n, lambda values: mean((sum(map(billionths, values)), len(values)))),
        {"newest": _NEWEST}, mean_sql(_NEWEST_TOTAL, "len({newest})"),
    ),
    Function(
        "last_n_sum", "the sum of the `n` newest values",
        lambda n: newest(n, lambda values: sum(map(billionths, values)) / UNITS),
        {"newest": _NEWEST}, f"coalesce((({_NEWEST_TOTAL})::VARCHAR || '{EXPONENT}')::DOUBLE, 0)", empty=0.0,
    ),
    Function(
        "rate", "the share of the events whose outcome was known; the column is its timestamp",
        totals(
            2, lambda state, known, _: (state[0] + known, state[1] + 1),
            lambda state: state[0] / state[1] if state[1] else None,
            add_outcome=lambda state, _: (state[0] + 1, state[1]),
        ),
        {"events": _EVENTS}, "CASE WHEN {events} > 0 THEN coalesce({known}, 0)::DOUBLE / {events}::DOUBLE END",
        needs_window=True,
    ),
    Function(
        "last_n_rate", "the share of the `n` newest events whose outcome was known; the column is its timestamp",
        newest_outcomes,
        {"newest": replace(_NEWEST, select="max(struct_pack({order}, x := {column}), {n})", part="{column}")},
        "list_sum(list_transform({newest}, lambda e : CASE WHEN e.x < {t} THEN 1 ELSE 0 END))::DOUBLE "
        "/ len({newest})::DOUBLE",
        needs_window=True,
    ),
)  # fmt: skip
FUNCTIONS = {function.name: function for function in _ALL}
