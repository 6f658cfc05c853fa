"""What a window means, held to a plain list comprehension over the raw events: as folds, and as jobs/batch.py's SQL."""

import functools
import os
import shutil
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given
from hypothesis import settings as examples

import settings
from errors import NoData
from features.aggregation import FOLDS, TICK, Aggregation, AggregationTable, Flag, LastDistinctTable
from jobs import batch

FEW = examples(max_examples=25, deadline=None)
DAY_0 = datetime(2026, 2, 26, tzinfo=UTC)  # so that the windows cross the end of a month
HOUR, INSTANT = timedelta(hours=1), timedelta(microseconds=1)
NAIVE = {"count": len, "sum": sum, "mean": lambda values: sum(values) / len(values) if values else None}
TIME, *OTHER_TIMES = (pa.timestamp(*t) for t in (("us", "UTC"), ("ns", "UTC"), ("ms", "Asia/Tokyo"), ("us",)))
TYPES = {"key": pa.int64(), "x": pa.float64(), "who": pa.int64()}

MEANS = AggregationTable(
    "made_table", "made_events", "key",
    (Aggregation("events_1d", "count", None, 1 * TICK), Aggregation("events_3d", "count", None, 3 * TICK),
     Aggregation("known_x_7d", "count", "x", 7 * TICK), Aggregation("x", "mean", "x", 1 * TICK),
     Aggregation("x_3d", "mean", "x", 3 * TICK)),
    (Flag("few_3d", "events_3d", "<", 2), Flag("high_x", "x", ">", 0.5), Flag("low_x_3d", "x_3d", "<", 0)),
)  # fmt: skip
SUMS = AggregationTable(
    "made_table", "made_events", "key",
    tuple(Aggregation(name, "sum", "x", days * TICK) for name, days in {"x_1d": 1, "x": 3, "x_7d": 7}.items()),
    (Flag("poor", "x", "<", 1.5), Flag("rich_7d", "x_7d", ">", 1.5)),
)  # fmt: skip
LAST_TWO = LastDistinctTable("made_table", "made_events", "key", "who", last="last_who", previous="previous_who")
TABLES = pytest.mark.parametrize("table", [MEANS, SUMS, LAST_TWO], ids=["counts and means", "sums", "last two"])

numbers = st.integers(-8, 8).map(lambda n: n / 4)  # sums of quarters are exact, in any order
times = st.sampled_from([0 * TICK, 0 * TICK, INSTANT, TICK - INSTANT, 7 * HOUR]) | st.timedeltas(0 * TICK, TICK - HOUR)
moments = st.builds(lambda day, time: DAY_0 + day * TICK + time, st.just(3) | st.integers(0, 9), times)
untils = st.builds(lambda day, time: DAY_0 + day * TICK + time, st.integers(0, 18), times)
delays = st.sampled_from([0 * TICK, 0 * TICK, INSTANT, 2 * HOUR, TICK, 4 * TICK])


def event(time, key=1, x=1.0, who=None, delay=0 * TICK):
    return {"key": key, "x": x, "who": who, "event_timestamp": time, "created": (time or DAY_0) + delay}


keys, people = st.sampled_from([1, 1, 1, 1, 2, 3, None]), st.sampled_from([11, 12, 13, 14, None])
made = st.builds(event, moments | moments | st.none(), keys, numbers | st.none(), people, delays)
histories = st.lists(made, max_size=20)


@contextmanager
def root_with(raw, time=TIME):
    schema = pa.schema(TYPES | {"event_timestamp": time, "created": time})
    with tempfile.TemporaryDirectory() as root, mock.patch.dict(os.environ, RISK_DATA=root):
        settings.raw_table("made_events").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(raw, schema), settings.raw_table("made_events") / "made.parquet")
        yield root


def files():
    table = settings.feature_table("made_table")
    return {
        datetime.strptime(f"{f.relative_to(table)} +0000", "year=%Y/month=%m/day=%d/part.parquet %z"):
        (f.read_bytes(), f.stat().st_mtime_ns) for f in table.rglob("*.parquet")
    }  # fmt: skip


def stored():
    days = {day: pq.read_table(pa.BufferReader(content)).to_pylist() for day, (content, _) in files().items()}
    assert all(day <= row["event_timestamp"] < day + TICK for day, rows in days.items() for row in rows)
    return in_order(row for rows in days.values() for row in rows)


def in_order(rows):
    return sorted(rows, key=lambda row: (row["event_timestamp"], row["key"]))


def known(raw, key, until):
    complete = [e for e in raw if e["key"] == key and e["event_timestamp"] is not None]
    return [e for e in complete if e["event_timestamp"] < until and e["created"] <= until]


def by_hand(table, raw, until, since=DAY_0):
    """The oracle: the rows dated since..until."""
    rows = last_two_by_hand(raw, until) if table is LAST_TWO else windows_by_hand(table, raw, until)
    return in_order(row for row in rows if since <= row["event_timestamp"] <= until)


def windows_by_hand(table, raw, until):
    longest = max(a.window for a in table.aggregations)
    answer = []
    for key, tick in [(k, DAY_0 + n * TICK) for k in (1, 2, 3) for n in range(40)]:
        held, held_yesterday = (
            [e for e in known(raw, key, until) if t - longest <= e["event_timestamp"] < t] for t in (tick, tick - TICK)
        )
        row = {"key": key, "event_timestamp": tick, "created": max([tick, *(e["created"] for e in held)])}
        for a in table.aggregations:
            values = [e[a.column or "key"] for e in held if e["event_timestamp"] >= tick - a.window]
            row[a.name] = NAIVE[a.function]([value for value in values if value is not None])
        for f in table.flags:
            value = row[f.aggregation]
            row[f.name] = None if value is None else int(value < f.bound if f.operator == "<" else value > f.bound)
        answer += [row] if held or held_yesterday else []
    return answer


def last_two_by_hand(raw, until):
    answer = []
    for key in (1, 2, 3):
        mine = [e for e in known(raw, key, until) if e["who"] is not None]
        first = {w: min(e["event_timestamp"] for e in mine if e["who"] == w) for w in {e["who"] for e in mine}}
        learned = {w: min(e["created"] for e in mine if e["who"] == w) for w in first}
        for sight in set(first.values()):
            previous, last = [None, *sorted((w for w in first if first[w] <= sight), key=lambda w: (first[w], w))][-2:]
            created = max([sight + INSTANT, *(learned[w] for w in first if first[w] <= sight)])
            answer.append({"key": key, "last_who": last, "previous_who": previous,
                           "event_timestamp": sight + INSTANT, "created": created})  # fmt: skip
    return answer


@given(st.sampled_from(sorted(FOLDS)), st.tuples(*[st.lists(numbers)] * 3))
def test_a_window_may_be_folded_in_any_pieces(function, pieces):
    fold = FOLDS[function]
    everything = [value for piece in pieces for value in piece]
    whole, a, b, c = (functools.reduce(fold.add, values, fold.zero) for values in (everything, *pieces))
    assert fold.merge(fold.merge(a, b), c) == fold.merge(a, fold.merge(b, c)) == whole
    assert fold.merge(fold.zero, a) == a == fold.merge(a, fold.zero)
    assert fold.value(whole) == NAIVE[function](everything)
    assert Aggregation("any", function, "x", TICK).over(everything) == NAIVE[function](everything)


@pytest.mark.parametrize(
    ("operator", "bound", "value", "flag"),
    [("<", 10, 9.99, 1), ("<", 10, 10, 0), ("<", 10, 10.01, 0), ("<", 10, 0, 1), ("<", 10, None, None),
     (">", 0.8, 0.79, 0), (">", 0.8, 0.8, 0), (">", 0.8, 0.81, 1), (">", -1, 0, 1), (">", 0.8, None, None)],
)  # fmt: skip
def test_a_flag_is_strictly_beyond_its_bound_and_missing_with_its_value(operator, bound, value, flag):
    assert Flag("any", "x", operator, bound).of(value) == flag


def test_a_key_never_seen_has_no_events_no_mean_and_the_flags_of_that():
    assert SUMS.empty == {"x_1d": 0, "x": 0, "x_7d": 0, "poor": 1, "rich_7d": 0}
    assert MEANS.empty == {"events_1d": 0, "events_3d": 0, "known_x_7d": 0, "x": None, "x_3d": None,
                           "few_3d": 1, "high_x": None, "low_x_3d": None}  # fmt: skip
    assert LAST_TWO.empty == {"last_who": None, "previous_who": None}


@TABLES
@FEW
@example(raw=[event(DAY_0 + TICK, who=11)], until=DAY_0 + TICK)
@example(raw=[event(DAY_0, who=14), event(DAY_0, who=12)], until=DAY_0 + TICK)
@example(raw=[event(DAY_0, who=11, delay=4 * TICK), event(DAY_0 + TICK, who=12)], until=DAY_0 + 6 * TICK)
@given(raw=histories, until=untils)
def test_every_feature_is_what_a_list_by_hand_gives(table, raw, until):
    with root_with(raw):
        rows = by_hand(table, raw, until)
        incomplete = [e for e in raw if e["key"] is None or e["event_timestamp"] is None]
        for time in ("the first time", "the second time"):
            assert batch.run(table, until) == batch.Report("made_table", len(rows), len(incomplete)), time
            assert stored() == rows, time


@TABLES
@examples(FEW, max_examples=12)
@example(raw=[event(DAY_0)], moment=DAY_0 + 8 * TICK, until=DAY_0 + 9 * TICK)
@example(raw=[event(DAY_0 + TICK - INSTANT, who=11)], moment=DAY_0 + TICK, until=DAY_0 + 2 * TICK)
@given(raw=histories, moment=untils, until=untils)
def test_a_run_for_some_days_gives_their_rows_and_touches_no_other_day(table, raw, moment, until):
    since, until = sorted([moment, until])
    first, last = (m.replace(hour=0, minute=0, second=0, microsecond=0) for m in (since, until))
    with root_with(raw):
        batch.run(table, DAY_0 + 20 * TICK)
        before = {day: file for day, file in files().items() if not first <= day <= last}
        batch.run(table, until, since)
        inside = [row for row in stored() if first <= row["event_timestamp"] < last + TICK]
        assert inside == by_hand(table, raw, until, since=first)
        assert before == {day: file for day, file in files().items() if not first <= day <= last}


def test_a_count_falls_to_zero_when_nothing_happens_and_no_row_outlives_its_ttl():
    table = AggregationTable("made_table", "made_events", "key", (Aggregation("events_3d", "count", None, 3 * TICK),))
    assert table.ttl == timedelta(days=4)
    with root_with([event(DAY_0 + 13 * HOUR), event(DAY_0 + TICK), event(DAY_0 + TICK)]):
        batch.run(table, DAY_0 + 9 * TICK)
        assert {row["event_timestamp"].day: row["events_3d"] for row in stored()} == {27: 1, 28: 3, 1: 3, 2: 2, 3: 0}


def test_an_event_that_came_late_counts_from_the_moment_that_it_came():
    came = DAY_0 + 4 * TICK + HOUR
    with root_with([event(DAY_0 + HOUR, delay=4 * TICK)]):
        assert batch.run(MEANS, came - INSTANT).rows == 0
        assert batch.run(MEANS, came).rows == 4


def test_a_day_of_which_nothing_is_known_any_more_has_no_rows():
    with root_with([event(DAY_0 + HOUR, delay=4 * TICK)]):
        assert batch.run(MEANS, DAY_0 + 6 * TICK).rows == 6
        for since, left in [(DAY_0 + 2 * TICK, [1, 4, 5, 6]), (None, [4, 5, 6])]:
            assert batch.run(MEANS, DAY_0 + 3 * TICK, since).rows == 0
            assert [row["event_timestamp"] for row in stored()] == [DAY_0 + n * TICK for n in left]


@pytest.mark.parametrize("time", OTHER_TIMES, ids=str)
def test_raw_times_may_be_finer_coarser_of_a_zone_or_of_none(time):
    raw = [event(DAY_0 + n * 9 * HOUR) for n in range(5)]
    with root_with(raw, time):
        batch.run(MEANS, DAY_0 + 3 * TICK)
        assert stored() == by_hand(MEANS, raw, DAY_0 + 3 * TICK)


def test_years_of_history_lose_no_row():
    with root_with([event(DAY_0 + n * TICK, key=key) for n in range(400) for key in range(5)]):
        assert batch.run(MEANS, DAY_0 + 400 * TICK).rows == len(stored()) == 400 * 5


def test_without_raw_events_the_message_says_how_to_make_them(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    with pytest.raises(NoData, match=r"Run: python generate_data\.py"):
        batch.run(MEANS, DAY_0)


@pytest.mark.parametrize("table", [MEANS, SUMS], ids=["means", "sums"])
def test_the_order_in_which_events_arrive_changes_no_digit(table):
    answers, raw = [], [event(DAY_0 + hour * HOUR, x=x) for hour, x in enumerate([0.1, 0.2, 0.3])]
    for arrived in (raw, raw[::-1]):
        with root_with(arrived):
            batch.run(table, DAY_0 + 2 * TICK)
            answers.append(stored())
    assert answers[0] == answers[1]


def test_an_event_of_which_nobody_knows_when_it_came_is_counted_as_skipped():
    with root_with([{**event(DAY_0), "created": None}]):
        assert batch.run(MEANS, DAY_0 + 2 * TICK).skipped == 1


def test_the_root_of_the_data_may_have_an_apostrophe(tmp_path):
    with root_with([event(DAY_0)]) as root, mock.patch.dict(os.environ, RISK_DATA=f"{tmp_path}/o'brien"):
        shutil.copytree(root, settings.data_root())
        assert batch.run(MEANS, DAY_0 + 2 * TICK).rows == 2
