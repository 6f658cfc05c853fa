"""No whole number becomes a float where others in its column are null: beyond 2**53 it would be another one."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pandas as pd
import pytest
from constants import override
from regression import Source, declared
from test_windows import DAY_0, RAW, event, root_with

import settings
from features.risk import Outcomes, Protocol
from features.windows import Aggregation, AggregationTable
from features.windows.live import LiveFeatures
from features.windows.raw import Column, RawTable
from features.windows.tables import Feature
from jobs import point_in_time
from jobs.train import dataset
from jobs.train.cases import known_cases, split
from jobs.train.champion import case_rows
from model.publishing.version import rows_of

pytestmark = pytest.mark.slow
NOW, HOUR = datetime(2026, 1, 1, tzinfo=UTC), timedelta(hours=1)
LARGE = 2**53 + 1
#: Null first, so that the first chunk of one row is all null.
ACCOUNTS = [None, LARGE, None, LARGE + 2, *[None, LARGE] * 350]
ROWS = len(ACCOUNTS)
TABLE = RawTable(
    "made_loyalty",
    (Column("customer_id", "int"), Column("loyalty", "float"), Column("account", "int", is_optional=True)),
)
RISK = declared(outcomes=Outcomes(TABLE, "loyalty", timedelta()))


class Joined(Source):
    """A store that joins the account as a feature, as objects or as whole numbers of pandas."""

    def __init__(self, dtype: str) -> None:
        self.accounts = pd.Series(ACCOUNTS, dtype=dtype)

    def historical(self, risk, frame):
        return frame.assign(orders=1.0, spent=2.0, weekday=self.accounts.array[frame["customer_id"]])


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    times = pd.date_range("2025-12-01", periods=ROWS, freq="h", tz="UTC")
    frame = pd.DataFrame({"customer_id": range(ROWS), "loyalty": 1.0, "event_timestamp": times})
    frame["loyalty"] += frame["customer_id"] % 7
    (tmp_path / "raw" / "made_loyalty").mkdir(parents=True)
    frame.assign(account=pd.Series(ACCOUNTS, dtype="Int64")).to_parquet(tmp_path / "raw" / "made_loyalty" / "a.parquet")
    return settings.root()


def plain(values):
    return [None if pd.isna(value) else int(value) for value in values]


@pytest.mark.parametrize("dtype", ["object", "Int64"])
def test_past_cases_and_the_training_matrix_hold_them(root, dtype):
    cases = known_cases(root, RISK, NOW)
    assert plain(cases["account"]) == ACCOUNTS
    assert split(cases, RISK, NOW, Protocol("account"), NOW - timedelta(days=31)).train.any(), (
        "a column with nulls splits"
    )
    past, future = case_rows(root, Joined(dtype), RISK, NOW, None, None)
    assert plain([*past["weekday"], *future["weekday"]]) == plain([*past["account"], *future["account"]]) == ACCOUNTS
    missing = past[["orders", "spent", "weekday"]].astype(float).median()
    assert rows_of(RISK, past, "loyalty", missing).matrix.shape == (len(past), 3)


@pytest.mark.parametrize("dtype", ["object", "Int64"])
def test_a_dataset_holds_them_whatever_a_chunk_begins_with(root, dtype, monkeypatch):
    override(monkeypatch, dataset, CHUNK_ROWS=1)
    end = datetime(2025, 12, 1, 6, tzinfo=UTC)
    dataset.run(root, RISK, None, end, NOW, store=Joined(dtype))
    files = f"read_parquet('{root.dataset('made_up')}/**/*.parquet', hive_partitioning = false)"
    rows = duckdb.sql(f"SELECT account, weekday FROM {files} ORDER BY customer_id")
    assert rows.fetchall() == [(number, number) for number in ACCOUNTS[:6]]
    assert rows.types == ["BIGINT", "BIGINT"]


def test_live_features_hold_them():
    table = AggregationTable("made_table", RAW, "key", (Aggregation("n", "count", None, HOUR),))
    twin = Feature("twin", "int", HOUR, "", "")
    live = LiveFeatures("made_live", (table,), ("account",), lambda values: {"twin": values["account"]}, (twin,))
    times = pd.to_datetime([DAY_0 + HOUR] * 2).as_unit("us")
    frame = pd.DataFrame({"key": "a", "event_timestamp": times, "account": pd.Series([LARGE, None], dtype="Int64")})
    with root_with([event(DAY_0, id="e")]):
        joined = point_in_time.features(settings.root(), Live(), replace(RISK, live=live), frame)
    assert plain(joined["twin"]) == [LARGE, None]
    assert plain(joined["n"]) == [1, 1]


class Live:
    def views(self, service):
        return {"n": "made_live", "twin": "made_live"}
