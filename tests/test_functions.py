"""A function is one record: batch at ticks and at given timestamps, stream and requests compute it; docs print it."""

import ast
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from unittest import mock

import docs_tables
import hypothesis.strategies as st
import msgspec
import numpy as np
import oracle
import pandas as pd
import pyarrow as pa
import pytest
import readme
from hypothesis import given
from hypothesis import settings as examples
from pydantic_core import to_json
from test_windows import DAY_0, NOW, RAW, histories, root_with, same, stored, untils, without_created

import settings
from features.utc import since_1970
from features.windows import Aggregation, AggregationTable, LiveFeatures, events, folds, functions
from features.windows.folds import Fold
from features.windows.functions import FUNCTIONS, Function, StateSql
from features.windows.live import state_of
from features.windows.state import LiveTable
from jobs import sql
from jobs.batch import states
from jobs.batch.at_moments import records_at_moments
from jobs.batch.table import compute
from jobs.raw.relations import SCALES, cell

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
ADD_A_FUNCTION = readme.DOCS / "how-to" / "add-a-function.md"

#: A function that keeps the order of events, and has the type of its column.
FIRST = Function(
    "first",
    "the oldest value",
    Fold(
        None,
        lambda state, x, order: min(state, (order, x)) if state else (order, x),
        lambda a, b: min(a, b) if a and b else a or b,
        lambda state: state[1] if state else None,
    ),
    {"oldest": StateSql("min(struct_pack({order}, x := {column}))", "min({state}) {over}")},
    "({oldest}).x",
    dtype=None,
)


#: A function of the n newest values, which it keeps as whole billionths.
SPAN = Function(
    "last_n_span",
    "the largest of the `n` newest values minus the smallest",
    lambda n: folds.newest(
        n, lambda x: (max(u) - min(u)) / folds.UNITS if (u := [*map(folds.billionths, x)]) else None
    ),
    FUNCTIONS["last_n_sum"].states,
    "((list_max(list_transform({newest}, lambda e : e.x))::HUGEINT "
    "- list_min(list_transform({newest}, lambda e : e.x)))::VARCHAR || 'e-9')::DOUBLE",
)


def documented() -> tuple[Function, Callable[[list[Any]], Any]]:
    """The record `range` that the how-to shows, and its line in the oracle."""
    names = dict(vars(functions))
    exec(readme.block(ADD_A_FUNCTION, "function:record") + readme.block(ADD_A_FUNCTION, "function:oracle"), names)
    return names["RANGE"], names["BY_HAND"]["range"]


RANGE, RANGE_BY_HAND = documented()
BY_HAND: dict[str, Callable[[list[Any]], Any]] = {
    "range": RANGE_BY_HAND,
    "first": lambda x: x[0] if x else None,
    "last_n_span": lambda x: float(max(oracle.exact(x)) - min(oracle.exact(x))) if x else None,
}


def added(name: str) -> AggregationTable:
    """A table with a new function, in windows of several kinds."""
    n = 2 if FUNCTIONS[name].needs_n else None
    where = {"kind": ("good", "odd")}
    return AggregationTable(
        "made_table", RAW, "key",
        (Aggregation("days", name, "x", 3 * DAY, n=n), Aggregation("hours", name, "x", 13 * HOUR, n=n),
         Aggregation("late", name, "x", 2 * DAY, where, delay=DAY, n=n),
         Aggregation("exact", name, "x", DAY, hop=0 * DAY, n=n)),
    )  # fmt: skip


@contextmanager
def registered(record: Function) -> Iterator[None]:
    with (
        mock.patch.dict(FUNCTIONS, {record.name: record}),
        mock.patch.dict(oracle.BY_HAND, {record.name: BY_HAND[record.name]}),
    ):
        yield


def at_request(table: AggregationTable, raw: list[dict[str, Any]], key: str, as_of: datetime) -> dict[str, Any]:
    """The features of a request, from the bytes that a stream job would keep."""
    live = LiveTable(table)
    state = live.zero()
    for event in raw:
        row = events.plain(RAW, event)
        live.add(state, events.by_key(live, [(None, row)])[0].get((key,), []))
        state = live.from_json(live.to_json(state))
    inputs: dict[str, list[Any]] = {state_of(table): [live.to_json(state)], "as_of": [as_of]}
    return {name: value for name, (value,) in LiveFeatures("new", (table,)).columns(inputs).items()}


@pytest.mark.parametrize("record", [RANGE, FIRST, SPAN], ids=lambda record: record.name)
@given(raw=histories, until=untils)
@examples(max_examples=8)
def test_one_record_makes_a_function_everywhere(record: Function, raw: list[dict[str, Any]], until: datetime):
    with registered(record), root_with(raw):
        table, known = added(record.name), oracle.once(raw)
        compute(settings.root(), table, until, NOW)
        past = [event for event in known if event["at"] < until]
        same(without_created(stored()), oracle.rows(table, past, None, until))

        newest = max(event["at"] for event in known)
        requests = [("a", newest), ("a", newest + 20 * HOUR), ("b", newest + 2 * DAY)]
        expected = [oracle.values(table, known, key, as_of) for key, as_of in requests]
        keys, timestamps = zip(*requests, strict=True)
        entity_frame = pd.DataFrame({"key": keys, "event_timestamp": pd.to_datetime(timestamps).as_unit("us")})
        assert records_at_moments(settings.root(), table, entity_frame) == expected
        assert [at_request(table, known, key, as_of) for key, as_of in requests] == expected


def test_every_function_has_one_line_in_the_oracle():
    assert set(oracle.BY_HAND) == set(FUNCTIONS)


def test_only_its_record_names_a_function():
    rooms = (settings.FEATURE_REPO / "features" / "windows", *(settings.PROJECT / "jobs" / r for r in ("raw", "batch")))
    files = [file for room in rooms for file in sorted(room.rglob("*.py")) if file.name != "functions.py"]
    named = [
        (file.name, node.value)
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and node.value in FUNCTIONS
    ]
    # Minutes; and what sqlglot calls an argument.
    assert named == [("aggregation.py", "min"), *[("dialect.py", "count")] * 2]


@given(data=st.data())
@examples(max_examples=30)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_state_survives_json(name: str, data: st.DataObject):
    fold = FUNCTIONS[name].fold_of(3 if FUNCTIONS[name].needs_n else None)
    whole = st.integers(0, 1) if FUNCTIONS[name].takes_outcomes else st.integers(-99, 99)
    state = fold.zero
    for order, value in enumerate(data.draw(st.lists(whole, max_size=5))):
        state = fold.add(state, value, (order, "id"))
    places = list(state if fold.numbers else [state])
    for number, place in enumerate(fold.places):
        text = to_json(place.pack(places[number]) if place.pack else places[number])
        kept = msgspec.json.decode(text, type=place.form)
        assert (place.unpack(kept) if place.unpack else kept) == places[number]
    assert len(places) == len(fold.places)


def test_n_goes_with_functions_of_n_only():
    with pytest.raises(ValueError, match="sum takes no n"):
        FUNCTIONS["sum"].fold_of(3)
    with pytest.raises(ValueError, match="last_n_sum takes an n"):
        FUNCTIONS["last_n_sum"].fold_of(None)


def test_the_page_of_functions_is_printed_from_the_records():
    page = docs_tables.FUNCTIONS_PAGE.read_text()
    assert page == docs_tables.with_functions(page), "The records have changed. Run: make docs"
    for name in FUNCTIONS:
        assert f"| `{name}` |" in page


@pytest.mark.parametrize("timestamp", [DAY_0, NOW])
def test_the_old_edge_of_an_aggregation_moves_by_its_hop(timestamp: datetime):
    a = Aggregation("n", "count", None, 90 * timedelta(minutes=1), delay=HOUR)
    edge = a.old_edge(since_1970(timestamp + timedelta(minutes=7)))
    assert edge == since_1970(timestamp - timedelta(minutes=145))


@pytest.mark.parametrize("name", ["sum", "mean", "stddev", "last_n_sum", "last_n_mean"])
@pytest.mark.parametrize("largest", [9e9, 3e8, 9007199.254740993])
@pytest.mark.parametrize("count", [2, 3, 200, 20_000])
def test_sums_beyond_64_bits_have_the_same_last_digit_in_sql(name: str, largest: float, count: int):
    """A whole number beyond 64 bits must not be rounded twice on its way to a float."""
    record, n = FUNCTIONS[name], 7 if FUNCTIONS[name].needs_n else None
    rng = np.random.default_rng(count)
    fold, values = record.fold_of(n), [*rng.uniform(-largest / 9, largest, count - 1).tolist(), largest]
    a = Aggregation("any", name, "x", timedelta(days=1), n=n)
    columns = {cell("x"): values} | {
        cell("x", scale): [round(value * factor) for value in values] for scale, factor in SCALES.items()
    }
    event = pa.table({**columns, "t": range(count), "tie": [""] * count})
    with sql.connect() as connection:
        connection.register("event", event)
        parts = ", ".join(f"{state} AS {part}" for part, state in states.states(a).items())
        value = states.value(a, {part: part for part in states.states(a)})
        (in_sql,) = sql.row(connection, f"SELECT {value} FROM (SELECT {parts} FROM event)")
    state = fold.zero
    for order, x in enumerate(values):
        state = fold.add(state, x, (order, ""))
    assert in_sql == fold.value(state)
