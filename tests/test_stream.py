"""The features are the same in whatever order, batches and restarts the events arrive, and however often."""

from pathlib import Path
from typing import Any

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
    event,
    expected,
    online_values,
    result,
    take_in,
)

from features.windows.state import LiveTable

Event = dict[str, Any]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


SECONDS = st.one_of(st.integers(0, 1200), st.sampled_from([0, 300, 600, 3600]), st.integers(0, 60_000))
#: The outcome of an event arrives after all events.
LAST_SECOND = 60_000


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Events, some of which arrive again with their outcome."""
    events = [
        event(n, second, x=draw(st.sampled_from([None, 1.5, 2.25])))
        for n, second in enumerate(draw(st.lists(SECONDS, min_size=1, max_size=14)))
    ]
    for repeated in draw(st.lists(st.sampled_from(events), max_size=4)):
        delay = draw(st.integers(0, 4 * 3600))
        events.append({**repeated, "outcome": (BEGIN + (LAST_SECOND + delay) * SECOND).isoformat()})
    unique = {(e["id"], "outcome" in e): e for e in events}
    return list(unique.values())


def cut(events: list[Event], sizes: list[int]) -> list[list[Event]]:
    """Batches of these sizes, and one of the rest."""
    batches, rest = [], list(events)
    for size in sizes:
        batches, rest = [*batches, rest[:size]], rest[size:]
    return [batch for batch in [*batches, rest] if batch]


@given(events=streams(), data=st.data())
@examples(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_batches_duplicates_and_restarts_end_in_the_same_bytes(
    events: list[Event],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RISK_DATA", str(tmp_path_factory.mktemp("whole")))
    plain = result(take_in([events]))
    monkeypatch.setenv("RISK_DATA", str(tmp_path_factory.mktemp("mixed")))
    duplicates = data.draw(st.lists(st.sampled_from(events), max_size=6))
    mixed = data.draw(st.permutations([*events, *duplicates]))
    batches = cut(mixed, data.draw(st.lists(st.integers(1, 7), max_size=8)))
    other = result(take_in(batches, restarts=data.draw(st.booleans())))
    same = ("online", "states", "events", "newest logged states", "waiting")
    assert {name: other[name] for name in same} == {name: plain[name] for name in same}
    counts = other["counts"]
    assert sum(counts.values()) == len(mixed) + counts["late"]
    assert len(other["log"]) <= counts["events"]  # the versions of an event in one batch are one row
    assert {row["id"] for row in other["log"]} == {e["id"] for e in events}
    for live in map(LiveTable, STREAM.tables):
        timestamp = BEGIN + LAST_SECOND * SECOND + 4 * HOUR
        sink = Sink()
        sink.db.executemany("INSERT INTO online VALUES (?, ?, ?, '', ?)", other["online"])
        assert online_values(live, sink, timestamp) == expected(live.table, events, timestamp)
