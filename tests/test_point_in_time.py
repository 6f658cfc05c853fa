"""What the point-in-time join of our offline store promises.

If one of Feast's stores breaks a promise, the test is a strict expected failure on that store: it fails once Feast
keeps the promise.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore
from hypothesis import given, settings
from hypothesis import strategies as st
from offline_world import DRIVER, OURS, at, entity_frame, repository, source, view, write

pytestmark = pytest.mark.slow


def stores(duckdb: str = "", file: str = "") -> pytest.MarkDecorator:
    """Run the test on our store and on Feast's two, with the reason why it fails there. Without a reason it passes."""

    def stock(name: str, fault: str) -> pytest.ParameterSet:
        return pytest.param(name, marks=[pytest.mark.xfail(strict=True, reason=fault)] if fault else [])

    return pytest.mark.parametrize("kind", [OURS, stock("duckdb", duckdb), stock("file", file)])


def to_df(store: FeatureStore, entities: pd.DataFrame) -> pd.DataFrame:
    return store.get_historical_features(entities, ["stats:trips"]).to_df()


def trips(store: FeatureStore, entities: pd.DataFrame) -> list[int | None]:
    table = store.get_historical_features(entities, ["stats:trips"]).to_arrow()
    return [None if trips is None else int(trips) for trips in table["trips"].to_pylist()]


def store_of(
    folder: Path, kind: str, rows: list[dict[str, Any]], ttl: timedelta | None = None, **config: Any
) -> FeatureStore:
    """A repository with one view on these rows."""
    store = repository(folder, kind, **config)
    has_created = bool(rows) and "created" in rows[0]
    rows_source = source(
        write(folder / "stats.parquet", rows), **({"created_timestamp_column": "created"} if has_created else {})
    )
    store.apply([DRIVER, view(rows_source, ttl=ttl)])
    return store


def row(driver: int, trips: int, minute: float, created: float | None = None) -> dict[str, Any]:
    """A row of the source. `minute` and `created` are minutes after noon."""
    return {"driver_id": driver, "trips": trips, "event_timestamp": at(minute)} | (
        {} if created is None else {"created": at(created)}
    )


@stores(file="drops rows, and sorts them by timestamp")
def test_all_rows_come_back_in_their_order(tmp_path: Path, kind: str):
    store = store_of(tmp_path, kind, [row(1, 10, 0), row(1, 11, 5), row(2, 20, 3)], timedelta(minutes=10))
    entities = entity_frame((2, at(9)), (1, at(1)), (3, at(2)), (1, at(99)), (1, at(1)), (1, at(6)), (2, at(2)))
    assert trips(store, entities) == [20, 10, None, None, 10, 11, None]


def test_two_hundred_thousand_rows_keep_their_order(tmp_path: Path):
    store = store_of(tmp_path, OURS, [row(driver, driver, 0) for driver in range(0, 5000, 2)])
    drivers, seconds = np.random.default_rng(0).integers([0, -99], [5000, 999], (200_000, 2)).T
    entities = pd.DataFrame({"driver_id": drivers, "event_timestamp": at(0) + pd.to_timedelta(seconds, unit="s")})
    result = to_df(store, entities)
    assert result["driver_id"].tolist() == drivers.tolist()
    np.testing.assert_array_equal(result["trips"], np.where((drivers % 2 == 0) & (seconds >= 0), drivers, np.nan))


@stores(duckdb="changes their dtypes", file="changes their dtypes")
def test_the_entity_frames_own_columns_come_back_unchanged(tmp_path: Path, kind: str):
    store = store_of(tmp_path, kind, [row(1, 10, 0)], coerce_tz_aware=False)
    entities = pd.DataFrame(
        {
            "label": pd.array([1, None, 3], dtype="Int8"),
            "event_timestamp": pd.Series([at(1), at(2), at(3)]).astype("datetime64[ms, Asia/Tokyo]"),
            "city": pd.Categorical(["b", "a", None], categories=["c", "b", "a"], ordered=True),
            "driver_id": pd.Series([1, 2, 1], dtype="int16"),
            "score": pd.Series([0.5, float("nan"), 2], dtype="float32"),
            "note": ["x", None, "z"],
            "local": pd.to_datetime(["2026-01-01", "2026-01-02", None]).astype("datetime64[us]"),
        },
        index=[7, 7, 3],
    )  # fmt: skip
    before = entities.copy()
    result = to_df(store, entities)
    pd.testing.assert_frame_equal(result[[*entities.columns]], before.reset_index(drop=True))
    pd.testing.assert_frame_equal(entities, before)
    assert result.columns.tolist() == [*entities.columns, "trips"]


@stores(file="drops the row with the null key")
def test_a_row_with_a_null_key_comes_back_without_features(tmp_path: Path, kind: str):
    store = store_of(tmp_path, kind, [row(1, 10, 0)])
    assert trips(store, entity_frame((1, at(1)), (None, at(1)), (1, at(2)))) == [10, None, 10]


@stores(file="drops the row")
def test_a_row_without_a_timestamp_comes_back_without_features(tmp_path: Path, kind: str):
    store = store_of(tmp_path, kind, [row(1, 10, 0)])
    assert trips(store, entity_frame((1, at(1)), (1, pd.NaT), (1, at(2)))) == [10, None, 10]


@stores()
def test_an_empty_frame_has_an_empty_result_with_typed_columns(tmp_path: Path, kind: str):
    store = store_of(tmp_path, kind, [row(1, 10, 0)])
    entities = entity_frame((1, at(1))).head(0)
    table = store.get_historical_features(entities, ["stats:trips"]).to_arrow()
    assert (table.num_rows, table.schema.field("trips").type) == (0, pa.int64())


@stores(duckdb="takes the last created", file="takes the last created")
def test_no_correction_leaks_into_the_past(tmp_path: Path, kind: str):
    rows = [row(1, 10, 0, created=1), row(1, 11, 0, created=30), row(1, 12, 0, created=60)]
    store = store_of(tmp_path, kind, rows)
    entities = entity_frame(*[(1, at(minute)) for minute in (0, 1, 29, 30, 59, 60, 999)])
    assert trips(store, entities) == [10, 10, 10, 11, 11, 12, 12]


@stores(duckdb="takes the last created", file="takes the last created")
def test_a_row_backfilled_later_answers_with_its_first_version(tmp_path: Path, kind: str):
    store = store_of(
        tmp_path, kind, [row(1, 5, -10, created=-9), row(1, 11, 0, created=900), row(1, 10, 0, created=500)]
    )
    assert trips(store, entity_frame((1, at(1)), (1, at(499)), (1, at(500)), (1, at(900)))) == [10, 10, 10, 11]


@stores()
def test_a_row_backfilled_after_the_timestamp_answers(tmp_path: Path, kind: str):
    store = store_of(tmp_path, kind, [row(1, 9, -5, created=-5), row(1, 10, 0, created=9999)])
    assert trips(store, entity_frame((1, at(1)), (1, at(2)))) == [10, 10]


@stores()
def test_rows_created_after_the_timestamp_can_be_filtered_out(tmp_path: Path, kind: str):
    rows = [row(1, 9, -5, created=-5), row(1, 10, 0, created=30), row(1, 11, 0, created=40), row(2, 20, 0, created=30)]
    store = store_of(tmp_path, kind, rows)
    entities = entity_frame((1, at(1)), (1, at(30)), (1, at(40)))
    job = store.get_historical_features(entities, ["stats:trips"], filter_by_created_timestamp=True)
    assert job.to_df().sort_values("event_timestamp")["trips"].tolist() == [9, 10, 11]


@stores(duckdb="takes any row", file="takes any row")
def test_without_created_the_last_row_of_one_timestamp_answers(tmp_path: Path, kind: str):
    rows = [row(driver, trips, 0) for trips in range(5) for driver in range(500)]
    store = store_of(tmp_path, kind, rows)
    assert trips(store, entity_frame(*[(driver, at(1)) for driver in range(500)])) == [4] * 500


@stores(file="drops the row beyond the TTL")
def test_a_ttl_is_exact_to_the_microsecond(tmp_path: Path, kind: str):
    store = store_of(tmp_path, kind, [row(1, 10, 0)], timedelta(minutes=10))
    microsecond = timedelta(microseconds=1)
    timestamps = [at(10) - microsecond, at(10), at(10) + microsecond, at(0), at(0) - microsecond]
    assert trips(store, entity_frame(*[(1, timestamp) for timestamp in timestamps])) == [10, 10, None, 10, None]


@pytest.mark.parametrize("ttl", [None, timedelta(0), timedelta(days=36_500), timedelta.max / 2])
def test_no_ttl_a_zero_ttl_and_a_very_long_ttl_never_end(tmp_path: Path, ttl: timedelta | None):
    store = store_of(tmp_path, OURS, [row(1, 10, -60 * 24 * 365 * 30)], ttl)
    assert trips(store, entity_frame((1, at(1)))) == [10]


VERSIONS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 4), st.none() | st.integers(0, 6)), max_size=12)
TIMESTAMPS = st.lists(st.tuples(st.none() | st.integers(1, 3), st.integers(-1, 6)), min_size=1, max_size=12)


def naive(rows: list[dict[str, Any]], driver: int | None, timestamp: datetime, ttl: timedelta | None) -> int | None:
    """The promise of the join, by a search through all rows."""
    past = [row for row in rows if row["driver_id"] == driver and row["event_timestamp"] <= timestamp]
    past = [row for row in past if not ttl or row["event_timestamp"] >= timestamp - ttl]
    latest = max((row["event_timestamp"] for row in past), default=None)
    versions = [row for row in past if row["event_timestamp"] == latest]
    known = [row for row in versions if row["created"] is None or row["created"] <= timestamp]
    if known:
        return max(enumerate(known), key=lambda item: (item[1]["created"] or at(-99), item[0]))[1]["trips"]
    return min(reversed(versions), key=lambda row: row["created"])["trips"] if versions else None


@pytest.fixture(scope="module")
def stores_by_ttl(tmp_path_factory: pytest.TempPathFactory) -> dict[timedelta | None, FeatureStore]:
    """A repository for each TTL. Each example writes its file again."""
    stores_by_ttl = {}
    for ttl in (None, timedelta(minutes=2)):
        folder = tmp_path_factory.mktemp("ttl")
        stores_by_ttl[ttl] = store_of(folder, OURS, [row(1, 1, 0, created=0)], ttl)
    return stores_by_ttl


@settings(max_examples=40)
@given(versions=VERSIONS, timestamps=TIMESTAMPS, ttl=st.sampled_from([None, timedelta(minutes=2)]))
def test_the_join_agrees_with_a_naive_search(stores_by_ttl, versions, timestamps, ttl):
    rows = [
        {
            "driver_id": driver,
            "trips": n,
            "event_timestamp": at(minute),
            "created": None if created is None else at(created),
        }
        for n, (driver, minute, created) in enumerate(versions)
    ]
    store = stores_by_ttl[ttl]
    table = pa.Table.from_pylist(rows, schema=pa.schema({
        "driver_id": pa.int64(), "trips": pa.int64(),
        "event_timestamp": pa.timestamp("us", "UTC"), "created": pa.timestamp("us", "UTC"),
    }))  # fmt: skip
    pa.parquet.write_table(
        table, store.get_data_source("source of " + str(store.config.repo_path / "stats.parquet")).path
    )
    entities = entity_frame(*[(driver, at(minute)) for driver, minute in timestamps])
    assert trips(store, entities) == [naive(rows, driver, at(minute), ttl) for driver, minute in timestamps]
