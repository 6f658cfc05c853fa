"""A live state has the oracle's features at any later timestamp, in whatever order its events arrived."""

import re
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import oracle
import pytest
from hypothesis import given
from hypothesis import settings as examples

from features.utc import since_1970
from features.windows.aggregation import Aggregation
from features.windows.raw import Column, RawTable
from features.windows.state import LiveTable
from features.windows.tables import AggregationTable
from features.windows.tiles import SLACK_US, outcome_entry

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
EVENTS = RawTable("made_up", columns=(Column("x", "float"), Column("who", "string"), Column("kind", "string")))


def feature(function, window, column="x", **more):
    name = re.sub(r"\W+", "_", "_".join(str(v) for v in (function, window, *more.values())))
    return Aggregation(name, function, None if function == "count" else column, window, **more)


TABLE = AggregationTable(
    "made_up", EVENTS, "key",
    (feature("count", 5 * MINUTE), feature("count", 10 * MINUTE, where={"kind": "bad"}), feature("sum", HOUR),
     feature("mean", 3 * DAY), feature("stddev", 20 * DAY), feature("min", 7 * HOUR), feature("max", 40 * DAY),
     feature("count_distinct", DAY, "who"), feature("last", None), feature("last", DAY, "who"),
     feature("last_n_mean", None, n=3), feature("last_n_sum", HOUR, n=2), feature("count", HOUR, delay=7 * MINUTE),
     feature("sum", 30 * MINUTE, hop=timedelta(0)), feature("mean", HOUR, hop=7 * MINUTE)),
)  # fmt: skip
LIVE = LiveTable(TABLE)
EDGES = st.sampled_from([MINUTE, 5 * MINUTE, 10 * MINUTE, HOUR, DAY, 3 * DAY]).map(lambda d: d // timedelta(seconds=1))
#: A timestamp, in seconds after the newest event.
LATER = st.one_of(EDGES, st.integers(-2, 60), st.integers(0, 4_000_000))


@st.composite
def events(draw):
    offsets = draw(st.lists(st.one_of(EDGES, st.integers(0, 9000), st.integers(0, 50 * 86_400)), max_size=25))
    return [
        {
            "key": "k", "id": f"e{i}", "event_timestamp": BEGIN + timedelta(seconds=offset),
            "x": draw(st.none() | st.integers(0, 10**9).map(lambda n: n / 1e4) | st.floats(-9e9, 9e9)),
            "who": draw(st.sampled_from(["a", "b", "c", None])), "kind": draw(st.sampled_from(["good", "bad"])),
        }
        for i, offset in enumerate(offsets)
    ]  # fmt: skip


def entries(table, event):
    """The entries of an event, and of its outcome if it has one."""
    values = [event.get(name) for name in table.columns]
    entry = (since_1970(event["event_timestamp"]), event["id"], 0, *values)
    yield entry
    if event.get("outcome"):
        yield outcome_entry(entry, since_1970(event["outcome"]))


def folded(entries, table=LIVE, batch=1, stored=False):
    """The state of entries that arrive in batches; with `stored`, it becomes bytes and back after each batch."""
    state = table.zero()
    for i in range(0, len(entries), batch):
        table.add(state, entries[i : i + batch])
        state = table.from_json(table.to_json(state)) if stored else state
    return state


def all_entries(events, table=LIVE):
    return [entry for event in events for entry in entries(table, event)]


def seconds(n):
    return timedelta(seconds=n)


@given(history=events(), batch=st.integers(1, 9), later=LATER)
@examples(max_examples=150)
def test_values_agree_with_the_oracle_from_shortly_before_the_newest(history, batch, later):
    timestamp = max((e["event_timestamp"] for e in history), default=BEGIN) + seconds(later)
    expected = oracle.values(TABLE, history, "k", timestamp)
    assert LIVE.values(folded(all_entries(history), batch=batch), timestamp) == expected


@given(history=events(), batch=st.integers(1, 9), shuffle=st.randoms(use_true_random=False))
@examples(max_examples=100)
def test_any_order_of_events_gives_the_same_bytes(history, batch, shuffle):
    entries = all_entries(history)
    mixed = shuffle.sample(entries, len(entries))
    assert LIVE.to_json(folded(mixed, batch=batch, stored=True)) == LIVE.to_json(folded(entries))


RATES = AggregationTable(
    "late", EVENTS, "key",
    (*(Aggregation(f"share_{days}d", "rate", "outcome", days * DAY, delay=late * DAY)
       for days, late in [(1, 1), (7, 1), (30, 0)]),
     Aggregation("bad", "rate", "outcome", 3 * DAY, where={"kind": "bad"}), feature("count", 7 * DAY),
     *(Aggregation(f"bad_of_{n}_{late}", "last_n_rate", "outcome", 30 * DAY, delay=late * DAY, n=n)
       for n, late in [(1, 0), (1, 1), (2, 1), (3, 1), (3, 7)])),
)  # fmt: skip
LIVE_RATES = LiveTable(RATES)


@given(
    history=events(),
    batch=st.integers(1, 9),
    delays=st.lists(st.none() | st.integers(-9, 9 * 86_400)),
    later=LATER,
    shuffle=st.randoms(use_true_random=False),
)
@examples(max_examples=150)
def test_a_rate_counts_an_outcome_from_its_timestamp_in_any_order(history, batch, delays, later, shuffle):
    history = [{**event, "outcome": None} for event in history]
    for event, delay in zip(history, delays, strict=False):
        event["outcome"] = None if delay is None else event["event_timestamp"] + seconds(delay)
    timestamps = [t for e in history for t in (e["event_timestamp"], e["outcome"]) if t]
    timestamp = max(timestamps, default=BEGIN) + seconds(later)
    entries = all_entries(history, LIVE_RATES)
    state = folded(shuffle.sample(entries, len(entries)), LIVE_RATES, batch, stored=True)
    assert LIVE_RATES.values(state, timestamp) == oracle.values(RATES, history, "k", timestamp)
    assert LIVE_RATES.to_json(state) == LIVE_RATES.to_json(folded(entries, LIVE_RATES))


def live_table(*aggregations):
    return LiveTable(AggregationTable("small", EVENTS, "key", aggregations))


def test_an_event_that_no_window_reaches_is_returned_and_changes_nothing():
    table = live_table(feature("count", HOUR))
    state = table.zero()
    assert table.add(state, [(10**13, "new", 0)]) == []
    before = table.to_json(state)
    too_late = (10**13 - 2 * 3600 * 10**6, "old", 0)
    assert table.add(state, [too_late]) == [too_late]
    assert table.to_json(state) == before


def test_windows_that_differ_only_in_length_share_their_tiles():
    table = live_table(*(feature("count", days * DAY) for days in (1, 3, 7, 30)))
    state = table.zero()
    table.add(state, [(i * 3600 * 10**6, str(i), 0) for i in range(24)])
    assert len(state.tiles) == 2  # a hop of an hour for the first three, of a day for the last


def test_a_count_falls_to_zero_even_if_nothing_happens():
    state = folded(all_entries([{"event_timestamp": BEGIN, "id": "e", "x": 1.0, "who": "a", "kind": "bad"}]))
    counts = [LIVE.values(state, BEGIN + after)["count_0_05_00"] for after in (MINUTE, 5 * MINUTE, 10 * MINUTE)]
    assert counts == [1, 1, 0]


def test_an_event_after_the_timestamp_does_not_count():
    table = live_table(feature("count", HOUR))
    state, begin = table.zero(), since_1970(BEGIN)
    table.add(state, [(begin + n * 10**6, str(n), 0) for n in (0, 1, 2, 3)])
    assert table.values(state, BEGIN + seconds(2)) == {"count_1_00_00": 2}


@pytest.mark.parametrize("hop", [timedelta(0), 5 * MINUTE])
def test_a_newer_event_drops_nothing_that_still_counts(hop):
    table = live_table(feature("count", HOUR, hop=hop))
    state = table.zero()
    table.add(state, [(since_1970(BEGIN + MINUTE), "a", 0)])
    timestamp = BEGIN + HOUR + (5 * MINUTE - seconds(1) if hop else MINUTE)
    assert list(table.values(state, timestamp).values()) == [1]
    table.add(state, [(since_1970(timestamp) + SLACK_US - 1, "b", 0)])
    assert list(table.values(state, timestamp).values()) == [1]


def test_old_events_are_kept_as_tiles_only():
    table = live_table(feature("count", 30 * DAY))
    state = table.zero()
    for i in range(5000):
        table.add(state, [(i * 600 * 10**6, str(i), 0)])
    assert len(state.recent) == 1
    assert len(state.tiles[0]) <= 32


def test_an_earlier_timestamp_gets_the_first_answer_that_the_state_has():
    table = live_table(feature("count", HOUR))
    state, begin = table.zero(), since_1970(BEGIN)
    table.add(state, [(begin + n * 10**6, str(n), 0) for n in (0, 1, 8, 9)])
    assert list(table.values(state, BEGIN + seconds(5)).values()) == [2]
    assert table.values(state, BEGIN) == table.values(state, BEGIN + seconds(7))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_events_of_one_timestamp_may_lack_a_value_in_any_order(order):
    """Without ids, such events differ only in their values."""
    live = LiveTable(AggregationTable("made_up", EVENTS, "key", (feature("count", HOUR), feature("sum", HOUR))))
    arrivals = [(since_1970(BEGIN), 0, 0, x) for x in (1.5, None, 0.5)]
    state = live.zero()
    for place in order:
        live.add(state, [arrivals[place]])
    assert live.values(state, BEGIN + MINUTE) == {"count_1_00_00": 3, "sum_1_00_00": 2.0}
    assert [entry[3] for entry in state.recent] == [0.5, 1.5, None]


@pytest.mark.parametrize(
    "other",
    [Aggregation("other", "rate", "paid", DAY), Aggregation("other", "count", "outcome", DAY)],
)
def test_a_live_table_has_one_outcome_and_does_not_fold_it_otherwise(other):
    with pytest.raises(ValueError, match="small: a live table has one outcome"):
        live_table(Aggregation("rate", "rate", "outcome", DAY), other)
