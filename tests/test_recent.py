"""The bytes of a busy key's recent entries: in runs, of which a batch writes those that it changes."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic_core import to_json

from features.utc import EPOCH
from features.windows import Aggregation, AggregationTable, Column, RawTable
from features.windows.recent import LEAST_COLUMNS, RUN_US, Columns, State
from features.windows.state import LiveTable
from features.windows.tiles import Entry

HOUR, SECOND_US = timedelta(hours=1), 1_000_000
COLUMNS = (Column("id", "string"), Column("key", "string"), Column("who", "string"), Column("x", "float"))
RAW = RawTable("busy", id="id", columns=(*COLUMNS, Column("known", "timestamp", is_optional=True)))
AGGREGATIONS = (
    Aggregation("events", "count", None, HOUR),
    Aggregation("of_a", "count", None, HOUR, {"who": "a"}),
    Aggregation("total", "sum", "x", HOUR),
    Aggregation("last", "last", "x", HOUR),
    Aggregation("bad", "rate", "known", HOUR, delay=timedelta(seconds=1)),
)
LIVE = LiveTable(AggregationTable("busy", RAW, "key", AGGREGATIONS))


def entries(count: int, seed: int = 1) -> list[Entry]:
    """Entries of five seconds, half of them in the last: ties, missing values, zeros of both signs, outcomes."""
    chance = random.Random(seed)
    made = list[Entry]()
    for n in range(count):
        at = int(10 * SECOND_US - chance.choice((1, 5)) * chance.random() * SECOND_US) // 50 * 50
        entry: Entry = (at, f"e{n}", 0, chance.choice(("a", "b", "c", None)), chance.choice((0.0, -0.0, 1.5, n / 7)))
        made.append(entry)
        if n % 9 == 0:
            made.append((*entry[:2], at + 1_700_000, *entry[3:]))
    return made


def of_batches(batches: list[list[Entry]], between: Callable[[State], State]) -> State:
    state = LIVE.zero()
    for batch in batches:
        LIVE.add(state, batch)
        state = between(state)
    return state


def written(state: State) -> State:
    LIVE.to_json(state)
    return state


def by_entry(state: State) -> bytes:
    """The bytes of a state, its entries as an earlier version wrote them."""
    text = LIVE.to_json(State(state.tiles, type(state.recent)(), state.newest))
    return text[:-3] + to_json(list(state.recent)) + b"]"


@pytest.mark.parametrize("parts", [1, 2, 40, 900])
@pytest.mark.parametrize("between", [written, lambda state: LIVE.from_json(LIVE.to_json(state))])
def test_the_bytes_of_runs_are_the_same_in_any_order_and_batches(parts: int, between: Callable[[State], State]) -> None:
    events = entries(3_000)
    plain = LIVE.to_json(of_batches([events], lambda state: state))
    assert plain.count(b"steps") > 4
    random.Random(parts).shuffle(events)
    assert LIVE.to_json(of_batches([events[n::parts] for n in range(parts)], between)) == plain
    in_order = sorted(events, key=lambda entry: entry[:3])
    size = len(events) // parts + 1
    assert LIVE.to_json(of_batches([in_order[n : n + size] for n in range(0, len(events), size)], between)) == plain


@pytest.mark.parametrize("count", [1, LEAST_COLUMNS - 1, LEAST_COLUMNS, 3_000])
def test_a_state_that_is_written_entry_by_entry_says_the_same(count: int) -> None:
    state = of_batches([entries(count)], written)
    older, newer = LIVE.from_json(by_entry(state)), LIVE.from_json(LIVE.to_json(state))
    assert older == newer == state
    assert repr(older.recent) == repr(newer.recent) == repr(state.recent)  # 0.0 and -0.0 are equal
    for seconds in (8.0, 9.5, 10.0, 11.9, 40.0, 3_650.0):
        at = EPOCH + timedelta(seconds=seconds)
        assert LIVE.values(older, at) == LIVE.values(newer, at) == LIVE.values(state, at)
    assert LIVE.to_json(older) == LIVE.to_json(state)


def test_a_batch_writes_the_runs_that_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    state = of_batches([[(n * 1_000, f"e{n}", 0, "a", 1.0) for n in range(3_000)]], written)
    runs = list[Any]()
    write = Columns.made
    monkeypatch.setattr(Columns, "made", lambda run: (runs.append(run), write(run))[1])
    LIVE.add(state, [(2_999_500, "new", 0, "a", 1.0), (1_999_500, "late", 0, "a", 1.0)])
    LIVE.to_json(state)
    assert {run[0][0] // RUN_US for run in runs} <= {0, 1_999_500 // RUN_US, 2_999_500 // RUN_US}
    assert len(runs) <= 3


def test_thousands_of_recent_entries_take_few_bytes() -> None:
    count = LiveTable(AggregationTable("busy", RAW, "key", AGGREGATIONS[1:2]))
    state = count.zero()
    count.add(state, [(n * 1_000, 0, 0, "ab"[n % 3 == 0]) for n in range(2_000)])
    assert len(count.to_json(state)) < 8 * 2_000
