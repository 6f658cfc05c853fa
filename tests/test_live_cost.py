"""What a busy key costs: operations that grow with its events, not with their square, and a state that has a bound."""

import random
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import oracle
import pytest

from features import numbers
from features.utc import EPOCH
from features.windows import Aggregation, AggregationTable, Column, RawTable
from features.windows.folds import EXACT, hashed
from features.windows.functions import FUNCTIONS
from features.windows.recent import State
from features.windows.state import LiveTable
from features.windows.tiles import Entry

HOUR, SECOND_US = timedelta(hours=1), 1_000_000
RAW = RawTable("busy", id="id", columns=(Column("id", "string"), Column("key", "string"), Column("x", "float")))
#: Far enough from each other that each batch moves the one before it into tiles.
APART_US = 10 * SECOND_US


def live_table(function: str, window: timedelta | None = HOUR) -> LiveTable:
    record = FUNCTIONS[function]
    n = 20 if record.needs_n else None
    column = "x" if record.needs_column or record.needs_n else None
    return LiveTable(AggregationTable("busy", RAW, "key", (Aggregation("a", function, column, window, n=n),)))


def burst(count: int, begin: int, first: int = 0) -> list[Entry]:
    """Different values within two seconds."""
    return [(begin + 40 * n, f"e{first + n}", 0, float(first + n)) for n in range(count)]


def operations(work: Callable[[], object]) -> int:
    """How often a function is called, of Python or of C."""
    count = 0

    def note(_frame: object, event: str, _function: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def tiled(live: LiveTable, batches: Sequence[list[Entry]]) -> State:
    state = live.zero()
    for batch in batches:
        live.add(state, batch)
    return state


@pytest.mark.parametrize("function", [name for name, record in FUNCTIONS.items() if not record.takes_outcomes])
def test_twice_the_events_of_a_key_cost_twice_the_operations(function: str) -> None:
    def cost(count: int) -> tuple[int, int, int]:
        live, state = live_table(function), State([{}])
        late = burst(count, 10 * SECOND_US)
        random.Random(1).shuffle(late)
        at = EPOCH + timedelta(seconds=13)
        first = operations(lambda: live.add(state, late))
        answered = operations(lambda: live.values(state, at))
        return first, answered, operations(lambda: live.add(state, [(SECOND_US * 60, "z", 0, 1.0)]))

    once, twice = cost(1000), cost(2000)
    assert all(more < 2.5 * less + 100 for less, more in zip(once, twice, strict=True)), (once, twice)


def test_a_tile_is_changed_once_in_a_batch_however_many_events_it_takes() -> None:
    live, calls = live_table("count_distinct"), list[int]()
    (part,) = live._slots[0]._parts
    add = part.add
    part.add = lambda state, entries: (calls.append(len(entries)), add(state, entries))[1]
    state = tiled(live, [burst(50_000, n * APART_US, n * 50_000) for n in (1, 2)])
    assert calls == [50_000]
    assert live.values(state, EPOCH + timedelta(seconds=22))["a"] > 80_000
    assert calls == [50_000, 50_000]


def test_a_state_has_a_bound_however_many_different_values_a_key_has() -> None:
    live = live_table("count_distinct")
    sizes = [
        len(live.to_json(tiled(live, [burst(count, SECOND_US), burst(1, APART_US, count)])))
        for count in (EXACT, 10 * EXACT, 50 * EXACT)
    ]
    assert max(sizes) - min(sizes) < 100
    assert max(sizes) < 12_000


#: What differs in a definition → for how many seconds a state of it has each event as it was.
KEPT_SECONDS = {"": 2, "delay": 62, "exact": 302, "endless": 2, "outcomes": 62}


@pytest.mark.parametrize("kind", KEPT_SECONDS)
def test_a_state_has_single_events_of_a_stated_time_and_a_tile_for_each_hop(kind: str) -> None:
    minute = timedelta(minutes=1)
    window, delay = (
        (None if kind == "endless" else 5 * minute),
        (minute if kind in ("delay", "outcomes") else 0 * minute),
    )
    function, column = ("rate", "outcome") if kind == "outcomes" else ("count", None)
    hop = 0 * minute if kind == "exact" else None if kind == "endless" else minute
    live = LiveTable(
        AggregationTable("busy", RAW, "key", (Aggregation("a", function, column, window, delay=delay, hop=hop),))
    )
    state, sizes = live.zero(), set()
    for second in range(3_000):
        at = second * SECOND_US
        live.add(state, [(at, 0, 0)])
        if kind == "outcomes" and second > 400:  # of an event that is in a tile, and of the last that is
            live.add(state, [(at - 200 * SECOND_US, 0, at), (at - 399 * SECOND_US, 0, at)])
        if second > 1_000:
            outcomes = sum(entry[2] > 0 for entry in state.recent)
            sizes.add((len(state.recent) - outcomes, len(state.tiles[0]), outcomes))
    assert max(entries for entries, *_ in sizes) <= KEPT_SECONDS[kind] + 1
    assert max(tiles for _, tiles, _ in sizes) <= 5 + 1 + 1 + 1  # hops of the window, of the delay, and at both ends
    assert max(outcomes for *_, outcomes in sizes) <= 2 * (2 + 1)


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 3000, 20_000, 100_000])
def test_a_count_of_different_values_is_exact_up_to_its_bound_and_then_near(count: int) -> None:
    fold = FUNCTIONS["count_distinct"].fold_of(None)
    values: list[Any] = [f"code-{n}" for n in range(count)]
    counted = fold.value(fold.added(fold.zero, [(value, None) for value in values * 2]))
    assert counted == count if count <= EXACT else abs(counted - count) < 0.15 * count
    assert counted == oracle.BY_HAND["count_distinct"](values)


@pytest.mark.parametrize("parts", [1, 2, 7, 300])
def test_an_estimate_is_the_same_in_any_parts_and_any_order(parts: int) -> None:
    live, shuffled = live_table("count_distinct"), random.Random(parts)
    entries = [entry for n in range(6) for entry in burst(900, n * APART_US * 30, n * 500)]
    plain = live.to_json(tiled(live, [entries]))
    shuffled.shuffle(entries)
    batches = [entries[i::parts] for i in range(parts)]
    state = live.zero()
    for batch in batches:
        live.add(state, batch)
        state = live.from_json(live.to_json(state))
    assert live.to_json(state) == plain


def test_a_state_of_an_earlier_version_kept_its_values_and_counts_the_same() -> None:
    fold = FUNCTIONS["count_distinct"].fold_of(None)
    for count in (0, 3, 2000):
        values = [f"code-{n}" for n in range(count)]
        assert fold.unpack(values) == fold.added(fold.zero, [(value, None) for value in values])


def test_values_of_every_type_have_hashes_that_differ() -> None:
    values = ["", "a", "é", "1", 0.1, 1e16, -1.5, 9e9, 2**62, 7]
    assert len({hashed(value) for value in values}) == len(values)
    assert hashed(0.0) == hashed(-0.0)


def test_the_numbers_of_a_producer_with_many_gaps_are_few_ranges() -> None:
    ranges: list[list[int]] = []
    for number in range(1, 100_001, 2):
        numbers.add_number(ranges, number)
    assert len(ranges) == numbers.MOST_RANGES
    missing = numbers.missing_numbers(ranges, 100_000)
    assert missing[0] == [2, 2]
    for first, end in missing[:-1]:  # the producer sends what it is answered for
        for number in range(first, end + 1):
            numbers.add_number(ranges, number)
    assert ranges == [[1, 2 * numbers.MOST_RANGES - 1]]
    assert numbers.missing_numbers(ranges, 100_000) == [[2 * numbers.MOST_RANGES, 100_000]]
