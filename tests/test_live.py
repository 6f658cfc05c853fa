"""Features kept event by event are those of the oracle at any later moment, whatever the order in which events came."""

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import oracle
import pytest
from hypothesis import given
from hypothesis import settings as examples

from features.aggregation import Aggregation, AggregationTable
from features.live import Event, LiveTable
from features.moments import since_1970
from features.raw import Column, RawTable

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
EVENTS = RawTable("made_up", columns=(Column("x", "float"), Column("who", "string"), Column("kind", "string")))


def of(function, window, column="x", **more):
    words = "_".join(str(v) for v in (function, window, *more.values()))
    return Aggregation(words, function, None if function == "count" else column, window, **more)


TABLE = AggregationTable(
    "made_up", EVENTS, "key",
    (of("count", 5 * MINUTE), of("count", 10 * MINUTE, where={"kind": "bad"}), of("sum", HOUR), of("mean", 3 * DAY),
     of("stddev", 20 * DAY), of("min", 7 * HOUR), of("max", 40 * DAY), of("count_distinct", DAY, "who"),
     of("last", None), of("last", DAY, "who"), of("last_n_mean", None, n=3), of("last_n_sum", HOUR, n=2),
     of("count", HOUR, delay=7 * MINUTE), of("sum", 30 * MINUTE, hop=timedelta(0)), of("mean", HOUR, hop=7 * MINUTE)),
)  # fmt: skip
LIVE = LiveTable(TABLE)
EDGES = st.sampled_from([MINUTE, 5 * MINUTE, 10 * MINUTE, HOUR, DAY, 3 * DAY]).map(lambda d: d // timedelta(seconds=1))


@st.composite
def events(draw):
    seconds = draw(st.lists(st.one_of(EDGES, st.integers(0, 9000), st.integers(0, 50 * 86_400)), max_size=25))
    return [
        {
            "key": "k", "id": f"e{i}", "event_timestamp": BEGIN + timedelta(seconds=second),
            "x": draw(st.none() | st.integers(0, 10**9).map(lambda n: n / 1e4)),
            "who": draw(st.sampled_from(["a", "b", "c", None])), "kind": draw(st.sampled_from(["good", "bad"])),
        }
        for i, second in enumerate(seconds)
    ]  # fmt: skip


def live(event) -> Event:
    values = {name: event[name] for name in ("x", "who", "kind")}
    return Event(since_1970(event["event_timestamp"]), event["id"], values)


def state_of(came, keep=False):
    state = LIVE.zero()
    for event in came:
        LIVE.add(state, live(event))
        state = LIVE.from_json(LIVE.to_json(state)) if keep else state
    return state


@given(came=events(), later=st.one_of(EDGES, st.integers(-60, 60), st.integers(0, 50 * 86_400)))
@examples(max_examples=150, deadline=None)
def test_values_are_the_oracles_at_any_moment_from_a_minute_before_the_newest_event_on(came, later):
    newest = max((e["event_timestamp"] for e in came), default=BEGIN)
    moment = newest + timedelta(seconds=later)
    expected = oracle.values(TABLE, came, "k", moment)
    assert LIVE.values(state_of(came), moment) == {
        name: pytest.approx(value, rel=1e-12) if value and "stddev" in name else value
        for name, value in expected.items()
    }


@given(came=events(), shuffle=st.randoms(use_true_random=False))
@examples(max_examples=100, deadline=None)
def test_the_state_is_the_same_bytes_in_whatever_order_events_came(came, shuffle):
    mixed = shuffle.sample(came, len(came))
    assert LIVE.to_json(state_of(mixed, keep=True)) == LIVE.to_json(state_of(came))


def test_an_event_that_no_window_reaches_is_refused():
    table = AggregationTable("short", EVENTS, "key", (of("count", HOUR),))
    live_table = LiveTable(table)
    state = live_table.zero()
    assert live_table.add(state, Event(10**13, "new", {}))
    kept = live_table.to_json(state)
    assert not live_table.add(state, Event(10**13 - 2 * 3600 * 10**6, "old", {}))
    assert live_table.to_json(state) == kept


def test_a_count_falls_to_zero_though_nothing_happens():
    state = state_of([{"event_timestamp": BEGIN, "id": "e", "x": 1.0, "who": "a", "kind": "bad"}])
    counts = [LIVE.values(state, BEGIN + after)["count_0:05:00"] for after in (MINUTE, 5 * MINUTE, 10 * MINUTE)]
    assert counts == [1, 1, 0]


def test_what_happened_after_the_moment_does_not_count_though_it_came_before_the_answer():
    table = LiveTable(AggregationTable("short", EVENTS, "key", (of("count", HOUR),)))
    state, now = table.zero(), since_1970(BEGIN)
    for seconds in (0, 1, 2, 3):
        table.add(state, Event(now + seconds * 10**6, str(seconds), {}))
    assert table.values(state, BEGIN + timedelta(seconds=2)) == {"count_1:00:00": 2}


@pytest.mark.parametrize("hop", [timedelta(0), 5 * MINUTE])
def test_what_still_counted_a_minute_ago_is_not_dropped_by_a_newer_event(hop):
    table = LiveTable(AggregationTable("short", EVENTS, "key", (of("count", HOUR, hop=hop),)))
    state, now = table.zero(), since_1970(BEGIN)
    table.add(state, Event(now + 60 * 10**6, "a", {}))
    moment = BEGIN + HOUR + (MINUTE if not hop else 5 * MINUTE - timedelta(seconds=10))
    assert list(table.values(state, moment).values()) == [1]
    table.add(state, Event(since_1970(moment) + 40 * 10**6, "b", {}))
    assert list(table.values(state, moment).values()) == [1]


def test_old_events_are_not_kept_one_by_one():
    table = LiveTable(AggregationTable("long", EVENTS, "key", (of("count", 30 * DAY),)))
    state = table.zero()
    for i in range(5000):
        table.add(state, Event(i * 600 * 10**6, str(i), {}))
    assert len(state.recent) == 1
    assert len(state.tiles[0]) <= 32


def test_a_rate_is_refused_by_name():
    outcomes = AggregationTable("late", EVENTS, "key", (Aggregation("share", "rate", "x", DAY),))
    with pytest.raises(ValueError, match="share: the outcome of a rate"):
        LiveTable(outcomes)
