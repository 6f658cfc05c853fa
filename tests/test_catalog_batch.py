"""The batch of the domain `catalog`: its rows are the oracle's, of history and the stream's log, and of no bad row."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import hypothesis.strategies as st
import oracle
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as examples

import settings
from errors import BadInput
from features.catalog import CATEGORY_SALES, PRODUCT_SALES, TABLES
from jobs.batch.table import compute

pytestmark = pytest.mark.slow

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)
COLUMNS = ("transaction_id", "customer_id", "product_id", "category", "price", "quantity", "transaction_date",
           "review_rating")  # fmt: skip
ROWS = [
    ("h1", "0001", "007", "tools", "12.5", "2", "2026-03-01T10:00:00+00:00", ""),
    ("h2", "0002", "008", "books", "8", "1", "2026-03-02T10:00:00+00:00", "3"),
]
LOGGED = ("e1", "0001", "008", "books", 9.99, 3, datetime(2026, 3, 5, 10, tzinfo=UTC), 1.0)


def csv(path: Path, *rows: tuple[str, ...]) -> Path:
    path.parent.mkdir(exist_ok=True)
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path, index=False)
    return path


def stored(table):
    files = sorted(settings.root().feature_table(table.name).rglob("*.parquet"))
    return [row for file in files for row in pq.read_table(pa.BufferReader(file.read_bytes())).to_pylist()]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("column", "bad"),
    [("price", "abc"), ("price", ""), ("price", "nan"), ("price", "-1"), ("price", "1e6"), ("quantity", "two"),
     ("quantity", "1.5"), ("quantity", ""), ("quantity", "-1"), ("review_rating", "6"), ("review_rating", "0")],
)  # fmt: skip
def test_a_bad_row_stops_the_batch_or_is_put_aside_and_is_never_nothing(root, column, bad):
    spoiled = dict(zip(COLUMNS, ROWS[0], strict=True)) | {"transaction_id": "bad", column: bad}
    files = [csv(root / "rows.csv", *ROWS, tuple(spoiled.values()))]
    with pytest.raises(BadInput, match=f"{column}: 1 row is .*the first is row 3"):
        compute(settings.root(), PRODUCT_SALES, NOW, NOW, files=files)
    assert stored(PRODUCT_SALES) == []
    report = compute(settings.root(), PRODUCT_SALES, NOW, NOW, files=files, quarantine=root / "bad.csv")
    assert report.events.quarantined == 1
    assert pd.read_csv(root / "bad.csv")["reason"].str.startswith(f"{column} is ").tolist() == [True]
    assert [row["units_sold_30d"] for row in stored(PRODUCT_SALES)] == [2.0, 1.0]


def test_a_whole_number_may_be_written_with_a_point(root):
    csv(settings.root().raw_table("transactions").with_suffix(".csv"), (*ROWS[0][:5], "2.0", *ROWS[0][6:]))
    compute(settings.root(), PRODUCT_SALES, NOW, NOW)
    assert [(row["product_id"], row["units_sold_30d"]) for row in stored(PRODUCT_SALES)] == [("007", 2.0)]


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_an_event_in_history_and_log_counts_once(root, kind):
    history = pd.DataFrame([*ROWS, (*map(str, LOGGED[:6]), "2026-03-05T13:00:00+03:00", "1")], columns=COLUMNS)
    path = settings.root().raw_table("transactions").with_suffix(kind)
    path.parent.mkdir()
    history.to_csv(path, index=False) if kind == ".csv" else history.to_parquet(path)
    log = settings.root().offline_log("transactions") / "year=2026/month=03/day=05"
    log.mkdir(parents=True)
    new = ("e2", *LOGGED[1:4], 0.1, 3, *LOGGED[6:])
    logged = pd.DataFrame([LOGGED, new], columns=COLUMNS).assign(created=NOW - DAY)
    logged.to_parquet(log / "1-1.parquet")
    report = compute(settings.root(), CATEGORY_SALES, NOW, NOW)
    assert (report.events.rows, report.events.repeated) == (5, 1)
    books = [row["category_revenue_30d"] for row in stored(CATEGORY_SALES) if row["category"] == "books"]
    assert books == [8.0, 38.27]


SCHEMA = pa.schema(
    {**dict.fromkeys(COLUMNS[:4], pa.string()), "price": pa.float64(), "quantity": pa.int64(),
     "transaction_date": pa.timestamp("us", "UTC"), "review_rating": pa.float64()}
)  # fmt: skip
made = st.fixed_dictionaries(
    {"transaction_id": st.integers(0, 30).map(str), "product_id": st.sampled_from("ab"), "category": st.just("c"),
     "customer_id": st.just("x"), "price": st.integers(0, 10**5).map(lambda cents: cents / 100),
     "quantity": st.integers(0, 9), "review_rating": st.none() | st.integers(2, 10).map(lambda halves: halves / 2),
     "transaction_date": st.integers(0, 40 * 24).map(lambda hours: NOW - 40 * DAY + timedelta(hours=hours))}
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
@given(rows=st.lists(made, min_size=1, max_size=12, unique_by=lambda row: row["transaction_id"]))
@examples(max_examples=8)
def test_every_row_of_the_batch_is_what_a_list_by_hand_gives(table, rows, tmp_path_factory):
    by_hand = [
        row | {"id": row["transaction_id"], "key": row[table.key], "amount": row["price"] * row["quantity"]}
        for row in rows
    ]
    with mock.patch.dict(os.environ, RISK_DATA=str(tmp_path_factory.mktemp("root"))):
        settings.root().raw_table("transactions").mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), settings.root().raw_table("transactions") / "made.parquet")
        compute(settings.root(), table, NOW + 40 * DAY, NOW)
        rows = [{"key": row.pop(table.key), **row} for row in stored(table)]
    expected = oracle.rows(table, by_hand, None, NOW + 40 * DAY)
    assert [{name: row[name] for name in row if name != "created"} for row in rows] == expected
