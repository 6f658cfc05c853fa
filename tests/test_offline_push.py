"""The rows that pushes, logs and saved datasets add to the offline store."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureService, Field, PushSource
from feast.data_source import PushMode
from feast.feature_logging import FeatureServiceLoggingSource, LoggingConfig
from feast.infra.offline_stores.file_source import FileLoggingDestination, SavedDatasetFileStorage
from feast.types import Float64, Int64, String
from offline_world import (
    CREATED_ROWS,
    DRIVER,
    OURS,
    ROWS,
    TRIPS,
    at,
    created_row,
    entity_frame,
    repository,
    source,
    view,
    write,
)

from exact_stores.offline import AsofDuckDBOfflineStore
from exact_stores.parquet_append import append

pytestmark = pytest.mark.slow


def trips_after_push(folder: Path, path: Path, frame: pd.DataFrame, kind: str = OURS) -> list[int]:
    """Push `frame` to the source at `path`, and return the trips in the source, sorted."""
    store = repository(folder, kind)
    batch = source(path, created_timestamp_column="created")
    store.apply([DRIVER, view(PushSource(name="push", batch_source=batch))])
    store.push("push", frame, to=PushMode.OFFLINE)
    job = AsofDuckDBOfflineStore.pull_all_from_table_or_query(
        store.config, batch, ["driver_id"], ["trips"], "event_timestamp"
    )
    return sorted(job.to_arrow()["trips"].to_pylist())


NEW = pd.DataFrame([created_row(9, 90, 0, 0), created_row(9, 91, 60 * 24, 0)]).astype(
    {"event_timestamp": "datetime64[ns, UTC]"}
)


def test_a_push_is_appended_to_a_file_in_microseconds(tmp_path: Path):
    path = write(tmp_path / "stats.parquet", CREATED_ROWS)
    assert trips_after_push(tmp_path, path, NEW) == [10, 11, 12, 20, 30, 40, 90, 91]
    assert pq.read_schema(path).field("event_timestamp").type == pa.timestamp("us", "UTC")
    assert sorted(file.name for file in tmp_path.iterdir() if "stats" in file.name) == ["stats.parquet"]


no_push = pytest.mark.xfail(strict=True, reason="appends to a single file only")
any_store = pytest.mark.parametrize("kind", [OURS, *(pytest.param(kind, marks=no_push) for kind in ("duckdb", "file"))])


@any_store
def test_a_push_is_a_new_file_in_a_folder(tmp_path: Path, kind: str):
    write(tmp_path / "stats" / "a.parquet", CREATED_ROWS)
    assert trips_after_push(tmp_path, tmp_path / "stats", NEW, kind) == [10, 11, 12, 20, 30, 40, 90, 91]
    assert len(list((tmp_path / "stats").iterdir())) == 2


@any_store
def test_a_push_goes_to_the_partitions_of_its_event_timestamps(tmp_path: Path, kind: str):
    write(tmp_path / "stats" / "year=2026" / "month=03" / "day=01" / "a.parquet", CREATED_ROWS)
    assert trips_after_push(tmp_path, tmp_path / "stats", NEW, kind) == [10, 11, 12, 20, 30, 40, 90, 91]
    days = [len(list((tmp_path / "stats/year=2026/month=03" / day).iterdir())) for day in ("day=01", "day=02")]
    assert days == [2, 1]


def test_a_push_that_cannot_be_placed_is_refused_with_the_remedy(tmp_path: Path):
    write(tmp_path / "stats" / "city=Rome" / "a.parquet", CREATED_ROWS)
    with pytest.raises(ValueError, match=r"'city'.*Write to it with the tool"):
        trips_after_push(tmp_path, tmp_path / "stats", NEW)
    with pytest.raises(ValueError, match=r"the glob .*make its folder the source"):
        trips_after_push(tmp_path, tmp_path / "stats" / "**" / "*.parquet", NEW)
    store = repository(tmp_path)
    stats, table = store.get_feature_view("stats"), pa.table({"driver_id": [1], "trips": [1]})
    with pytest.raises(ValueError, match=r"has .*'event_timestamp'.*Give exactly these"):
        AsofDuckDBOfflineStore.offline_write_batch(store.config, stats, table, None)


def pushed_to(folder: Path, column: pa.DataType, feature: Field, **columns: Any) -> Any:
    """Push one row to a file whose trips have this type. Returns what the join then gives driver 9."""
    columns = {"driver_id": [9], "trips": [1], "event_timestamp": [at(0)], **columns}
    stored = pa.table({"driver_id": [1], "trips": pa.array([1]).cast(column), "event_timestamp": pa.array([at(0)])})
    pq.write_table(stored, folder / "a.parquet")
    store = repository(folder)
    store.apply([DRIVER, view(PushSource(name="push", batch_source=source(folder / "a.parquet")), schema=[feature])])
    store.push("push", pd.DataFrame(columns), to=PushMode.OFFLINE)
    return store.get_historical_features(entity_frame((9, at(1))), ["stats:trips"]).to_arrow()["trips"].to_pylist()


@pytest.mark.parametrize(
    ("column", "columns"),
    [
        (pa.int64(), {"trips": [3.7]}), (pa.int32(), {"trips": [2**40]}), (pa.float64(), {"trips": ["x"]}),
        (pa.int64(), {"driver_id": [9.5]}), (pa.int64(), {"driver_id": pd.array([2**63 + 1], "UInt64")}),
    ],
)  # fmt: skip
def test_a_pushed_value_is_never_changed_to_fit_the_files(column: pa.DataType, columns: Any, tmp_path: Path):
    with pytest.raises(ValueError, match=f"'{next(iter(columns))}'.*Correct the rows: nothing was written"):
        pushed_to(tmp_path, column, TRIPS, **columns)
    assert pq.read_metadata(tmp_path / "a.parquet").num_rows == 1


@pytest.mark.parametrize(
    ("column", "kind", "value", "text"),
    [
        (pa.string(), String, 4.0, "4.0"), (pa.string(), String, True, "True"), (pa.string(), Int64, 4.0, 4),
        (pa.int64(), Int64, 4.0, 4), (pa.float64(), Float64, 2**53 + 1, 2.0**53),
    ],
)  # fmt: skip
def test_a_pushed_value_is_read_as_it_is_served(column: pa.DataType, kind: Any, value: Any, text: Any, tmp_path: Path):
    assert pushed_to(tmp_path, column, Field(name="trips", dtype=kind), trips=[value]) == [text]


def test_a_push_ignores_the_index_of_the_frame_and_may_have_no_rows(tmp_path: Path):
    path = write(tmp_path / "stats.parquet", CREATED_ROWS)
    assert trips_after_push(tmp_path, path, NEW[NEW["trips"] == 91]) == [10, 11, 12, 20, 30, 40, 91]
    assert trips_after_push(tmp_path, path, pd.DataFrame({name: [] for name in NEW})) == [10, 11, 12, 20, 30, 40, 91]


no_folder = pytest.mark.xfail(strict=True, reason="does not make the folder of the logs")


@pytest.mark.parametrize("kind", [OURS, pytest.param("duckdb", marks=no_folder)])
@pytest.mark.parametrize("partition_by", [None, ["__log_date"]])
def test_logged_features_can_be_read_back(tmp_path: Path, kind: str, partition_by: list[str] | None):
    store = repository(tmp_path, kind)
    stats = view(source(write(tmp_path / "stats.parquet", CREATED_ROWS)))
    destination = FileLoggingDestination(path=str(tmp_path / "logs"), partition_by=partition_by)
    service = FeatureService(name="logged", features=[stats], logging_config=LoggingConfig(destination=destination))
    store.apply([DRIVER, stats, service])
    schema = FeatureServiceLoggingSource(service, "small").get_schema(store.registry)
    for trips, minute in ((7, 0), (8, 1)):
        log = {"driver_id": 1, "stats__trips": trips, "__log_timestamp": at(minute), "__log_date": at(minute).date()}
        store.write_logged_features(pa.Table.from_pylist([log], schema=schema), service)
    logs = store._get_provider().retrieve_feature_service_logs(service, at(0), at(9), store.config, store.registry)
    assert logs.to_arrow()["stats__trips"].to_pylist() == [7, 8]


def test_a_saved_dataset_holds_the_result_of_the_job(tmp_path: Path):
    store = repository(tmp_path)
    file_source = source(write(tmp_path / "stats.parquet", CREATED_ROWS), created_timestamp_column="created")
    store.apply([DRIVER, view(file_source)])
    job = store.get_historical_features(entity_frame((1, at(9)), (2, at(0)), (1, at(4))), ["stats:trips"])
    storage = SavedDatasetFileStorage(str(tmp_path / "saved.parquet"))
    saved = store.create_saved_dataset(job, "saved", storage).to_df()
    assert saved["trips"].astype("Int64").tolist() == [12, pd.NA, 10]
    assert saved["driver_id"].tolist() == [1, 2, 1]


def test_a_source_is_validated_with_the_remedy(tmp_path: Path):
    store, offline = repository(tmp_path), AsofDuckDBOfflineStore()
    file_source = source(write(tmp_path / "stats.parquet", CREATED_ROWS), created_timestamp_column="written")
    with pytest.raises(ValueError, match=r"time column 'written'.*Name one of these"):
        offline.validate_data_source(store.config, file_source)
    with pytest.raises(FileNotFoundError, match="No Parquet file"):
        offline.validate_data_source(store.config, source(tmp_path / "none.parquet"))


def test_a_folder_may_be_written_after_it_is_applied(tmp_path: Path):
    store, folder = repository(tmp_path), tmp_path / "none"
    store.apply([DRIVER, view(source(folder))])
    with pytest.raises(FileNotFoundError, match="No Parquet file"):
        store.get_historical_features(entity_frame((1, at(9))), ["stats:trips"]).to_arrow()
    write(folder / "first.parquet", ROWS)
    table = store.get_historical_features(entity_frame((1, at(9))), ["stats:trips"]).to_arrow()
    assert table["trips"].to_pylist() == [10]


def test_concurrent_pushes_to_one_file_lose_no_row(tmp_path: Path):
    path = write(tmp_path / "stats.parquet", CREATED_ROWS)
    file_source, config = source(path), repository(tmp_path).config
    row = pq.read_table(path).slice(0, 1)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: append(file_source, row, config, {}), range(40)))
    assert pq.read_metadata(path).num_rows == len(CREATED_ROWS) + 40
