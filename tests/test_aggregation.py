"""Folds give the same in any pieces and any order; a definition that means nothing is refused."""

import functools
import os
import shutil
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from unittest import mock

import hypothesis.strategies as st
import oracle
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import settings as examples
from test_windows import stored, without_created

import settings
from errors import BadInput, NoData
from features.windows.aggregation import FOR_EVER, TICK, ZERO, Aggregation, Flag
from features.windows.functions import FUNCTIONS
from features.windows.raw import Column, Derived, RawTable
from features.windows.tables import AggregationTable, LastDistinctTable
from jobs.batch.table import compute

pytestmark = pytest.mark.slow

FEW = examples(max_examples=25)
DAY_0 = datetime(2026, 2, 26, tzinfo=UTC)
HOUR, INSTANT = timedelta(hours=1), timedelta(microseconds=1)
NOW = DAY_0 + 60 * TICK
RAW = RawTable(
    "made_events", columns=(Column("key", "int"), Column("x", "float", True), Column("who", "int", True)),
    created="created",
)  # fmt: skip
MICROSECONDS = pa.timestamp("us", "UTC")
TYPES = {"key": pa.int64(), "x": pa.float64(), "who": pa.int64()}
LAST_TWO = LastDistinctTable("made_table", RAW, "key", "who", last="last_who", previous="previous_who")
MEANS = AggregationTable(
    "made_table", RAW, "key",
    (Aggregation("events_3d", "count", None, 3 * TICK), Aggregation("x", "mean", "x", 1 * TICK)),
    (Flag("few_3d", "events_3d", "<", 2), Flag("high_x", "x", ">", 0.5)),
)  # fmt: skip

values = st.integers(-800, 800).map(lambda n: n / 100) | st.floats(-9e9, 9e9)
orders = st.tuples(st.integers(0, 9), st.integers(0, 99))
events = st.lists(st.tuples(values, orders), unique_by=lambda event: event[1])


def n_of(function):
    return 3 if FUNCTIONS[function].needs_n else None


def folded(fold, pairs):
    return functools.reduce(lambda state, pair: fold.add(state, *pair), pairs, fold.zero)


@pytest.mark.parametrize("function", FUNCTIONS)
@given(pairs=events, cuts=st.tuples(st.integers(0, 20), st.integers(0, 20)), data=st.data())
def test_events_may_be_folded_in_any_pieces_and_any_order(function, pairs, cuts, data):
    if FUNCTIONS[function].takes_outcomes:
        pairs = [(int(value > 0), order) for value, order in pairs]
    fold, (first, second) = FUNCTIONS[function].fold_of(n_of(function)), sorted(cuts)
    whole = folded(fold, pairs)
    shuffled = data.draw(st.permutations(pairs))
    a, b, c = (folded(fold, part) for part in (shuffled[:first], shuffled[first:second], shuffled[second:]))
    assert fold.merge(fold.merge(a, b), c) == fold.merge(c, fold.merge(b, a)) == whole
    assert fold.merge(fold.zero, a) == a == fold.merge(a, fold.zero)


@pytest.mark.parametrize("function", [name for name, record in FUNCTIONS.items() if not record.takes_outcomes])
@given(pairs=events)
def test_a_fold_agrees_with_the_oracle(function, pairs):
    column = "x" if FUNCTIONS[function].needs_column else None
    a = Aggregation("any", function, column, 9 * TICK, n=n_of(function))
    rows = [{"id": order[1], "key": 1, "x": x, "at": DAY_0 + order[0] * HOUR} for x, order in pairs]
    expected = oracle.value(a, rows, "at", 1, DAY_0 + TICK)
    assert a.over(pairs) == expected


@pytest.mark.parametrize(
    ("operator", "bound", "value", "flag"),
    [("<", 10, 9.99, 1), ("<", 10, 10, 0), ("<", 10, 10.01, 0), ("<", 10, 0, 1), ("<", 10, None, None),
     (">", 0.8, 0.79, 0), (">", 0.8, 0.8, 0), (">", 0.8, 0.81, 1), (">", -1, 0, 1), (">", 0.8, None, None)],
)  # fmt: skip
def test_a_flag_is_strictly_beyond_its_bound_and_missing_with_its_value(operator, bound, value, flag):
    assert Flag("any", "x", operator, bound).value(value) == flag


def test_an_unknown_key_has_no_events_no_mean_and_the_flags_of_that():
    assert MEANS.empty == {"events_3d": 0, "x": None, "few_3d": 1, "high_x": None}
    assert LAST_TWO.empty == {"last_who": None, "previous_who": None}


@pytest.mark.parametrize(
    ("window", "hop"),
    [(timedelta(minutes=10), timedelta(minutes=5)), (12 * HOUR, timedelta(minutes=5)), (13 * HOUR, HOUR),
     (12 * TICK, HOUR), (13 * TICK, TICK)],
)  # fmt: skip
def test_the_old_edge_moves_in_steps_that_suit_the_window(window, hop):
    assert Aggregation("n", "count", None, window).old_edge_hop == hop
    assert Aggregation("n", "count", None, window, hop=3 * HOUR).old_edge_hop == 3 * HOUR


@pytest.mark.parametrize(
    ("function", "column", "window", "n", "message"),
    [("sum", None, TICK, None, "any: sum needs a column. Name one."),
     ("rate", "x", None, None, "any: rate needs a window. Give one."),
     ("last_n_mean", "x", TICK, None, "any: n goes with last_n_mean, last_n_sum, last_n_rate, and only with them."),
     ("mean", "x", TICK, 3, "any: n goes with last_n_mean, last_n_sum, last_n_rate, and only with them."),
     ("meen", "x", TICK, None, "any: .* 'meen'. Did you mean 'mean'. Choose one of: count, .*, last_n_rate."),
     ("median", "x", TICK, None, "any: There is no function 'median'. .*Choose one of: count, .*, last_n_rate.")],
)  # fmt: skip
def test_a_definition_that_means_nothing_is_refused(function, column, window, n, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Aggregation("any", function, column, window, n=n)


@pytest.mark.parametrize(
    ("argument", "value"), [("window", ZERO), ("window", -TICK), ("delay", -HOUR), ("hop", -HOUR), ("n", 0)]
)
def test_an_argument_under_its_least_value_is_refused(argument, value):
    arguments = {"function": "last_n_sum", "column": "x", "window": TICK, "n": 2} | {argument: value}
    with pytest.raises(ValueError, match=f"^any: {argument} is {value}. The least is "):
        Aggregation("any", **arguments)


@pytest.mark.parametrize(
    ("column", "value"), [("key", "1"), ("key", 1.5), ("who", None), ("who", (5, None)), ("x", "1")]
)
def test_a_filter_by_a_value_that_no_event_has_is_refused(column, value):
    with pytest.raises(ValueError, match=f"^n: {column} is never .*: change `where`.$"):
        AggregationTable("t", RAW, "key", (Aggregation("n", "count", None, TICK, {column: value}),))


def test_a_sum_of_products_without_bounds_is_refused():
    price, pieces = Column("price", "float", minimum=0), Column("pieces", "int", minimum=-3, maximum=10)
    amount, mean = Derived("amount", "product", ("price", "pieces")), Aggregation("m", "mean", "amount", TICK)
    message = r"t: amount may be 9\..*, and a sum holds 9e\+09. Give price and pieces a minimum and a maximum."
    for most, is_bounded in ((9e8, True), (9e8 + 1, False), (None, False)):
        raw = RawTable("orders", (Column("key", "int"), replace(price, maximum=most), pieces), derived=(amount,))
        with nullcontext() if is_bounded else pytest.raises(ValueError, match=f"^{message}$"):
            AggregationTable("t", raw, "key", (mean,))


def test_the_ttl_of_a_table_is_its_longest_window_and_a_tick():
    late = Aggregation("n", "count", None, 30 * TICK, delay=7 * TICK)
    assert AggregationTable("t", RAW, "key", (late,)).ttl == 38 * TICK
    assert AggregationTable("t", RAW, "key", (Aggregation("x", "last", "x", None),)).ttl == FOR_EVER


def event(time, key=1, who=None, x=1.0, created=None):
    return {"key": key, "x": x, "who": who, "event_timestamp": time, "created": created or time}


def run(tmp_path, raw, table=LAST_TWO, until=NOW, time=MICROSECONDS):
    with mock.patch.dict(os.environ, RISK_DATA=str(tmp_path)):
        settings.root().raw_table("made_events").mkdir(parents=True, exist_ok=True)
        schema = pa.schema(TYPES | {"event_timestamp": time, "created": time})
        pq.write_table(pa.Table.from_pylist(raw, schema), settings.root().raw_table("made_events") / "made.parquet")
        compute(settings.root(), table, until, NOW)
        return without_created(stored())


timestamps = st.builds(
    lambda hours, tie: DAY_0 + hours * HOUR + tie, st.integers(0, 60), st.sampled_from([0 * TICK, INSTANT])
)


@FEW
@example(raw=[event(DAY_0, who=14), event(DAY_0, who=12)])
@given(
    raw=st.lists(st.builds(event, timestamps, st.sampled_from([1, 1, 2]), st.none() | st.integers(11, 14)), min_size=1)
)
def test_the_last_two_distinct_values_agree_with_a_list_by_hand(raw, tmp_path_factory):
    expected = []
    for key in (1, 2):
        own = [e for e in raw if e["key"] == key and e["who"] is not None]
        first = {w: min(e["event_timestamp"] for e in own if e["who"] == w) for w in {e["who"] for e in own}}
        for seen in set(first.values()):
            previous, last = [None, *sorted((w for w in first if first[w] <= seen), key=lambda w: (first[w], w))][-2:]
            row = {"key": key, "last_who": last, "previous_who": previous}
            expected.append(row | {"event_timestamp": seen + INSTANT})
    rows = run(tmp_path_factory.mktemp("root"), raw)
    assert rows == sorted(expected, key=lambda row: (row["event_timestamp"], row["key"]))


@pytest.mark.parametrize("start", [DAY_0, DAY_0 + 5 * HOUR, DAY_0 + 5 * HOUR + INSTANT, DAY_0 + 23 * HOUR])
@pytest.mark.parametrize("hours", [0, 1, 24])
def test_a_run_within_a_day_keeps_the_rows_before_and_after(tmp_path, monkeypatch, start, hours):
    rows = run(tmp_path, [event(DAY_0 + n * 5 * HOUR, who=n) for n in range(9)])
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    compute(settings.root(), LAST_TWO, start + hours * HOUR, NOW, start=start)
    assert without_created(stored()) == rows


def test_a_count_falls_to_zero_when_nothing_happens(tmp_path):
    rows = run(tmp_path, [event(DAY_0 + 13 * HOUR), event(DAY_0 + TICK), event(DAY_0 + TICK)], MEANS)
    assert {row["event_timestamp"].day: row["events_3d"] for row in rows} == {27: 1, 28: 3, 1: 3, 2: 2, 3: 0}


def test_a_value_that_stays_the_same_is_written_again_before_it_expires(tmp_path):
    """One event a day: the count is always 3, and a row for it is never older than the table's TTL."""
    rows = run(tmp_path, [event(DAY_0 + n * TICK, x=None) for n in range(20)], MEANS, DAY_0 + 20 * TICK)
    days = [(row["event_timestamp"] - DAY_0).days for row in rows]
    assert max(later - day for day, later in zip(days, [*days[1:], 20], strict=True)) <= MEANS.ttl.days
    assert days[:4] == [1, 2, 3, 6]


def test_a_late_event_counts_from_the_first_run_that_knew_it(tmp_path):
    raw = [event(DAY_0 + HOUR, created=DAY_0 + 4 * TICK)]
    assert run(tmp_path, raw, MEANS, DAY_0 + 3 * TICK) == []
    assert len(run(tmp_path, raw, MEANS, DAY_0 + 5 * TICK)) == 3


@pytest.mark.parametrize("time", [pa.timestamp("ns", "UTC"), pa.timestamp("ms", "Asia/Tokyo")], ids=str)
def test_raw_timestamps_may_have_any_precision_and_any_zone(tmp_path, time):
    raw = [event(DAY_0 + n * 9 * HOUR) for n in range(5)]
    assert run(tmp_path / "a", raw, MEANS, time=time) == run(tmp_path / "b", raw, MEANS)


def test_raw_timestamps_without_a_zone_are_refused(tmp_path):
    with pytest.raises(BadInput, match="event_timestamp: 1 row is without a time zone, the first is row 1"):
        run(tmp_path, [event(DAY_0)], MEANS, time=pa.timestamp("us"))


def test_without_raw_events_the_message_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    with pytest.raises(NoData, match=r"Put a .* there\. For .*, run: python generate_data\.py"):
        compute(settings.root(), MEANS, DAY_0, NOW)


def test_the_root_of_the_data_may_have_an_apostrophe(tmp_path):
    run(tmp_path / "root", [event(DAY_0)], MEANS)
    shutil.copytree(tmp_path / "root", tmp_path / "o'brien")
    assert len(run(tmp_path / "o'brien", [event(DAY_0)], MEANS)) == 3
