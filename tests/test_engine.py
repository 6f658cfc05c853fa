"""A materialization brings every row online, however late the row is and however often the run is repeated."""

import signal
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engines import redis
from feast import BatchFeatureView, FeatureStore, FeatureView, Field, FileSource
from feast.types import Int64
from kill import at_call, die_soon
from processes import exit_code, forked
from small import DRIVER, frame, repository, trips, view

from exact_stores.exact_online import ExactOnlineStore

pytestmark = pytest.mark.slow

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
STORES = {
    "ours": {
        "online": "exact_stores.online.WideSqliteOnlineStore",
        "offline": "exact_stores.offline.AsofDuckDBOfflineStore",
        "engine": "exact_stores.engine.ArrowComputeEngine",
    },
    "stock": {},
}
STORES["redis"] = {**STORES["ours"], "online": "exact_stores.redis_online.PackedRedisOnlineStore"}
OURS = ["ours", pytest.param("redis", marks=pytest.mark.engine)]
BOTH = pytest.mark.parametrize("kind", [*OURS, "stock"])
STOCK_FAILS = pytest.mark.parametrize("kind", [*OURS, pytest.param("stock", marks=pytest.mark.xfail(strict=True))])


@pytest.fixture(params=OURS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(tmp_path: Path, kind: str) -> FeatureStore:
    write_source(tmp_path, (1, NOW - 3 * HOUR, NOW - 3 * HOUR, 1))
    store = repository(tmp_path, **STORES[kind])
    store.apply([DRIVER, view(tmp_path, ttl=10 * DAY)])
    return store


def write_source(root: Path, *rows: tuple[int, datetime, datetime, int | None]) -> None:
    """Replace the source by these rows of (driver, event timestamp, created, trips)."""
    frame(*rows).to_parquet(root / "rows.parquet")


@BOTH
def test_a_first_run_brings_the_newest_row_of_each_key(store, tmp_path):
    write_source(tmp_path, (1, NOW - 3 * HOUR, NOW, 1), (1, NOW - 2 * HOUR, NOW, 2), (2, NOW - HOUR, NOW, 3))
    store.materialize_incremental(NOW)
    assert trips(store, 1, 2, 3) == [2, 3, None]


@BOTH
def test_a_run_takes_no_row_dated_after_its_end(store, tmp_path):
    write_source(tmp_path, (1, NOW - 3 * HOUR, NOW, 1), (1, NOW - HOUR, NOW, 2))
    store.materialize(NOW - DAY, NOW - 2 * HOUR)
    assert trips(store, 1) == [1]


@STOCK_FAILS
def test_a_late_row_is_not_lost(store, tmp_path):
    store.materialize_incremental(NOW)
    write_source(tmp_path, (1, NOW - 3 * HOUR, NOW - 3 * HOUR, 1), (2, NOW - 2 * HOUR, datetime.now(UTC), 2))
    store.materialize_incremental(NOW + SECOND)
    assert trips(store, 1, 2) == [1, 2]


@STOCK_FAILS
def test_a_late_row_older_than_the_online_row_changes_nothing(store, tmp_path):
    store.materialize_incremental(NOW)
    store.write_to_online_store("stats", frame((1, NOW - HOUR, NOW, 9)))
    write_source(tmp_path, (1, NOW - 2 * HOUR, datetime.now(UTC), 2), (2, NOW - 2 * HOUR, datetime.now(UTC), 3))
    store.materialize_incremental(NOW + SECOND)
    assert trips(store, 1, 2) == [9, 3]


@STOCK_FAILS
def test_a_run_with_an_end_in_the_future_skips_no_later_row(store, tmp_path):
    store.materialize_incremental(NOW + DAY)
    write_source(tmp_path, (1, NOW - 3 * HOUR, NOW - 3 * HOUR, 1), (2, datetime.now(UTC), datetime.now(UTC), 2))
    store.materialize_incremental(NOW + DAY + SECOND)
    assert trips(store, 2) == [2]


@STOCK_FAILS
def test_a_lost_online_store_is_filled_from_the_beginning(store, kind, tmp_path):
    store.materialize_incremental(NOW)
    for file in tmp_path.glob("online.db*"):
        file.unlink()
    if kind == "redis":
        redis.flush(tmp_path)
    other = repository(tmp_path, **STORES[kind])
    other.apply([DRIVER, view(tmp_path, ttl=10 * DAY)])
    other.materialize_incremental(NOW + SECOND)
    assert trips(other, 1) == [1]


def test_a_run_over_past_days_hides_no_late_row_from_the_next_run(store, tmp_path):
    store.materialize_incremental(NOW)
    write_source(tmp_path, (2, NOW - HOUR, datetime.now(UTC), 2))
    store.materialize(NOW - 9 * DAY, NOW - 5 * DAY)
    store._get_provider().batch_engine._overlap = timedelta(0)
    store.materialize_incremental(NOW + SECOND)
    assert trips(store, 2) == [2]


def test_a_row_whose_file_appears_after_its_created_is_not_lost(store, tmp_path):
    """A job gave the row its `created`, then a run ended, then the file appeared."""
    created = datetime.now(UTC) - SECOND
    store.materialize_incremental(NOW)
    write_source(tmp_path, (2, NOW - 2 * HOUR, created, 2))
    store.materialize_incremental(NOW + SECOND)
    assert trips(store, 2) == [2]


def test_any_order_of_runs_ends_in_the_same_rows(kind, tmp_path):
    """A push and two runs over parts of the time, in every order."""
    write_source(tmp_path, (1, NOW - 5 * HOUR, NOW, 1), (1, NOW - 3 * HOUR, NOW, 2), (2, NOW - 4 * HOUR, NOW, 3))
    pushed = frame((1, NOW - 2 * HOUR, NOW, 7), (2, NOW - 6 * HOUR, NOW, 8))
    steps = [
        lambda store: store.materialize(NOW - DAY, NOW - 4 * HOUR),
        lambda store: store.materialize(NOW - 4 * HOUR, NOW),
        lambda store: store.write_to_online_store("stats", pushed),
    ]
    results = set()
    for i, order in enumerate(permutations(steps)):
        (root := tmp_path / str(i)).mkdir()
        (root / "rows.parquet").symlink_to(tmp_path / "rows.parquet")
        store = repository(root, **STORES[kind])
        store.apply([DRIVER, view(root, ttl=10 * DAY)])
        for step in order:
            step(store)
        results.add(tuple(trips(store, 1, 2)))
    assert results == {(7, 3)}


def materialize_many(root: Path, kind: str) -> None:
    repository(root, **STORES[kind]).materialize_incremental(NOW)


def test_a_killed_run_that_is_run_again_loses_no_row(store, kind, tmp_path):
    numbers, timestamps = pa.array(range(400_000)), pa.array([NOW - HOUR] * 400_000, pa.timestamp("us", "UTC"))
    rows = pa.table({"driver_id": numbers, "event_timestamp": timestamps, "created": timestamps, "trips": numbers})
    pq.write_table(rows, tmp_path / "rows.parquet")

    def materialize_until_killed() -> None:
        at_call(2, ExactOnlineStore, "write_table", die_soon)
        materialize_many(tmp_path, kind)

    with forked(materialize_until_killed) as child:
        assert exit_code(child) == -signal.SIGALRM, "the run ended before the kill"
    partial = trips(store, *range(0, 400_000, 1000))
    assert set(partial) > {None}
    store.refresh_registry()
    store.materialize_incremental(NOW)
    assert trips(store, *range(0, 400_000, 1000)) == list(range(0, 400_000, 1000))


def test_reads_go_on_while_a_view_is_materialized(store, kind, tmp_path):
    """Feast's own store refuses such reads: the view cannot be served, or the file is locked."""
    store.materialize_incremental(NOW)
    hour_ago, created = NOW - HOUR, datetime.now(UTC)
    write_source(
        tmp_path, (1, hour_ago, created, 5), *((driver, hour_ago, created, driver) for driver in range(100, 60_000))
    )
    values = []
    reader = store._get_provider().online_store.reader(store.config, store.get_feature_view("stats"), ["trips"])
    key = store._get_provider().online_store.entity_key(store.get_feature_view("stats"))(1)
    with forked(materialize_many, tmp_path, kind) as child:
        while child.is_alive():
            values.append(reader.read([key])[0][1][0])
        assert exit_code(child) == 0
    assert len(values) > 100
    assert set(values) == {1, 5}
    assert values == sorted(values)


def test_a_view_with_a_transformation_uses_feasts_own_engine(kind, tmp_path):
    write_source(tmp_path, (1, NOW - HOUR, NOW, 21))
    source = FileSource(name="rows", path=str(tmp_path / "rows.parquet"), timestamp_field="event_timestamp")

    def doubled(df: pd.DataFrame) -> pd.DataFrame:
        return df.assign(twice=df["trips"] * 2)

    twice = BatchFeatureView(
        name="stats", entities=[DRIVER], source=source, mode="pandas", udf=doubled, online=True, ttl=10 * DAY,
        schema=[Field(name="twice", dtype=Int64)],
    )  # fmt: skip
    store = repository(tmp_path, **STORES[kind])
    store.apply([DRIVER, twice])
    store.materialize_incremental(NOW)
    assert store.get_online_features(["stats:twice"], [{"driver_id": 1}]).to_dict()["twice"] == [42]


def test_column_names_of_the_source_are_mapped_to_the_views(kind, tmp_path):
    write_source(tmp_path, (1, NOW - HOUR, NOW, 21))
    pd.read_parquet(tmp_path / "rows.parquet").rename(
        columns={"trips": "n", "driver_id": "driver", "created": "written", "event_timestamp": "time"}
    ).to_parquet(tmp_path / "named.parquet")
    source = FileSource(
        name="rows", path=str(tmp_path / "named.parquet"), timestamp_field="time", created_timestamp_column="written",
        field_mapping={"n": "trips", "driver": "driver_id"},
    )  # fmt: skip
    store = repository(tmp_path, **STORES[kind])
    store.apply(
        [DRIVER, FeatureView(name="stats", entities=[DRIVER], source=source, ttl=10 * DAY,
                             schema=[Field(name="trips", dtype=Int64)])]
    )  # fmt: skip
    store.materialize_incremental(NOW)
    assert trips(store, 1) == [21]


def test_a_view_without_entities_is_materialized(kind, tmp_path):
    write_source(tmp_path, (1, NOW - HOUR, NOW, 21), (2, NOW - 2 * HOUR, NOW, 5))
    source = FileSource(
        name="rows", path=str(tmp_path / "rows.parquet"), timestamp_field="event_timestamp",
        created_timestamp_column="created",
    )  # fmt: skip
    store = repository(tmp_path, **STORES[kind])
    store.apply(
        [FeatureView(name="all", entities=[], source=source, ttl=10 * DAY, schema=[Field(name="trips", dtype=Int64)])]
    )
    store.materialize_incremental(NOW)
    assert store.get_online_features(["all:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [21]
