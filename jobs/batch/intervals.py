"""The states of a table's windows at given timestamps, for keys whose events became known in the order in which they
happened, and were not corrected later.

The events of such a key stand in one order, and those of a window stand side by side: a window is an interval of
positions. A sum over it is the difference of two running totals, its largest value is that of two halves that overlap,
and its newest events are its last. `at_moments.py` joins the events of all other keys with each request.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.windows.aggregation import Aggregation
from features.windows.tables import AggregationTable
from jobs.batch import states
from jobs.batch.layout import last_counted, microseconds, old_edge

Numbers = np.ndarray[Any, Any]
#: The states of some intervals, from their begins, their ends, and the n of the aggregation.
_Folded = Callable[[Numbers, Numbers, int | None], Any]
_TOTAL = pa.decimal128(38, 0)
_LIMB_BITS = 32
#: Before all events, µs since 1970.
_ALWAYS = -(2**62)
#: What an event has for a fold, from its part of the state in SQL.
_PARTS = {"added": "({})::HUGEINT", "newest": "struct_pack(x := {})"}


def takes(table: AggregationTable) -> bool:
    """Whether the states of all its functions follow from intervals. Where no id orders the events of one timestamp,
    those that keep an order do not."""
    records = [a.record for a in table.aggregations]
    has_order = table.source.id is not None or not any("order" in record.keeps for record in records)
    return has_order and all(state.fold for record in records for state in record.states.values())


def fold(
    connection: duckdb.DuckDBPyConnection, table: AggregationTable, requests: str, where: str
) -> tuple[str, pa.Array]:
    """A query of the states of each request: `nth`, `request_t`, and `s0`, `s1`, … in the order of `states.parts`; and
    the `nth` of the requests of other keys, which the query does not have.

    `requests` is a query of `nth`, `t` and `key`. The relation `event` has all versions. All events of a window are as
    the condition `where` says.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE numbered AS SELECT key, row_number() OVER () - 1 AS number "
        f"FROM (SELECT DISTINCT key FROM ({requests}) WHERE key IS NOT NULL)"
    )
    edges = {_edge(a): f"edge_{i}" for i, a in enumerate(table.aggregations)}
    moments = connection.sql(
        f"SELECT nth, t, number{''.join(f', {edge} AS {name}' for edge, name in edges.items())} "
        f"FROM ({requests}) JOIN numbered USING (key)"
    ).to_arrow_table()
    columns = {column: f"c{i}" for i, column in enumerate(dict.fromkeys(_columns(table)))}
    tie = ", tie" if any(a.record.needs_id for a in table.aggregations) else ""
    events = connection.sql(
        f"SELECT number, t, created, superseded{''.join(f', {column} AS {name}' for column, name in columns.items())} "
        f"FROM event JOIN numbered USING (key) WHERE {where} ORDER BY number, t{tie}"
    ).to_arrow_table()
    in_order = _in_order(events, moments)
    late, moments = moments.filter(pc.invert(in_order))["nth"], moments.filter(in_order)
    windows = _Windows(events, moments)

    @cache
    def interval(edge: str, delay: int) -> tuple[Numbers, Numbers]:
        return windows.interval(moments[edges[edge]].to_numpy(), delay)

    @cache
    def folded(fold: str, column: str) -> _Folded:
        return _FOLDS[fold](events[columns[column]].combine_chunks())

    result = {"nth": moments["nth"], "request_t": moments["t"]}
    for i, (a, part) in enumerate(states.parts(table)):
        begins, ends = interval(_edge(a), microseconds(a.delay))
        column, state = _column(a, part), a.record.states.get(part)
        result[f"s{i}"] = (
            windows.known(events[columns[column]].combine_chunks(), begins)
            if state is None
            else folded(state.fold, column)(begins, ends, a.n)
        )
    folded_table = pa.table(result)
    connection.register("moments", folded_table)
    totals = [field.name for field in folded_table.schema if field.type == _TOTAL]
    whole = f" REPLACE ({', '.join(f'{name}::HUGEINT AS {name}' for name in totals)})" if totals else ""
    return f"SELECT *{whole} FROM moments", late.combine_chunks()


def _edge(a: Aggregation) -> str:
    """SQL: from when on an event counts at `t`."""
    return str(_ALWAYS) if a.window is None else old_edge("t", a)


def _columns(table: AggregationTable) -> Iterator[str]:
    return (_column(a, part) for a, part in states.parts(table))


def _column(a: Aggregation, part: str) -> str:
    """SQL of what an event has for a part, null if it does not count. For the known outcomes, that is from when on it
    counts and its outcome is known; null if that is after it leaves the window."""
    state = a.record.states.get(part)
    if state is None:
        known = f"greatest({states.known_from(a)}, created - 1)"
        return f"CASE WHEN {states.has_outcome(a)} AND {known} < {last_counted('t', a)} THEN {known} END"
    part_of_event = _PARTS.get(state.fold or "", "{}").format(states.of_event(a, state))
    tests = " AND ".join(states.tests(a))
    return f"CASE WHEN {tests} THEN {part_of_event} END" if tests else part_of_event


def _in_order(events: pa.Table, requests: pa.Table) -> pa.Array:
    """Of each request, whether the events of its key became known in their order, and stayed as they were."""
    numbers, created = events["number"].to_numpy(), events["created"].to_numpy()
    is_late = np.append(False, (numbers[1:] == numbers[:-1]) & (created[1:] < created[:-1]))
    late = numbers[is_late | events["superseded"].is_valid().to_numpy()]
    return pa.array(~np.isin(requests["number"].to_numpy(), late))


class _Windows:
    """The intervals of windows: positions in the events, from a begin to an end, of each request."""

    def __init__(self, events: pa.Table, requests: pa.Table) -> None:
        self._numbers, self._times = events["number"].to_numpy(), events["t"].to_numpy()
        self._requests, self._timestamps = requests["number"].to_numpy(), requests["t"].to_numpy()
        self._begins, self._ends = self._of_keys(self._numbers)
        created = events["created"].to_numpy()
        self._known = _first_at(created, self._begins, self._ends, self._timestamps + 1)

    def interval(self, edges: Numbers, delay: int) -> tuple[Numbers, Numbers]:
        """From each edge up to a delay before the request's timestamp."""
        begins = _first_at(self._times, self._begins, self._ends, edges)
        ends = _first_at(self._times, self._begins, self._ends, self._timestamps - delay)
        return begins, np.maximum(begins, np.minimum(ends, self._known))

    def known(self, known_from: pa.Array, begins: Numbers) -> Numbers:
        """How many outcomes were known, of events from `begins` on. `known_from` is null for an event that never
        counts; before the begins, all others were known."""
        is_counted = _is_counted(known_from)
        times, numbers = known_from.drop_null().to_numpy(), self._numbers[is_counted]
        first, last = self._of_keys(numbers)
        known = _first_at(times[np.lexsort((times, numbers))], first, last, self._timestamps)
        return known - _running(is_counted)[begins]

    def _of_keys(self, numbers: Numbers) -> tuple[Numbers, Numbers]:
        """The interval of the key of each request, in sorted numbers of keys."""
        return np.searchsorted(numbers, self._requests), np.searchsorted(numbers, self._requests, "right")


def _first_at(values: Numbers, begins: Numbers, ends: Numbers, limits: Numbers) -> Numbers:
    """For each interval, in which `values` are sorted: the position of the first value from its limit on, or the
    end."""
    positions = begins.copy()
    step = 1 << int((ends - begins).max(initial=0)).bit_length()
    while step := step >> 1:
        ahead = positions + step
        is_before = ahead <= ends
        is_before &= values.take(ahead - 1, mode="clip") < limits
        positions += step * is_before
    return positions


def _running(is_counted: Numbers) -> Numbers:
    """How many are counted before each position, and before the end."""
    return np.append(0, np.cumsum(is_counted))


def _is_counted(values: pa.Array) -> Numbers:
    is_counted: Numbers = values.is_valid().to_numpy(zero_copy_only=False)
    return is_counted


def _count(values: pa.Array) -> _Folded:
    running = _running(_is_counted(values))
    return lambda begins, ends, n: running[ends] - running[begins]


def _sum(values: pa.Array) -> _Folded:
    """Exact: a number of 128 bits is four of 32, whose running totals have 64 bits."""
    buffer = values.fill_null(0).buffers()[1]
    limbs = np.frombuffer(buffer, "<u4").reshape(-1, 4).astype(np.int64)
    limbs[:, 3] = np.frombuffer(buffer, "<i4").reshape(-1, 4)[:, 3]
    running, counts = np.vstack([np.zeros(4, np.int64), np.cumsum(limbs, axis=0)]), _count(values)

    def totals(begins: Numbers, ends: Numbers, n: int | None) -> pa.Array:
        total = running[ends] - running[begins]
        for i in range(3):
            total[:, i + 1] += total[:, i] >> _LIMB_BITS
        packed = np.ascontiguousarray(total.astype("<u4"))  # of each limb, the lowest 32 bits
        array = pa.Array.from_buffers(_TOTAL, len(total), [None, pa.py_buffer(packed)])
        return pc.if_else(pa.array(counts(begins, ends, n) > 0), array, None)

    return totals


def _extreme(order: str) -> Callable[[pa.Array], _Folded]:
    """The last value in an order."""

    def of_values(values: pa.Array) -> _Folded:
        ranks, counted = np.zeros(len(values), np.int64), values.drop_null()
        ranks[_is_counted(values)] = own = pc.rank(counted, sort_keys=order, tiebreaker="dense").to_numpy()
        ranked = counted.take(pa.array(np.unique(own, return_index=True)[1]))

        def last(begins: Numbers, ends: Numbers, n: int | None) -> pa.Array:
            highest = _highest(ranks, begins, ends)
            return ranked.take(pa.array(highest - 1, pa.int64(), mask=highest == 0))

        return last

    return of_values


def _highest(ranks: Numbers, begins: Numbers, ends: Numbers) -> Numbers:
    """The highest rank in each interval, 0 in an empty one: of two stretches of 1, 2, 4, … that cover it."""
    highest, lengths, size = np.zeros(len(begins), np.int64), ends - begins, 1
    of_stretch = ranks  # of as many from each position on
    while len(rest := np.flatnonzero(lengths >= size)):
        highest[rest] = np.maximum(of_stretch[begins[rest]], of_stretch[ends[rest] - size])
        of_stretch, size = np.maximum(of_stretch[:-size], of_stretch[size:]), 2 * size
    return highest


def _newest(values: pa.Array) -> _Folded:
    running, counted = _running(_is_counted(values)), values.drop_null()

    def newest(begins: Numbers, ends: Numbers, n: int | None) -> pa.Array:
        """Of each interval the newest as a record of `x`, or a list of the n newest; null for none."""
        first, last = running[begins], running[ends]
        if n is None:
            return counted.take(pa.array(last - 1, mask=first == last))
        lengths = np.minimum(last - first, n)
        offsets = np.append(0, np.cumsum(lengths))
        positions = np.repeat(last + offsets[:-1], lengths) - 1 - np.arange(offsets[-1])
        items = counted.take(pa.array(positions))
        return pa.LargeListArray.from_arrays(offsets, items, mask=pa.array(lengths == 0))

    return newest


_FOLDS: dict[str, Callable[[pa.Array], _Folded]] = {
    "counted": _count,
    "added": _sum,
    "smallest": _extreme("descending"),
    "largest": _extreme("ascending"),
    "newest": _newest,
}
