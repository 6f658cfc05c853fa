"""The pure steps that every engine calls give the states of the embedded stream job, byte for byte: for duplicates,
late events, outcomes, corrections, partial updates and events that move to another key, in any order of partitions, and
when rows are offered again after a kill."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from keyed_engine import SALES, SHOPS, STREAM, Engine, Version, embedded, iso, processed, rows_of, sale
from pydantic_core import from_json, to_json
from stream_world import BEGIN, DAY, SECOND

from features.utc import since_1970
from features.windows import AggregationTable, keyed
from features.windows.state import LiveTable


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))


SECONDS = st.sampled_from([0, 60, 86_000, 50 * 86_400]) | st.integers(0, 50 * 86_400)


VERSIONS = st.builds(
    lambda nth, second, who, columns: {"id": f"s{nth}", "at": iso(second), "who": f"w{who}", **columns},
    st.integers(0, 4), SECONDS, st.sampled_from([0, 0, 0, 1]),
    st.fixed_dictionaries({}, optional={
        "shop": st.sampled_from(["p0", "p1", None]), "price": st.integers(0, 99).map(lambda n: n / 8),
        "pieces": st.integers(0, 3), "outcome": SECONDS.map(iso),
    }),
)  # fmt: skip
BATCHES = st.lists(st.lists(VERSIONS, min_size=1, max_size=6), min_size=1, max_size=6)


def interleaved(rows: Sequence[dict[str, Any]], draw: Any) -> Iterator[tuple[dict[str, Any], int]]:
    """Rows, each with its offset, in an order that keeps that of each partition."""
    partitions: list[list[tuple[dict[str, Any], int]]] = [[], [], []]
    for row in rows:
        partition = partitions[crc32(row["id"].encode()) % 3]
        partition.append((row, len(partition)))
    while waiting := [partition for partition in partitions if partition]:
        yield draw.draw(st.sampled_from(waiting)).pop(0)


@given(batches=BATCHES, data=st.data(), records=st.booleans())
@examples(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_steps_give_the_states_of_the_embedded_job(
    batches: list[list[Version]],
    data: Any,
    records: bool,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RISK_DATA", str(tmp_path_factory.mktemp("root")))
    engine = Engine(records)
    for row, offset in interleaved(rows_of([version for batch in batches for version in batch]), data):
        engine.remember(row, offset)
    engine.process_all()
    assert engine.states == embedded(batches)


@given(batches=BATCHES, data=st.data())
@examples(max_examples=100)
def test_rows_that_are_offered_again_at_their_offsets_change_nothing(batches: list[list[Version]], data: Any) -> None:
    rows = rows_of([version for batch in batches for version in batch])
    offered, once, again = list(interleaved(rows, data)), Engine(), Engine()
    for row, offset in offered:
        once.remember(row, offset)
    once.process_all()
    for n, (row, offset) in enumerate(offered, 1):
        again.remember(row, offset)
        for old_row, old_offset in offered[data.draw(st.integers(0, n)) : n]:
            again.remember(old_row, old_offset)
    assert again.topics == once.topics
    for group, topic in enumerate(again.topics):
        for partition, messages in enumerate(topic):
            done = 0
            while done < len(messages):
                begin, end = data.draw(st.integers(0, done)), data.draw(st.integers(done + 1, len(messages)))
                again.process(group, partition, begin, end)
                done = end
    assert (again.states, again.versions, again.kept) == (once.states, once.versions, once.kept)


def value(engine: Engine, table: AggregationTable, key: str, second: float) -> dict[str, Any]:
    """The features of a key."""
    live = LiveTable(table)
    state = engine.states[table.name].get(to_json((key,)))
    return dict(table.empty) if state is None else live.values(live.from_json(state), BEGIN + second * SECOND)


def test_an_outcome_that_names_no_shop_reaches_the_shop_of_its_event() -> None:
    engine = processed(sale(0, 0, shop="p0", price=2.0, pieces=3), sale(1, 1, shop="p0"), sale(0, 0, outcome=iso(60)))
    assert value(engine, SHOPS, "p0", 90)["bad"] == 0.5
    assert engine.versions["shops", b'["p0"]'] == 2


def test_an_event_that_moves_leaves_its_old_key_and_comes_to_its_new_one() -> None:
    engine = processed(sale(0, 0, shop="p0"), sale(1, 5, shop="p0"), sale(0, 0, shop="p1"))
    assert [value(engine, SHOPS, shop, 90)["n1"] for shop in ("p0", "p1")] == [1, 1]


def test_a_duplicate_becomes_no_row_of_a_keyed_topic() -> None:
    once, twice = processed(sale(0, 0, shop="p0")), processed(sale(0, 0, shop="p0"), sale(0, 0, shop="p0"))
    assert (twice.topics, twice.kept) == (once.topics, once.kept)


def test_a_key_forgets_the_entries_that_no_window_reaches() -> None:
    days = [sale(n, n * 86_400, shop="p0", price=1.0, pieces=1) for n in range(45)]
    kept = processed(*days).kept["late_buyers", b'["w0"]']
    assert (kept.count(b"\n"), from_json(kept.split(b"\n")[0])) == (3, [44, 0, 2])
    records = processed(*days, records=True).records or {}
    assert sorted(records["late_buyers", b'["w0"]'].by_number) == [43, 44]


def test_a_key_and_an_event_are_forgotten_once_no_window_reaches_them() -> None:
    engine, live, (begin, later) = processed(sale(0, 0, shop="p0")), LiveTable(SHOPS), (BEGIN, BEGIN + 31 * DAY)
    kept = keyed.from_bytes(live, engine.kept["shops", b'["p0"]'])
    assert [keyed.forget(live, kept, since_1970(now)) for now in (begin, later)] == [kept, None]
    assert kept.entries == {}
    event = keyed.event_from_bytes(SALES, engine.events["s0"])
    reached = [keyed.reached([live], since_1970(now)) for now in (later, later + DAY)]
    assert [keyed.forget_event(SALES, (SHOPS,), event, timestamp) for timestamp in reached] == [event, None]


def test_a_row_has_only_what_the_tables_of_its_key_need() -> None:
    buyers, shops, pairs = keyed.by_keys(SALES, STREAM.tables)
    assert [group.keys for group in (buyers, shops, pairs)] == [("who",), ("shop",), ("who", "shop")]
    assert pairs.columns == ("id", "at", "who", "shop")
    row = rows_of([sale(0, 0, shop="p0")])[0]
    ((_, (before, after)),) = pairs.rows((None, row))
    assert (before, after) == (None, {name: row[name] for name in pairs.columns})
    assert pairs.rows((row, row | {"amount": 5.0})) == []
