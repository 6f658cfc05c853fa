"""Batch at ticks and at given timestamps agrees with the oracle on late, tied, repeated and incomplete events."""

import os
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import hypothesis.strategies as st
import oracle
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, example, given
from hypothesis import settings as examples

import settings
from features.windows.aggregation import ZERO, Aggregation
from features.windows.raw import Column, RawTable
from features.windows.tables import AggregationTable
from jobs.batch.at_moments import at_moments
from jobs.batch.table import compute

pytestmark = pytest.mark.slow

FEW = examples(max_examples=15, phases=(Phase.explicit, Phase.generate))
DAY, HOUR, INSTANT = timedelta(days=1), timedelta(hours=1), timedelta(microseconds=1)
DAY_0 = datetime(2026, 2, 26, tzinfo=UTC)  # so that the windows cross the end of a month
NOW = DAY_0 + 60 * DAY
RAW = RawTable(
    "made_events", time="at", id="id",
    columns=(Column("id", "string"), Column("key", "string"), Column("x", "float", True), Column("who", "string", True),
             Column("kind", "string", True), Column("outcome", "timestamp", True)),
)  # fmt: skip
SCHEMA = pa.schema(
    {"id": pa.string(), "key": pa.string(), "x": pa.float64(), "who": pa.string(), "kind": pa.string(),
     "outcome": pa.timestamp("us", "UTC"), "at": pa.timestamp("us", "UTC")}
)  # fmt: skip


def table(*aggregations, time=None):
    return AggregationTable("made_table", RAW, "key", aggregations, time=time)


DAYS = table(
    Aggregation("n_1d", "count", None, DAY), Aggregation("n_3d", "count", None, 3 * DAY),
    Aggregation("known_x_7d", "count", "x", 7 * DAY), Aggregation("x_sum_3d", "sum", "x", 3 * DAY),
    Aggregation("x_mean_3d", "mean", "x", 3 * DAY), Aggregation("x_mean_7d", "mean", "x", 7 * DAY),
    Aggregation("good_3d", "count", None, 3 * DAY, where={"kind": "good"}),
    Aggregation("odd_mean_7d", "mean", "x", 7 * DAY, where={"kind": ("bad", "odd")}),
    Aggregation("x_mean_2d_before", "mean", "x", 2 * DAY, delay=3 * DAY),
    Aggregation("bad_rate_1d", "rate", "outcome", DAY, delay=2 * DAY),
    Aggregation("bad_rate_3d", "rate", "outcome", 3 * DAY),
    Aggregation("bad_of_2", "last_n_rate", "outcome", 4 * DAY, delay=2 * DAY, n=2),
    Aggregation("bad_of_1", "last_n_rate", "outcome", 3 * DAY, n=1),
)  # fmt: skip
SHAPES = table(
    Aggregation("least_3d", "min", "x", 3 * DAY), Aggregation("most_3d", "max", "x", 3 * DAY),
    Aggregation("spread_7d", "stddev", "x", 7 * DAY), Aggregation("first_who_3d", "min", "who", 3 * DAY),
    Aggregation("last_who_3d", "last", "who", 3 * DAY), Aggregation("last_two_7d", "last_n_mean", "x", 7 * DAY, n=2),
    Aggregation("last_three_3d", "last_n_sum", "x", 3 * DAY, delay=DAY, n=3),
)  # fmt: skip
FINE = table(
    Aggregation("n_90m", "count", None, 90 * timedelta(minutes=1)), Aggregation("x_mean_13h", "mean", "x", 13 * HOUR),
    Aggregation("spread_30h", "stddev", "x", 30 * HOUR, delay=5 * HOUR), Aggregation("n_14d", "count", None, 14 * DAY),
    Aggregation("x_exact", "sum", "x", 7 * HOUR, hop=ZERO), Aggregation("n_odd_hop", "count", None, DAY, hop=7 * HOUR),
    Aggregation("bad_rate_odd", "rate", "outcome", 20 * HOUR, delay=HOUR, hop=7 * HOUR),
    Aggregation("bad_of_3_odd", "last_n_rate", "outcome", 20 * HOUR, delay=HOUR, hop=7 * HOUR, n=3),
    Aggregation("late_most", "max", "x", 2 * DAY, where={"kind": "good"}, delay=5 * HOUR),
)  # fmt: skip
DISTINCT = table(
    Aggregation("people_3d", "count_distinct", "who", 3 * DAY), Aggregation("x_mean_7d", "mean", "x", 7 * DAY),
    Aggregation("people_2h", "count_distinct", "who", 2 * HOUR), Aggregation("most_3d", "max", "x", 3 * DAY),
)  # fmt: skip
EVER = table(
    Aggregation("last_x", "last", "x", None), Aggregation("last_three", "last_n_sum", "x", None, n=3),
    Aggregation("n_2d", "count", None, 2 * DAY),
)  # fmt: skip
EVER_LATER = table(Aggregation("most_2d_ago", "max", "x", None, delay=2 * DAY))
LONG_HOP = table(Aggregation("n_3d", "count", None, 3 * DAY, hop=2 * DAY), Aggregation("n_1d", "count", None, DAY))
OUTCOMES = table(Aggregation("bad_2d", "count", None, 2 * DAY), Aggregation("x", "mean", "x", DAY), time="outcome")
ALL = {
    "days": DAYS,
    "shapes": SHAPES,
    "fine": FINE,
    "distinct": DISTINCT,
    "ever": EVER,
    "ever, later": EVER_LATER,
    "long hop": LONG_HOP,
    "by outcome": OUTCOMES,
}
TABLES = pytest.mark.parametrize("made_table", ALL.values(), ids=ALL)

times = st.sampled_from([ZERO, ZERO, INSTANT, DAY - INSTANT, 7 * HOUR, 5 * HOUR]) | st.timedeltas(ZERO, DAY - HOUR)
timestamps = st.builds(lambda day, time: DAY_0 + day * DAY + time, st.just(3) | st.integers(0, 9), times)
untils = st.builds(lambda day, time: DAY_0 + day * DAY + time, st.integers(1, 18), times)
numbers = (
    st.integers(-800, 800).map(lambda n: n / 100) | st.floats(-1e4, 1e4, width=32) | st.floats(-9e9, 9e9)
    | st.sampled_from([-9e9, 9e9, 9007199.254740993])
)  # fmt: skip
made = st.fixed_dictionaries(
    {"id": st.integers(0, 40).map(str), "key": st.sampled_from("aaaab"), "x": st.none() | numbers,
     "who": st.none() | st.sampled_from("xyz"), "kind": st.none() | st.sampled_from(["good", "bad", "odd"]),
     "outcome": st.none() | timestamps, "at": timestamps}
)  # fmt: skip
histories = st.lists(made, min_size=1, max_size=20)
dense_or_sparse = st.sampled_from([0, 4, 10**9])


@contextmanager
def root_with(raw, schema=SCHEMA):
    with tempfile.TemporaryDirectory() as root, mock.patch.dict(os.environ, RISK_DATA=root):
        path = settings.root().raw_table("made_events").with_suffix(".parquet")
        path.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(raw, schema), path)
        yield Path(root)


def stored(name="made_table"):
    files = sorted(settings.root().feature_table(name).rglob("*.parquet"))
    rows = [row for file in files for row in pq.read_table(pa.BufferReader(file.read_bytes())).to_pylist()]
    return sorted(rows, key=lambda row: (row["event_timestamp"], row["key"]))


def without_created(rows):
    return [{name: value for name, value in row.items() if name != "created"} for row in rows]


def same(rows, others):
    """To the last digit."""
    assert rows == others


def event(at, key="a", id="1", **rest):
    return {"id": id, "key": key, "x": None, "who": None, "kind": None, "outcome": None, "at": at, **rest}


@TABLES
@FEW
@example(raw=[event(DAY_0 + n * DAY, id=str(n)) for n in range(12)], until=DAY_0 + 12 * DAY, dense=4)
@example(raw=[event(DAY_0, outcome=DAY_0 + 5 * DAY)], until=DAY_0 + 9 * DAY, dense=4)
@example(raw=[event(DAY_0 + DAY, x=1.5), event(DAY_0, id="2", x=0.1)], until=DAY_0 + 18 * DAY, dense=0)
@given(raw=histories, until=untils, dense=dense_or_sparse)
def test_every_row_at_a_tick_agrees_with_the_oracle(made_table, raw, until, dense):
    with root_with(raw), mock.patch("jobs.batch.at_ticks.DENSE_UP_TO", dense):
        compute(settings.root(), made_table, until, NOW)
        time = made_table.event_time
        events = [e for e in oracle.once(raw) if e[time] is not None and e[time] < until]
        same(without_created(stored()), oracle.rows(made_table, events, None, until))


@pytest.mark.slow
@TABLES
@FEW
@example(raw=[event(DAY_0 + n * DAY, id=str(n)) for n in range(10)], since=DAY_0 + 7 * DAY, days=4, dense=4)
@given(raw=histories, since=untils, days=st.integers(1, 4), dense=dense_or_sparse)
def test_a_run_for_some_days_gives_the_rows_that_a_run_for_all_should(made_table, raw, since, days, dense):
    since = oracle.floor(since, DAY)
    until = since + days * DAY
    with root_with(raw), mock.patch("jobs.batch.at_ticks.DENSE_UP_TO", dense):
        compute(settings.root(), made_table, until, NOW, since)
        time = made_table.event_time
        events = [e for e in oracle.once(raw) if e[time] is not None and e[time] < until]
        same(without_created(stored()), oracle.rows(made_table, events, since, until))


@TABLES
@FEW
@given(raw=histories, pairs=st.lists(st.tuples(st.sampled_from("abc"), timestamps | untils), max_size=8))
def test_every_value_at_a_timestamp_agrees_with_the_oracle(made_table, raw, pairs):
    entity_frame = pd.DataFrame(
        {"note": range(len(pairs)), "key": pd.Series([key for key, _ in pairs], dtype=str),
         "event_timestamp": pd.to_datetime([t for _, t in pairs], utc=True).as_unit("us")}
    )  # fmt: skip
    with root_with(raw):
        frame = at_moments(settings.root(), made_table, entity_frame)
    features = frame[[a.name for a in made_table.aggregations]].astype(object)
    rows = features.where(features.notna(), None).to_dict("records")
    same(rows, [oracle.values(made_table, oracle.once(raw), key, t) for key, t in pairs])
    assert frame[["note", "key", "event_timestamp"]].equals(entity_frame)
