"""What the point-in-time join of our offline store promises. Where a stock store breaks a promise, the same test says
so of it, strictly: should Feast mend it, that test will fail."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from feast import FeatureStore
from hypothesis import given, settings
from hypothesis import strategies as st
from offline_world import DRIVER, OURS, asked, at, repository, source, view, write


def stores(duckdb: str = "", file: str = "") -> pytest.MarkDecorator:
    """Ours, and Feast's with how they fail. An empty reason: they pass."""

    def stock(name: str, fault: str):
        return pytest.param(name, marks=[pytest.mark.xfail(strict=True, reason=fault)] if fault else [])

    return pytest.mark.parametrize("kind", [OURS, stock("duckdb", duckdb), stock("file", file)])


def joined(store: FeatureStore, entities: pd.DataFrame, *features: str) -> pd.DataFrame:
    return store.get_historical_features(entities, list(features or ("stats:trips",))).to_df()


def trips(store: FeatureStore, entities: pd.DataFrame) -> list[int | None]:
    table = store.get_historical_features(entities, ["stats:trips"]).to_arrow()
    return [None if trips is None else int(trips) for trips in table["trips"].to_pylist()]


def of_rows(folder: Path, kind: str, rows: list[dict], ttl: timedelta | None = None, **more: object) -> FeatureStore:
    """A repository with one view of these rows."""
    store = repository(folder, kind, **more)
    has_created = bool(rows) and "created" in rows[0]
    of = source(
        write(folder / "stats.parquet", rows), **({"created_timestamp_column": "created"} if has_created else {})
    )
    store.apply([DRIVER, view(of, ttl=ttl)])
    return store


def row(driver: int, trips: int, minute: float, created: float | None = None) -> dict:
    made = {} if created is None else {"created": at(created)}
    return {"driver_id": driver, "trips": trips, "event_timestamp": at(minute)} | made


@stores(file="drops rows, and orders by time")
def test_rows_in_are_rows_out_in_their_order(tmp_path: Path, kind: str):
    store = of_rows(tmp_path, kind, [row(1, 10, 0), row(1, 11, 5), row(2, 20, 3)], timedelta(minutes=10))
    entities = asked((2, at(9)), (1, at(1)), (3, at(2)), (1, at(99)), (1, at(1)), (1, at(6)), (2, at(2)))
    assert trips(store, entities) == [20, 10, None, None, 10, 11, None]


@stores(duckdb="answers in the order of its threads", file="drops rows, and orders by time")
def test_two_hundred_thousand_rows_keep_their_order(tmp_path: Path, kind: str):
    store = of_rows(tmp_path, kind, [row(driver, driver, 0) for driver in range(0, 5000, 2)])
    drivers, seconds = np.random.default_rng(0).integers([0, -99], [5000, 999], (200_000, 2)).T
    entities = pd.DataFrame({"driver_id": drivers, "event_timestamp": at(0) + pd.to_timedelta(seconds, unit="s")})
    answer = joined(store, entities)
    assert answer["driver_id"].tolist() == drivers.tolist()
    np.testing.assert_array_equal(answer["trips"], np.where((drivers % 2 == 0) & (seconds >= 0), drivers, np.nan))


@stores(duckdb="makes other dtypes of them", file="makes other dtypes of them")
def test_the_frames_own_columns_come_back_untouched(tmp_path: Path, kind: str):
    store = of_rows(tmp_path, kind, [row(1, 10, 0)], coerce_tz_aware=False)
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
    answer = joined(store, entities)
    pd.testing.assert_frame_equal(answer[[*entities.columns]], before.reset_index(drop=True))
    pd.testing.assert_frame_equal(entities, before)
    assert answer.columns.tolist() == [*entities.columns, "trips"]


@stores(file="drops the row with the null key")
def test_a_row_with_a_null_key_stays_and_has_no_features(tmp_path: Path, kind: str):
    store = of_rows(tmp_path, kind, [row(1, 10, 0)])
    assert trips(store, asked((1, at(1)), (None, at(1)), (1, at(2)))) == [10, None, 10]


@stores(file="drops the row")
def test_a_row_without_a_moment_stays_and_has_no_features(tmp_path: Path, kind: str):
    store = of_rows(tmp_path, kind, [row(1, 10, 0)])
    assert trips(store, asked((1, at(1)), (1, pd.NaT), (1, at(2)))) == [10, None, 10]


@stores()
def test_an_empty_frame_has_an_empty_answer_with_typed_columns(tmp_path: Path, kind: str):
    store = of_rows(tmp_path, kind, [row(1, 10, 0)])
    entities = asked((1, at(1))).head(0)
    table = store.get_historical_features(entities, ["stats:trips"]).to_arrow()
    assert (table.num_rows, table.schema.field("trips").type) == (0, pa.int64())


@stores(duckdb="takes the last written", file="takes the last written")
def test_no_correction_leaks_into_the_past(tmp_path: Path, kind: str):
    rows = [row(1, 10, 0, created=1), row(1, 11, 0, created=30), row(1, 12, 0, created=60)]
    store = of_rows(tmp_path, kind, rows)
    moments = asked(*[(1, at(minute)) for minute in (0, 1, 29, 30, 59, 60, 999)])
    assert trips(store, moments) == [10, 10, 10, 11, 11, 12, 12]


@stores(duckdb="takes the last written", file="takes the last written")
def test_of_a_backfilled_row_that_nobody_knew_yet_the_first_version_answers(tmp_path: Path, kind: str):
    store = of_rows(
        tmp_path, kind, [row(1, 5, -10, created=-9), row(1, 11, 0, created=900), row(1, 10, 0, created=500)]
    )
    assert trips(store, asked((1, at(1)), (1, at(499)), (1, at(500)), (1, at(900)))) == [10, 10, 10, 11]


@stores()
def test_a_backfilled_row_answers_though_it_was_written_after_the_moment(tmp_path: Path, kind: str):
    store = of_rows(tmp_path, kind, [row(1, 9, -5, created=-5), row(1, 10, 0, created=9999)])
    assert trips(store, asked((1, at(1)), (1, at(2)))) == [10, 10]


@stores()
def test_rows_written_after_the_moment_can_be_left_out_as_feast_does(tmp_path: Path, kind: str):
    rows = [row(1, 9, -5, created=-5), row(1, 10, 0, created=30), row(1, 11, 0, created=40), row(2, 20, 0, created=30)]
    store = of_rows(tmp_path, kind, rows)
    entities = asked((1, at(1)), (1, at(30)), (1, at(40)))
    job = store.get_historical_features(entities, ["stats:trips"], filter_by_created_timestamp=True)
    assert job.to_df().sort_values("event_timestamp")["trips"].tolist() == [9, 10, 11]


@stores(duckdb="takes any", file="takes any")
def test_without_a_created_column_the_last_row_of_one_time_answers(tmp_path: Path, kind: str):
    rows = [row(driver, trips, 0) for trips in range(5) for driver in range(500)]
    store = of_rows(tmp_path, kind, rows)
    assert trips(store, asked(*[(driver, at(1)) for driver in range(500)])) == [4] * 500


@stores(file="drops the row beyond the TTL")
def test_the_edge_of_a_ttl_is_exact(tmp_path: Path, kind: str):
    store = of_rows(tmp_path, kind, [row(1, 10, 0)], timedelta(minutes=10))
    microsecond = 1 / 60 / 1_000_000
    moments = [at(10) - timedelta(microseconds=1), at(10), at(10) + timedelta(microseconds=1), at(0), at(-microsecond)]
    assert trips(store, asked(*[(1, moment) for moment in moments])) == [10, 10, None, 10, None]


@pytest.mark.parametrize("ttl", [None, timedelta(0), timedelta(days=36_500), timedelta.max / 2])
def test_no_ttl_a_ttl_of_nothing_and_a_very_long_one_are_for_ever(tmp_path: Path, ttl: timedelta | None):
    store = of_rows(tmp_path, OURS, [row(1, 10, -60 * 24 * 365 * 30)], ttl)
    assert trips(store, asked((1, at(1)))) == [10]


VERSIONS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 4), st.none() | st.integers(0, 6)), max_size=12)
MOMENTS = st.lists(st.tuples(st.none() | st.integers(1, 3), st.integers(-1, 6)), min_size=1, max_size=12)


def naive(rows: list[dict], driver: int | None, moment: pd.Timestamp, ttl: timedelta | None) -> int | None:
    """What the join promises, said in the plainest way."""
    past = [row for row in rows if row["driver_id"] == driver and row["event_timestamp"] <= moment]
    past = [row for row in past if not ttl or row["event_timestamp"] >= moment - ttl]
    latest = max((row["event_timestamp"] for row in past), default=None)
    versions = [row for row in past if row["event_timestamp"] == latest]
    known = [row for row in versions if row["created"] is None or row["created"] <= moment]
    if known:
        return max(enumerate(known), key=lambda one: (one[1]["created"] or at(-99), one[0]))[1]["trips"]
    return min(reversed(versions), key=lambda row: row["created"])["trips"] if versions else None


@pytest.fixture(scope="module")
def anew(tmp_path_factory: pytest.TempPathFactory) -> dict[timedelta | None, FeatureStore]:
    """A repository for each TTL; the file is written again for each example."""
    made = {}
    for ttl in (None, timedelta(minutes=2)):
        folder = tmp_path_factory.mktemp("anew")
        made[ttl] = of_rows(folder, OURS, [row(1, 1, 0, created=0)], ttl)
    return made


@settings(max_examples=40, deadline=None)
@given(versions=VERSIONS, moments=MOMENTS, ttl=st.sampled_from([None, timedelta(minutes=2)]))
def test_every_answer_is_that_of_the_plainest_search(anew, versions, moments, ttl):
    rows = [
        {
            "driver_id": driver,
            "trips": n,
            "event_timestamp": at(when),
            "created": None if written is None else at(written),
        }
        for n, (driver, when, written) in enumerate(versions)
    ]
    store = anew[ttl]
    table = pa.Table.from_pylist(rows, schema=pa.schema({
        "driver_id": pa.int64(), "trips": pa.int64(),
        "event_timestamp": pa.timestamp("us", "UTC"), "created": pa.timestamp("us", "UTC"),
    }))  # fmt: skip
    pa.parquet.write_table(
        table, store.get_data_source("source of " + str(store.config.repo_path / "stats.parquet")).path
    )
    entities = asked(*[(driver, at(when)) for driver, when in moments])
    assert trips(store, entities) == [naive(rows, driver, at(when), ttl) for driver, when in moments]
