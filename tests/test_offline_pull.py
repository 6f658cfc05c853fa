"""Rows out of the offline store and into it: what materialization pulls, what a push appends, what is saved."""

import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureService, FeatureStore, FileSource, PushSource
from feast.data_source import PushMode
from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from hypothesis import given, settings
from hypothesis import strategies as st
from offline_world import DRIVER, OURS, asked, at, repository, source, view, write

from stores.offline import AsofDuckDBOfflineStore


def row(driver: int, trips: int, minute: float, created: float) -> dict:
    return {"driver_id": driver, "trips": trips, "event_timestamp": at(minute), "created": at(created)}


ROWS = [row(1, 10, 0, 0), row(1, 11, 5, 6), row(1, 12, 5, 9), row(2, 20, 10, 10), row(3, 30, 11, 11), row(4, 40, -1, 0)]


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
from stores.offline import AsofDuckDBOfflineStore
folder = Path(sys.argv[1])
config = repository(folder).config
config.offline_store.memory_limit = "128MB"
for name in ("small", "large"):
    of = source(folder / f"{name}.parquet")
    columns = (["driver_id"], ["trips"], "event_timestamp", None)
    batches = AsofDuckDBOfflineStore.pull_changed(config, of, *columns, at(0), at(1), None)
    print(sum(batch.num_rows for batch in batches), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_rows_that_are_pulled(tmp_path: Path):
    """The answer is streamed, and the sorting spills to disk."""
    for name, count in (("small", 500_000), ("large", 2_500_000)):
        numbers = pa.array(np.arange(count))
        stamps = pa.repeat(pa.scalar(at(0), pa.timestamp("us", "UTC")), count)
        table = pa.table({"driver_id": numbers, "trips": numbers, "event_timestamp": stamps})
        pq.write_table(table, tmp_path / f"{name}.parquet")
    ran = subprocess.run([sys.executable, "-c", STREAM, tmp_path], capture_output=True, text=True, check=True)
    small, small_peak, large, large_peak = map(int, ran.stdout.split())
    assert (small, large) == (500_000, 2_500_000)
    assert large_peak - small_peak < 128, "MB more; the rows alone are 60 MB, and their sorting several times that"


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


def pushed(folder: Path, path: Path, frame: pd.DataFrame, kind: str = OURS) -> list[int]:
    """The trips that the source at `path` has after `frame` was pushed to it."""
    store = repository(folder, kind)
    batch = source(path, created_timestamp_column="created")
    store.apply([DRIVER, view(PushSource(name="push", batch_source=batch))])
    store.push("push", frame, to=PushMode.OFFLINE)
    job = AsofDuckDBOfflineStore.pull_all_from_table_or_query(
        store.config, batch, ["driver_id"], ["trips"], "event_timestamp"
    )
    return sorted(job.to_arrow()["trips"].to_pylist())


NEW = pd.DataFrame([row(9, 90, 0, 0), row(9, 91, 60 * 24, 0)]).astype({"event_timestamp": "datetime64[ns, UTC]"})


def test_a_push_is_appended_to_a_file_in_microseconds(tmp_path: Path):
    path = write(tmp_path / "stats.parquet", ROWS)
    assert pushed(tmp_path, path, NEW) == [10, 11, 12, 20, 30, 40, 90, 91]
    assert pq.read_schema(path).field("event_timestamp").type == pa.timestamp("us", "UTC")
    assert sorted(file.name for file in tmp_path.iterdir() if "stats" in file.name) == ["stats.parquet"]


no_push = pytest.mark.xfail(strict=True, reason="appends to single files only")
any_store = pytest.mark.parametrize("kind", [OURS, *(pytest.param(kind, marks=no_push) for kind in ("duckdb", "file"))])


@any_store
def test_a_push_is_a_new_file_in_a_folder(tmp_path: Path, kind: str):
    write(tmp_path / "stats" / "a.parquet", ROWS)
    assert pushed(tmp_path, tmp_path / "stats", NEW, kind) == [10, 11, 12, 20, 30, 40, 90, 91]
    assert len(list((tmp_path / "stats").iterdir())) == 2


@any_store
def test_a_push_finds_its_partitions_by_the_event_time(tmp_path: Path, kind: str):
    write(tmp_path / "stats" / "year=2026" / "month=03" / "day=01" / "a.parquet", ROWS)
    assert pushed(tmp_path, tmp_path / "stats", NEW, kind) == [10, 11, 12, 20, 30, 40, 90, 91]
    days = [len(list((tmp_path / "stats/year=2026/month=03" / day).iterdir())) for day in ("day=01", "day=02")]
    assert days == [2, 1]


def test_a_push_that_cannot_be_placed_is_refused_with_the_remedy(tmp_path: Path):
    write(tmp_path / "stats" / "city=Rome" / "a.parquet", ROWS)
    with pytest.raises(ValueError, match=r"'city'.*Write to it with the tool"):
        pushed(tmp_path, tmp_path / "stats", NEW)
    with pytest.raises(ValueError, match=r"the glob .*make its folder the source"):
        pushed(tmp_path, tmp_path / "stats" / "**" / "*.parquet", NEW)
    store = repository(tmp_path)
    stats, table = store.get_feature_view("stats"), pa.table({"driver_id": [1], "trips": [1]})
    with pytest.raises(ValueError, match=r"has .*'event_timestamp'.*Give exactly these"):
        AsofDuckDBOfflineStore.offline_write_batch(store.config, stats, table, None)


no_folder = pytest.mark.xfail(strict=True, reason="writes no log into a folder that is not there")


@pytest.mark.parametrize("kind", [OURS, pytest.param("duckdb", marks=no_folder)])
@pytest.mark.parametrize("partition_by", [None, ["__log_date"]])
def test_logged_features_are_found_again(tmp_path: Path, kind: str, partition_by: list[str] | None):
    store = repository(tmp_path, kind)
    stats = view(source(write(tmp_path / "stats.parquet", ROWS)))
    destination = FileLoggingDestination(path=str(tmp_path / "logs"), partition_by=partition_by)
    service = FeatureService(name="logged", features=[stats], logging_config=LoggingConfig(destination=destination))
    store.apply([DRIVER, stats, service])
    schema = FeatureServiceLoggingSource(service, "small").get_schema(store.registry)
    for trips, minute in ((7, 0), (8, 1)):
        log = {"driver_id": 1, "stats__trips": trips, "__log_timestamp": at(minute), "__log_date": at(minute).date()}
        store.write_logged_features(pa.Table.from_pylist([log], schema=schema), service)
    logs = store._get_provider().retrieve_feature_service_logs(service, at(0), at(9), store.config, store.registry)
    assert logs.to_arrow()["stats__trips"].to_pylist() == [7, 8]


def test_a_dataset_that_is_saved_is_the_answer_that_was_given(tmp_path: Path):
    store = repository(tmp_path)
    of = source(write(tmp_path / "stats.parquet", ROWS), created_timestamp_column="created")
    store.apply([DRIVER, view(of)])
    job = store.get_historical_features(asked((1, at(9)), (2, at(0)), (1, at(4))), ["stats:trips"])
    storage = SavedDatasetFileStorage(str(tmp_path / "saved.parquet"))
    saved = store.create_saved_dataset(job, "saved", storage).to_df()
    assert saved["trips"].astype("Int64").tolist() == [12, pd.NA, 10]
    assert saved["driver_id"].tolist() == [1, 2, 1]


def test_a_source_is_validated_with_the_remedy(tmp_path: Path):
    store, offline = repository(tmp_path), AsofDuckDBOfflineStore()
    of = source(write(tmp_path / "stats.parquet", ROWS), created_timestamp_column="written")
    with pytest.raises(ValueError, match=r"time column 'written'.*Name one of these"):
        offline.validate_data_source(store.config, of)
    with pytest.raises(FileNotFoundError, match="No Parquet file"):
        offline.validate_data_source(store.config, source(tmp_path / "none"))
