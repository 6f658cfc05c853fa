"""A state of a version has the events with offsets up to it. The keyed log tells which they are: the values that parity
computes from it are those of the state."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from keyed_engine import SALES, SHOPS, STREAM, Engine, Version, embedded, processed, sale
from pydantic_core import from_json
from stream_world import BEGIN, DAY, SECOND
from test_keyed import BATCHES, SECONDS

import settings
from errors import NoData
from features.utc import since_1970
from features.windows import AggregationTable
from features.windows.state import LiveTable
from jobs.batch.at_moments import records_at_moments
from jobs.batch.folded import Folds
from jobs.raw import keyed_log

TABLES = {table.name: table for table in STREAM.tables}


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))


def log(engine: Engine, cuts: Sequence[int]) -> None:
    """Write the keyed log, in files that begin at these offsets and end with the partition: many rows lie in two."""
    for group, topic in zip(engine.groups, engine.topics, strict=True):
        for partition, messages in enumerate(topic):
            rows = [
                keyed_log.KeyedRow(n, n, since_1970(BEGIN) + n, from_json(text)) for n, (_, text) in enumerate(messages)
            ]
            for cut in cuts:
                keyed_log.write(settings.root(), SALES, group, partition, rows[cut:])


def served(table: AggregationTable, state: bytes, timestamp: datetime) -> dict[str, Any]:
    live = LiveTable(table)
    return live.values(live.from_json(state), timestamp)


def frame(table: AggregationTable, rows: Sequence[tuple[bytes, int | None, datetime]]) -> pd.DataFrame:
    """Requests: key, version and timestamp."""
    keys = [dict(zip(table.keys, from_json(key), strict=True)) for key, _, _ in rows]
    versions = pd.Series([version for _, version, _ in rows], dtype="Int64")
    timestamps = pd.Series([timestamp for *_, timestamp in rows], dtype="datetime64[us, UTC]")
    return pd.DataFrame(keys).assign(event_timestamp=timestamps, **{f"{table.name}_seen": versions})


@given(batches=BATCHES, second=SECONDS, cuts=st.lists(st.integers(0, 5), max_size=2).map(lambda cuts: [0, *cuts]))
@examples(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_events_up_to_an_offset_give_the_state_of_that_version(
    batches: list[list[Version]],
    second: int,
    cuts: list[int],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RISK_DATA", str(tmp_path_factory.mktemp("root")))
    engine, timestamp = processed(*[version for batch in batches for version in batch]), BEGIN + second * SECOND
    log(engine, cuts)
    for name, table in TABLES.items():
        states = [(key, version, state) for (place, key), version, state in engine.history if place == name]
        if states:
            requests = frame(table, [(key, version, timestamp) for key, version, _ in states])
            joined = records_at_moments(settings.root(), table, requests)
            assert joined == [served(table, state, timestamp) for *_, state in states]


def test_versions_of_both_kinds_are_compared_in_one_go() -> None:
    """A root that moved to Kafka has decisions of before and of after."""
    versions = [sale(n, 60 * n, shop="p0", price=1.0 + n, pieces=1) for n in range(4)]
    embedded([versions])
    engine, timestamp = processed(*versions[:2]), BEGIN + DAY
    log(engine, [0])
    key, whole = b'["p0"]', served(SHOPS, processed(*versions).states["shops"][b'["p0"]'], timestamp)
    seen = [(key, since_1970(BEGIN + 90 * DAY)), (key, 1), (key, None), (b"[null]", 1), (b'[""]', 1)]
    requests = frame(SHOPS, [(name, version, timestamp) for name, version in seen])
    joined = records_at_moments(settings.root(), SHOPS, requests)
    assert joined == [
        whole,
        served(SHOPS, engine.states["shops"][key], timestamp),
        SHOPS.empty,
        SHOPS.empty,
        SHOPS.empty,
    ]


def test_an_explanation_names_the_events_up_to_the_offset() -> None:
    engine = processed(sale(0, 0, shop="p0"), sale(1, 60, shop="p0"), sale(0, 0, shop="p1"))
    log(engine, [0])
    (partition,) = [rows for rows in engine.topics[1] if any(key == b'["p0"]' for key, _ in rows)]
    for key, offset, names in (("p0", len(partition) - 1, {"s1"}), ("p0", 1, {"s0", "s1"}), ("p0", 0, {"s0"})):
        with closing(Folds(settings.root(), {"shop": key})) as folds:
            fold = folds.folded(SHOPS, since_1970(BEGIN + 120 * SECOND), offset, is_state=True)
        assert {name for _, name in fold.windows["n1"].newest} == names


def test_a_missing_keyed_log_is_said_to_be_missing() -> None:
    with pytest.raises(NoData, match="Copy the keyed log of the stream job there"):
        records_at_moments(settings.root(), SHOPS, frame(SHOPS, [(b'["p0"]', 3, BEGIN)]))
