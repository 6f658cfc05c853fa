"""Whatever the order, the batches and the restarts in which events come, and however often: the same features."""

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from stream_world import (
    BEGIN,
    HOUR,
    SECOND,
    STREAM,
    Sink,
    answered,
    event,
    expected,
    kept,
    take_in,
)

from features.windows.state import LiveTable


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


SECONDS = st.one_of(st.integers(0, 1200), st.sampled_from([0, 300, 600, 3600]), st.integers(0, 60_000))


@st.composite
def told(draw):
    """Events, some of which come again with their outcome, some twice."""
    events = [
        event(n, s, x=draw(st.sampled_from([None, 1.5, 2.25])))
        for n, s in enumerate(draw(st.lists(SECONDS, min_size=1, max_size=14)))
    ]
    for e in draw(st.lists(st.sampled_from(events), max_size=4)):
        after = draw(st.integers(0, 4 * 3600))
        events.append({**e, "outcome": (BEGIN + 60_000 * SECOND + after * SECOND).isoformat()})
    unique = {(e["id"], "outcome" in e): e for e in events}
    return list(unique.values())


def cut(events, sizes):
    batches, rest = [], list(events)
    for size in sizes:
        batches, rest = [*batches, rest[:size]], rest[size:]
    return [batch for batch in [*batches, rest] if batch]


def anew(monkeypatch, path):
    monkeypatch.setenv("RISK_DATA", str(path))


@given(events=told(), data=st.data())
@examples(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_any_batches_duplicates_and_restarts_end_in_the_same_bytes(
    events, data, tmp_path_factory, monkeypatch
):
    anew(monkeypatch, tmp_path_factory.mktemp("whole"))
    plain = kept(take_in([events]))
    anew(monkeypatch, tmp_path_factory.mktemp("mixed"))
    again = data.draw(st.lists(st.sampled_from(events), max_size=6))
    mixed = data.draw(st.permutations([*events, *again]))
    batches = cut(mixed, data.draw(st.lists(st.integers(1, 7), max_size=8)))
    other = kept(take_in(batches, restarts=data.draw(st.booleans())))
    same = ("online", "states", "seen", "newest logged states", "waiting")
    assert {name: other[name] for name in same} == {name: plain[name] for name in same}
    assert [sum(other["counts"].values()), len(other["log"])] == [
        len(mixed) + other["counts"]["late"],
        other["counts"]["events"],
    ]
    assert {row["id"] for row in other["log"]} == {e["id"] for e in events}
    for live in map(LiveTable, STREAM.tables):
        moment = BEGIN + 60_000 * SECOND + 4 * HOUR
        sink = Sink()
        sink.db.executemany("INSERT INTO online VALUES (?, ?, ?, '', ?)", other["online"])
        assert answered(live, sink, moment) == expected(live.table, events, moment)
