"""An aggregation's states and value as SQL, from the record of its function (`features/windows/functions.py`). Input is
the relation `event` of `jobs/raw/relations.py`."""

from collections.abc import Iterator, Mapping, Sequence

from features.windows.aggregation import Aggregation
from features.windows.folds import ROOT_UNITS, UNITS
from features.windows.functions import StateSql
from features.windows.tables import AggregationTable
from jobs import sql
from jobs.batch.layout import Layout, microseconds
from jobs.raw.relations import KINDS, cell

#: Two fields that order events: the event time, and the id.
_ORDER = "t := t, tie := tie"


def parts(table: AggregationTable) -> Iterator[tuple[Aggregation, str]]:
    """The parts of the states of a table's aggregations. `known` is how many events have an outcome that was known."""
    for a in table.aggregations:
        yield from ((a, part) for part in (*a.record.states, *(["known"] if a.record.counts_known else [])))


def states(a: Aggregation, conditions: Sequence[str] = ()) -> dict[str, str]:
    """Part → the state of some events. `conditions` say which events count, beside the definition."""
    return {
        part: state.select.format(n=a.n, order=_ORDER, **_columns(a)) + of_events(a, conditions)
        for part, state in a.record.states.items()
    }


def of_event(a: Aggregation, state: StateSql) -> str:
    """What an event has of a state that is a fold of it."""
    return state.part.format(**_columns(a))


def _columns(a: Aggregation) -> dict[str, str]:
    if a.column is None:
        return {}
    return {"column": cell(a.column)} | {kind: cell(a.column, kind) for kind in KINDS}


def of_events(a: Aggregation, conditions: Sequence[str] = ()) -> str:
    """The FILTER clause of an aggregate over the events that count: as the definition says, and as `conditions` say."""
    return _filter([*conditions, *tests(a)])


def tests(a: Aggregation) -> list[str]:
    """SQL conditions: that an event counts, as the definition says."""
    has_value = [f"{cell(a.column)} IS NOT NULL"] if a.column is not None and a.outcome is None else []
    return [*_where(a), *has_value]


def merge(a: Aggregation, part: str, state: str, over: str) -> str:
    """The states in the column `state`, merged over a frame."""
    return a.record.states[part].merge.format(n=a.n, state=state, over=over)


def value(a: Aggregation, parts: Mapping[str, str], t: str = "t") -> str:
    """The feature at `t`, a column. `parts`: part → the column of its merged state."""
    return a.record.value.format(n=a.n, t=t, UNITS=UNITS, ROOT_UNITS=ROOT_UNITS, **parts)


def known_outcomes(rate: Aggregation, conditions: Sequence[str]) -> str:
    """How many events have a known outcome. `conditions` say which events count, beside the definition."""
    return f"count(*){_filter([*conditions, *_where(rate)])}"


def has_outcome(rate: Aggregation) -> str:
    """Whether an event counts, as the definition says, and has an outcome."""
    return " AND ".join([f"{_outcome(rate)} IS NOT NULL", *_where(rate)])


def known_from(rate: Aggregation) -> str:
    """From when on an event counts and its outcome is known, µs."""
    return f"greatest(t + {microseconds(rate.delay)}, {_outcome(rate)})"


def rates(table: AggregationTable) -> list[Aggregation]:
    """The aggregations that take outcomes."""
    return [a for a in table.aggregations if a.outcome]


def outcome_steps(layout: Layout, rate: Aggregation, rates: list[Aggregation]) -> Iterator[str]:
    """+1 from when an outcome counts and is known, −1 from when its event leaves the window. `outcome` has the events
    that have one: they are few, and are found once."""
    known, last = known_from(rate), layout.leaves(rate)
    for timestamp, step in ((known, 1), (last, -1)):
        steps = ", ".join(f"{step if other is rate else 0} AS known_{other.name}" for other in rates)
        where = f"{has_outcome(rate)} AND {known} < {last}"
        yield f"SELECT key, {timestamp} AS t, {steps} FROM outcome WHERE {where}"


def _outcome(rate: Aggregation) -> str:
    if rate.outcome is None:
        raise ValueError(f"{rate.name}: {rate.function} takes no outcomes.")
    return cell(rate.outcome)


def _where(a: Aggregation) -> list[str]:
    return [f"{cell(column)} IN ({', '.join(map(sql.literal, values))})" for column, values in a.allowed.items()]


def _filter(tests: Sequence[str]) -> str:
    return f" FILTER (WHERE {' AND '.join(tests)})" if tests else ""
