"""Rows out of the offline store: what a materialization pulls."""

import subprocess
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
from offline_world import DRIVER, OURS, at, repository, source, view, write
from offline_world import WRITTEN as ROWS
from offline_world import written as row

from exact_stores.offline import AsofDuckDBOfflineStore


def pulled(job: object) -> dict[int, int]:
    """Driver → trips."""
    table = job.to_arrow() if hasattr(job, "to_arrow") else job.read_all()
    assert table["driver_id"].to_pylist() == list(dict.fromkeys(table["driver_id"].to_pylist()))
    return dict(zip(table["driver_id"].to_pylist(), table["trips"].to_pylist(), strict=True))


def latest(store: FeatureStore, of: FileSource, start: datetime, end: datetime) -> dict[int, int]:
    offline = store._get_provider().offline_store
    columns = (["driver_id"], ["trips"], "event_timestamp", "created")
    return pulled(offline.pull_latest_from_table_or_query(store.config, of, *columns, start, end))


def changed(
    store: FeatureStore, of: FileSource, start: datetime, end: datetime, after: datetime | None
) -> dict[int, int]:
    columns = (["driver_id"], ["trips"], "event_timestamp", "created")
    return pulled(AsofDuckDBOfflineStore.pull_changed(store.config, of, *columns, start, end, after))


@pytest.mark.parametrize("kind", [OURS, "duckdb", "file"])
def test_the_latest_rows_are_those_of_feasts_stores_with_both_edges(tmp_path: Path, kind: str):
    of = source(write(tmp_path / "stats.parquet", ROWS), created_timestamp_column="created")
    assert latest(repository(tmp_path, kind), of, at(0), at(10)) == {1: 12, 2: 20}


def test_late_rows_are_pulled_with_the_changed_ones(tmp_path: Path):
    rows = [row(1, 10, 0, 0), row(2, 20, 0, 61), row(3, 30, 59, 62), row(4, 40, 60, 60), row(5, 50, 90, 61)]
    of = source(write(tmp_path / "stats.parquet", rows), created_timestamp_column="created")
    store = repository(tmp_path)
    assert changed(store, of, at(60), at(80), at(60)) == {2: 20, 3: 30, 4: 40}
    assert changed(store, of, at(60), at(80), None) == latest(store, of, at(60), at(80)) == {4: 40}


def test_of_a_key_with_a_late_row_the_latest_of_what_changed_is_pulled(tmp_path: Path):
    rows = [row(1, 10, 0, 61), row(1, 11, 5, 65), row(1, 12, 5, 64), row(1, 13, -9, 66)]
    of = source(write(tmp_path / "stats.parquet", rows), created_timestamp_column="created")
    assert changed(repository(tmp_path), of, at(60), at(80), at(60)) == {1: 11}


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(st.builds(row, *[st.integers(0, most) for most in (2, 9, 5, 9)]), min_size=1),
    start=st.integers(0, 5), length=st.integers(0, 5), after=st.none() | st.integers(0, 9),
)  # fmt: skip
def test_what_changed_is_that_of_the_plainest_search(tmp_path_factory, rows, start, length, after):
    folder = tmp_path_factory.mktemp("changed")
    of = source(write(folder / "stats.parquet", rows), created_timestamp_column="created")
    first, last = at(start), at(start + length)
    expected = {}
    for one in sorted(rows, key=lambda one: (one["event_timestamp"], one["created"])):
        is_late = after is not None and one["created"] > at(after)
        if one["event_timestamp"] <= last and (one["event_timestamp"] >= first or is_late):
            expected[one["driver_id"]] = one["trips"]
    assert changed(repository(folder), of, first, last, None if after is None else at(after)) == expected


def test_every_row_between_two_times_is_pulled(tmp_path: Path):
    of = source(write(tmp_path / "stats.parquet", ROWS), created_timestamp_column="created")
    job = AsofDuckDBOfflineStore.pull_all_from_table_or_query(
        repository(tmp_path).config, of, ["driver_id"], ["trips"], "event_timestamp", "created", at(5), at(10)
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
    of = source(folder / f"{name}.parquet")
    columns = (["driver_id"], ["trips"], "event_timestamp", None)
    batches = AsofDuckDBOfflineStore.pull_changed(config, of, *columns, at(0), at(1), None)
    print(sum(batch.num_rows for batch in batches), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_rows_that_are_pulled(tmp_path: Path):
    """The answer is streamed, and the sorting spills to disk."""
    for name, count in (("small", 500_000), ("large", 5_000_000)):
        numbers = pa.array(np.arange(count))
        stamps = pa.repeat(pa.scalar(at(0), pa.timestamp("us", "UTC")), count)
        table = pa.table({"driver_id": numbers, "trips": numbers, "event_timestamp": stamps})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    ran = subprocess.run([sys.executable, "-c", STREAM, tmp_path], capture_output=True, text=True, check=True)
    small, small_peak, large, large_peak = map(int, ran.stdout.split())
    assert (small, large) == (500_000, 5_000_000)
    assert large_peak - small_peak < 350, "MB more; without a limit it takes 560 more"


@pytest.mark.parametrize("pull_latest", [True, False])
def test_materialize_serves_the_latest_rows(tmp_path: Path, pull_latest: bool):
    of = source(write(tmp_path / "stats.parquet", ROWS), created_timestamp_column="created")
    store = repository(tmp_path, materialization={"pull_latest_features": pull_latest})
    store.apply([DRIVER, view(of)])
    store.materialize(at(0), at(10))
    who = [{"driver_id": 1}, {"driver_id": 2}, {"driver_id": 3}]
    assert store.get_online_features(["stats:trips"], who).to_dict()["trips"] == [12, 20, None]


no_dummy = pytest.mark.xfail(strict=True, reason="lacks the key that Feast gives to nobody")


@pytest.mark.parametrize("kind", [OURS, pytest.param("duckdb", marks=no_dummy), "file"])
def test_a_view_without_entities_is_materialized(tmp_path: Path, kind: str):
    store = repository(tmp_path, kind, materialization={"pull_latest_features": True})
    store.apply([DRIVER, view(source(write(tmp_path / "stats.parquet", ROWS)), entities=[])])
    store.materialize(at(0), at(10))
    assert store.get_online_features(["stats:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [20]


@pytest.mark.parametrize("kind", ["DATE", "VARCHAR"])
def test_days_and_texts_are_moments_to_a_materialization(tmp_path: Path, kind: str):
    """As they are to the join."""
    duckdb.sql(
        f"COPY (SELECT 1::BIGINT AS driver_id, 7::BIGINT AS trips, CAST(day AS {kind}) AS event_timestamp, "
        f"CAST(day AS {kind}) AS created FROM (SELECT DATE '2026-03-01' AS day)) TO '{tmp_path}/stats.parquet'"
    )
    of = source(tmp_path / "stats.parquet", created_timestamp_column="created")
    with AsofDuckDBOfflineStore.pull_changed(
        repository(tmp_path).config, of, ["driver_id"], ["trips"], "event_timestamp", "created", at(-9000), at(0), None
    ) as batches:
        table = batches.read_all()
    assert table["event_timestamp"].to_pylist() == table["created"].to_pylist() == [datetime(2026, 3, 1, tzinfo=UTC)]
