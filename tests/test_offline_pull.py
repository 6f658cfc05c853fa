"""The rows that a materialization pulls from the offline store."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, FileSource
from hypothesis import given, settings
from hypothesis import strategies as st
from offline_world import CREATED_ROWS, DRIVER, OURS, at, created_row, repository, source, view, write
from processes import run

from exact_stores.offline import AsofDuckDBOfflineStore

pytestmark = pytest.mark.slow


def trips_by_driver(table: pa.Table) -> dict[int, int]:
    """Driver → trips, of a table that has each driver once, in order."""
    assert table["driver_id"].to_pylist() == list(dict.fromkeys(table["driver_id"].to_pylist()))
    return dict(zip(table["driver_id"].to_pylist(), table["trips"].to_pylist(), strict=True))


def latest(store: FeatureStore, file_source: FileSource, start: datetime, end: datetime) -> dict[int, int]:
    offline = store._get_provider().offline_store
    columns = (["driver_id"], ["trips"], "event_timestamp", "created")
    job = offline.pull_latest_from_table_or_query(store.config, file_source, *columns, start, end)
    return trips_by_driver(job.to_arrow())


def changed(
    store: FeatureStore, file_source: FileSource, start: datetime, end: datetime, created_after: datetime | None
) -> dict[int, int]:
    columns = (["driver_id"], ["trips"], "event_timestamp", "created")
    with AsofDuckDBOfflineStore.pull_changed(store.config, file_source, *columns, start, end, created_after) as batches:
        return trips_by_driver(batches.read_all())


@pytest.mark.parametrize("kind", [OURS, "duckdb", "file"])
def test_latest_rows_equal_feasts_and_both_ends_are_included(tmp_path: Path, kind: str):
    file_source = source(write(tmp_path / "stats.parquet", CREATED_ROWS), created_timestamp_column="created")
    assert latest(repository(tmp_path, kind), file_source, at(0), at(10)) == {1: 12, 2: 20}


def test_late_rows_are_pulled_with_the_new_rows(tmp_path: Path):
    rows = [
        created_row(1, 10, 0, 0),
        created_row(2, 20, 0, 61),
        created_row(3, 30, 59, 62),
        created_row(4, 40, 60, 60),
        created_row(5, 50, 90, 61),
    ]
    file_source = source(write(tmp_path / "stats.parquet", rows), created_timestamp_column="created")
    store = repository(tmp_path)
    assert changed(store, file_source, at(60), at(80), at(60)) == {2: 20, 3: 30, 4: 40}
    assert changed(store, file_source, at(60), at(80), None) == latest(store, file_source, at(60), at(80)) == {4: 40}


def test_a_key_with_late_rows_is_pulled_with_its_latest_changed_row(tmp_path: Path):
    rows = [created_row(1, 10, 0, 61), created_row(1, 11, 5, 65), created_row(1, 12, 5, 64), created_row(1, 13, -9, 66)]
    file_source = source(write(tmp_path / "stats.parquet", rows), created_timestamp_column="created")
    assert changed(repository(tmp_path), file_source, at(60), at(80), at(60)) == {1: 11}


@settings(max_examples=40)
@given(
    rows=st.lists(st.builds(created_row, *[st.integers(0, largest) for largest in (2, 9, 5, 9)]), min_size=1),
    start=st.integers(0, 5), length=st.integers(0, 5), created_after=st.none() | st.integers(0, 9),
)  # fmt: skip
def test_changed_rows_agree_with_a_naive_search(tmp_path_factory, rows, start, length, created_after):
    folder = tmp_path_factory.mktemp("changed")
    file_source = source(write(folder / "stats.parquet", rows), created_timestamp_column="created")
    first, last = at(start), at(start + length)
    expected = {}
    for row in sorted(rows, key=lambda row: (row["event_timestamp"], row["created"])):
        is_late = created_after is not None and row["created"] > at(created_after)
        if row["event_timestamp"] <= last and (row["event_timestamp"] >= first or is_late):
            expected[row["driver_id"]] = row["trips"]
    after = None if created_after is None else at(created_after)
    assert changed(repository(folder), file_source, first, last, after) == expected


def test_every_row_between_two_timestamps_is_pulled(tmp_path: Path):
    file_source = source(write(tmp_path / "stats.parquet", CREATED_ROWS), created_timestamp_column="created")
    job = AsofDuckDBOfflineStore.pull_all_from_table_or_query(
        repository(tmp_path).config, file_source, ["driver_id"], ["trips"], "event_timestamp", "created", at(5), at(10)
    )
    assert job.to_arrow()["trips"].to_pylist() == [11, 12, 20]


STREAM = """
import resource, sys
from pathlib import Path
sys.path.insert(0, "tests")
from offline_world import at, repository, source
from exact_stores.offline import AsofDuckDBOfflineStore
folder = Path(sys.argv[1])
config = repository(folder).config
config.offline_store.memory_limit = "256MB"
for name in ("small", "large"):
    file_source = source(folder / f"{name}.parquet")
    columns = (["driver_id"], ["trips"], "event_timestamp", None)
    batches = AsofDuckDBOfflineStore.pull_changed(config, file_source, *columns, at(0), at(1), None)
    print(sum(batch.num_rows for batch in batches), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path: Path):
    """The rows are streamed, and the sort spills to disk."""
    for name, count in (("small", 500_000), ("large", 5_000_000)):
        numbers = pa.array(np.arange(count))
        timestamps = pa.repeat(pa.scalar(at(0), pa.timestamp("us", "UTC")), count)
        table = pa.table({"driver_id": numbers, "trips": numbers, "event_timestamp": timestamps})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    process = run([sys.executable, "-c", STREAM, tmp_path])
    small, small_peak, large, large_peak = map(int, process.stdout.split())
    assert (small, large) == (500_000, 5_000_000)
    assert large_peak - small_peak < 350, "MB more; without a limit it takes 560 more"


@pytest.mark.parametrize("pull_latest", [True, False])
def test_materialize_serves_the_latest_rows(tmp_path: Path, pull_latest: bool):
    file_source = source(write(tmp_path / "stats.parquet", CREATED_ROWS), created_timestamp_column="created")
    store = repository(tmp_path, materialization={"pull_latest_features": pull_latest})
    store.apply([DRIVER, view(file_source)])
    store.materialize(at(0), at(10))
    entity_rows = [{"driver_id": 1}, {"driver_id": 2}, {"driver_id": 3}]
    assert store.get_online_features(["stats:trips"], entity_rows).to_dict()["trips"] == [12, 20, None]


no_dummy = pytest.mark.xfail(strict=True, reason="lacks the join key of a view without entities")


@pytest.mark.parametrize("kind", [OURS, pytest.param("duckdb", marks=no_dummy), "file"])
def test_a_view_without_entities_is_materialized(tmp_path: Path, kind: str):
    store = repository(tmp_path, kind, materialization={"pull_latest_features": True})
    store.apply([DRIVER, view(source(write(tmp_path / "stats.parquet", CREATED_ROWS)), entities=[])])
    store.materialize(at(0), at(10))
    assert store.get_online_features(["stats:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [20]


@pytest.mark.parametrize("kind", ["DATE", "VARCHAR"])
def test_dates_and_texts_are_timestamps_to_a_materialization(tmp_path: Path, kind: str):
    """The join takes them as timestamps too."""
    duckdb.sql(
        f"COPY (SELECT 1::BIGINT AS driver_id, 7::BIGINT AS trips, CAST(day AS {kind}) AS event_timestamp, "
        f"CAST(day AS {kind}) AS created FROM (SELECT DATE '2026-03-01' AS day)) TO '{tmp_path}/stats.parquet'"
    )
    file_source = source(tmp_path / "stats.parquet", created_timestamp_column="created")
    config, columns = repository(tmp_path).config, (["driver_id"], ["trips"], "event_timestamp", "created")
    with AsofDuckDBOfflineStore.pull_changed(config, file_source, *columns, at(-9000), at(0), None) as batches:
        table = batches.read_all()
    assert table["event_timestamp"].to_pylist() == table["created"].to_pylist() == [datetime(2026, 3, 1, tzinfo=UTC)]
