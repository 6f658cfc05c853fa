"""Above its bound a count of different values is an estimate, and batch, training, stream and oracle give the same."""

from datetime import timedelta
from typing import Any

import oracle
import pandas as pd
import pytest
from test_windows import DAY_0, NOW, RAW, root_with, same, stored, without_created
from test_windows import event as raw_event

import settings
from features.windows import Aggregation, AggregationTable, events
from features.windows.folds import EXACT
from features.windows.state import LiveTable
from jobs.batch.at_moments import records_at_moments
from jobs.batch.table import compute

pytestmark = pytest.mark.slow
DAY, HOUR, SECOND = timedelta(days=1), timedelta(hours=1), timedelta(seconds=1)


@pytest.mark.parametrize("column", ["x", "who"])
def test_an_estimate_is_the_same_in_batch_training_stream_and_oracle(column: str) -> None:
    table = AggregationTable(
        "made_table", RAW, "key",
        tuple(Aggregation(name, "count_distinct", column, window, where) for name, window, where in (
            ("days", 3 * DAY, {}), ("hours", 5 * HOUR, {}), ("ever", None, {}), ("of_b", DAY, {"kind": "b"}))),
    )  # fmt: skip
    raw: list[dict[str, Any]] = [
        raw_event(DAY_0 + n * 20 * SECOND, id=f"e{n}", x=(n * 7 % 5000) / 3, who=f"w{n * 11 % 4000}", kind="ab"[n % 2])
        for n in range(12_000)
    ]
    until, as_of = DAY_0 + 4 * DAY, DAY_0 + 50 * HOUR
    with root_with(raw):
        compute(settings.root(), table, until, NOW)
        same(without_created(stored()), oracle.rows(table, raw, None, until))
        entity_frame = pd.DataFrame({"key": ["a"], "event_timestamp": pd.to_datetime([as_of]).as_unit("us")})
        expected = oracle.values(table, raw, "a", as_of)
        assert records_at_moments(settings.root(), table, entity_frame) == [expected]
    live, rows = LiveTable(table), [events.plain(RAW, event) for event in raw if event["at"] <= as_of]
    state = live.zero()
    for batch in (rows[1::2], rows[::2]):
        live.add(state, [entry for row in batch for entry in events.entries(live, row)])
    assert live.values(live.from_json(live.to_json(state)), as_of) == expected
    assert expected["hours"] <= EXACT < expected["of_b"] < expected["days"]
