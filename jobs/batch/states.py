"""An aggregation's states and value as SQL, from the record of its function (`features/windows/functions.py`). Input is
the relation `event` of `jobs/raw/relations.py`."""

from collections.abc import Mapping, Sequence

from features.windows.aggregation import Aggregation
from features.windows.folds import ROOT_UNITS, UNITS
from jobs import sql
from jobs.batch.layout import microseconds
from jobs.raw.relations import KINDS, cell

#: Two fields that order events: the event time, and the id.
_ORDER = "t := t, tie := tie"


def states(a: Aggregation, conditions: Sequence[str] = ()) -> dict[str, str]:
    """Part → the state of some events. `conditions` say which events count, beside the definition."""
    columns = {}
    if a.column is not None:
        columns = {"column": cell(a.column)} | {kind: cell(a.column, kind) for kind in KINDS}
    return {
        part: state.select.format(n=a.n, order=_ORDER, **columns) + of_events(a, conditions)
        for part, state in a.record.states.items()
    }


def of_events(a: Aggregation, conditions: Sequence[str] = ()) -> str:
    """The FILTER clause of an aggregate over the events that count: as the definition says, and as `conditions` say."""
    tests = [*conditions, *_where(a)]
    if a.column is not None and a.outcome is None:
        tests.append(f"{cell(a.column)} IS NOT NULL")
    return _filter(tests)


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


def _outcome(rate: Aggregation) -> str:
    if rate.outcome is None:
        raise ValueError(f"{rate.name}: {rate.function} takes no outcomes.")
    return cell(rate.outcome)


def _where(a: Aggregation) -> list[str]:
    values = {column: value if isinstance(value, tuple) else (value,) for column, value in a.where.items()}
    return [f"{cell(column)} IN ({', '.join(map(sql.literal, allowed))})" for column, allowed in values.items()]


def _filter(tests: Sequence[str]) -> str:
    return f" FILTER (WHERE {' AND '.join(tests)})" if tests else ""
