"""Features kept event by event are those of the oracle at any later moment, whatever the order in which events came."""

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
from features.windows.tiles import SLACK_US

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


def entries(table, event):
    """What the stream makes of an event: itself, and what became of it."""
    own = (since_1970(event["event_timestamp"]), event["id"])
    values = [event.get(name) for name in table.columns]
    yield (*own, 0, *values)
    if event.get("outcome"):
        yield (*own, since_1970(event["outcome"]), *values)


def state_of(came, table=LIVE, batch=1, keep=False):
    """Of entries as they come, so many at a time; with `keep`, through the bytes after each time."""
    state = table.zero()
    for i in range(0, len(came), batch):
        table.add(state, came[i : i + batch])
        state = table.from_json(table.to_json(state)) if keep else state
    return state


def entries_of(events, table=LIVE):
    return [entry for event in events for entry in entries(table, event)]


@given(came=events(), batch=st.integers(1, 9), later=st.one_of(EDGES, st.integers(-2, 60), st.integers(0, 4_000_000)))
@examples(max_examples=150, deadline=None)
def test_values_are_the_oracles_at_any_moment_from_shortly_before_the_newest_event_on(came, batch, later):
    newest = max((e["event_timestamp"] for e in came), default=BEGIN)
    moment = newest + timedelta(seconds=later)
    expected = oracle.values(TABLE, came, "k", moment)
    assert LIVE.values(state_of(entries_of(came), batch=batch), moment) == {
        name: pytest.approx(value, rel=1e-12) if value and "stddev" in name else value
        for name, value in expected.items()
    }


@given(came=events(), batch=st.integers(1, 9), shuffle=st.randoms(use_true_random=False))
@examples(max_examples=100, deadline=None)
def test_the_state_is_the_same_bytes_in_whatever_order_events_came(came, batch, shuffle):
    whole = entries_of(came)
    mixed = shuffle.sample(whole, len(whole))
    assert LIVE.to_json(state_of(mixed, batch=batch, keep=True)) == LIVE.to_json(state_of(whole))


RATES = AggregationTable(
    "late", EVENTS, "key",
    (*(Aggregation(f"share_{days}d", "rate", "outcome", days * DAY, delay=late * DAY)
       for days, late in [(1, 1), (7, 1), (30, 0)]),
     Aggregation("bad", "rate", "outcome", 3 * DAY, where={"kind": "bad"}), of("count", 7 * DAY)),
)  # fmt: skip
LIVE_RATES = LiveTable(RATES)


@given(
    came=events(),
    batch=st.integers(1, 9),
    after=st.lists(st.none() | st.integers(-9, 9 * 86_400)),
    later=st.one_of(EDGES, st.integers(-2, 60), st.integers(0, 4_000_000)),
    shuffle=st.randoms(use_true_random=False),
)
@examples(max_examples=150, deadline=None)  # fmt: skip
def test_a_rate_counts_an_outcome_from_its_own_moment_on_whatever_came_first(came, batch, after, later, shuffle):
    for event, seconds in zip(came, after, strict=False):
        event["outcome"] = None if seconds is None else event["event_timestamp"] + timedelta(seconds=seconds)
    came = [{"outcome": None, **event} for event in came]
    moments = [m for e in came for m in (e["event_timestamp"], e["outcome"]) if m]
    moment = max(moments, default=BEGIN) + timedelta(seconds=later)
    whole = entries_of(came, LIVE_RATES)
    state = state_of(shuffle.sample(whole, len(whole)), LIVE_RATES, batch, keep=True)
    assert LIVE_RATES.values(state, moment) == oracle.values(RATES, came, "k", moment)
    assert LIVE_RATES.to_json(state) == LIVE_RATES.to_json(state_of(whole, LIVE_RATES))


def test_an_event_that_no_window_reaches_is_told_and_changes_nothing():
    table = LiveTable(AggregationTable("short", EVENTS, "key", (of("count", HOUR),)))
    state = table.zero()
    assert table.add(state, [(10**13, "new", 0)]) == []
    kept = table.to_json(state)
    late = (10**13 - 2 * 3600 * 10**6, "old", 0)
    assert table.add(state, [late]) == [late]
    assert table.to_json(state) == kept


def test_windows_that_differ_only_in_length_share_their_tiles():
    table = LiveTable(AggregationTable("days", EVENTS, "key", tuple(of("count", d * DAY) for d in (1, 3, 7, 30))))
    state = table.zero()
    table.add(state, [(i * 3600 * 10**6, str(i), 0) for i in range(24)])
    assert len(state.tiles) == 2  # a hop of an hour for the first three, of a day for the last


def test_a_count_falls_to_zero_though_nothing_happens():
    state = state_of(entries_of([{"event_timestamp": BEGIN, "id": "e", "x": 1.0, "who": "a", "kind": "bad"}]))
    counts = [LIVE.values(state, BEGIN + after)["count_0:05:00"] for after in (MINUTE, 5 * MINUTE, 10 * MINUTE)]
    assert counts == [1, 1, 0]


def test_what_happened_after_the_moment_does_not_count_though_it_came_before_the_answer():
    table = LiveTable(AggregationTable("short", EVENTS, "key", (of("count", HOUR),)))
    state, now = table.zero(), since_1970(BEGIN)
    table.add(state, [(now + seconds * 10**6, str(seconds), 0) for seconds in (0, 1, 2, 3)])
    assert table.values(state, BEGIN + timedelta(seconds=2)) == {"count_1:00:00": 2}


@pytest.mark.parametrize("hop", [timedelta(0), 5 * MINUTE])
def test_what_still_counted_a_moment_ago_is_not_dropped_by_a_newer_event(hop):
    table = LiveTable(AggregationTable("short", EVENTS, "key", (of("count", HOUR, hop=hop),)))
    state, now = table.zero(), since_1970(BEGIN)
    table.add(state, [(now + 60 * 10**6, "a", 0)])
    moment = BEGIN + HOUR + (MINUTE if not hop else 5 * MINUTE - timedelta(seconds=1))
    assert list(table.values(state, moment).values()) == [1]
    table.add(state, [(since_1970(moment) + SLACK_US - 1, "b", 0)])
    assert list(table.values(state, moment).values()) == [1]


def test_old_events_are_not_kept_one_by_one():
    table = LiveTable(AggregationTable("long", EVENTS, "key", (of("count", 30 * DAY),)))
    state = table.zero()
    for i in range(5000):
        table.add(state, [(i * 600 * 10**6, str(i), 0)])
    assert len(state.recent) == 1
    assert len(state.tiles[0]) <= 32


def test_asked_for_an_earlier_moment_than_it_can_answer_it_answers_the_first_that_it_can():
    table = LiveTable(AggregationTable("short", EVENTS, "key", (of("count", HOUR),)))
    state, now = table.zero(), since_1970(BEGIN)
    table.add(state, [(now + seconds * 10**6, str(seconds), 0) for seconds in (0, 1, 8, 9)])
    assert list(table.values(state, BEGIN + timedelta(seconds=5)).values()) == [2]
    assert table.values(state, BEGIN) == table.values(state, BEGIN + timedelta(seconds=7))
