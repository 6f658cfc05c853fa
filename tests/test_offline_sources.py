"""The offline store takes the place of Feast's: every kind of source that Feast users have."""

from datetime import timedelta
from pathlib import Path

import duckdb
import fsspec
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Int64
from offline_world import (
    DRIVER,
    ENTITIES,
    EXPECTED,
    OURS,
    RATING,
    ROWS,
    TRIPS,
    at,
    entity_frame,
    joined,
    repository,
    row,
    source,
    view,
    write,
)

from exact_stores.parquet_files import is_local_parquet

pytestmark = pytest.mark.slow

HIVE = "year=2026/month=03/day=01"


@pytest.mark.parametrize(
    ("files", "path"),
    [
        (["stats.parquet"], "stats.parquet"),
        (["stats/a.parquet", "stats/b.parquet", "stats/c.parquet"], "stats"),
        (["stats/a.parquet", "stats/b/c.parquet"], "stats"),
        ([f"stats/{HIVE}/a.parquet", "stats/year=2026/month=02/day=09/a.parquet"], "stats"),
        ([f"stats/{HIVE}/a.parquet"], "stats/**/*.parquet"),
        (["stats/a.parquet", "stats/b.parquet"], "stats/*.parquet"),
        (["odd [1] 'x' *?/a.parquet", "odd [1] 'x' *?/b.parquet"], "odd [1] 'x' *?"),
    ],
)
def test_a_file_a_folder_a_partitioned_folder_and_a_glob_are_sources(tmp_path: Path, files: list[str], path: str):
    for i, name in enumerate(files):
        write(tmp_path / name, ROWS[i :: len(files)])
    table = joined(tmp_path, source(tmp_path / path), ENTITIES)
    assert (table["trips"].to_pylist(), table.column_names[2:]) == (EXPECTED, ["trips"])


def test_a_relative_path_counts_from_the_repository(tmp_path: Path):
    write(tmp_path / "stats" / "a.parquet", ROWS)
    assert joined(tmp_path, source("stats"), ENTITIES)["trips"].to_pylist() == EXPECTED


with_partitions = pytest.mark.xfail(strict=True, reason="makes features of the partitions")


@pytest.mark.parametrize("kind", [OURS, pytest.param("duckdb", marks=with_partitions)])
def test_an_inferred_schema_has_columns_of_files_and_no_partitions(tmp_path: Path, kind: str):
    write(tmp_path / "stats" / HIVE / "a.parquet", ROWS)
    store = repository(tmp_path, kind)
    store.apply([DRIVER, view(source(tmp_path / "stats"), schema=None)])
    assert [field.name for field in store.get_feature_view("stats").features] == ["trips"]


def test_a_declared_partition_is_a_feature(tmp_path: Path):
    write(tmp_path / "stats" / HIVE / "a.parquet", ROWS)
    store = repository(tmp_path)
    store.apply([DRIVER, view(source(tmp_path / "stats"), schema=[TRIPS, Field(name="month", dtype=Int64)])])
    table = store.get_historical_features(ENTITIES, ["stats:month", "stats:trips"]).to_arrow()
    assert (table["month"].to_pylist(), table["trips"].to_pylist()) == ([3, 3, 3], EXPECTED)


def test_unfinished_files_of_a_folder_are_not_read(tmp_path: Path):
    write(tmp_path / "stats" / "a.parquet", ROWS)
    for name in (".b.parquet", "_temporary/0/c.parquet", ".hidden/d.parquet", "_e.parquet"):
        write(tmp_path / "stats" / name, [row(1, 99, 0), row(2, 99, 5)])
    assert joined(tmp_path, source(tmp_path / "stats"), ENTITIES)["trips"].to_pylist() == EXPECTED


def test_keys_that_are_uuids_in_files_match_text_in_the_frame(tmp_path: Path):
    driver_id = "0b1c7c9e-3f0e-4f43-9a53-0c1f6f1f2a11"
    duckdb.sql(
        f"COPY (SELECT UUID '{driver_id}' AS driver_id, 7 AS trips, TIMESTAMPTZ '{at(0)}' AS event_timestamp) "
        f"TO '{tmp_path}/stats.parquet'"
    )
    store = repository(tmp_path)
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.STRING)
    store.apply([driver, view(source(tmp_path / "stats.parquet"), entities=[driver])])
    assert store.get_historical_features(entity_frame((driver_id, at(1))), ["stats:trips"]).to_arrow()[
        "trips"
    ].to_pylist() == [7]


def test_columns_named_by_numbers_are_refused(tmp_path: Path):
    file_source = source(write(tmp_path / "stats.parquet", ROWS))
    with pytest.raises(ValueError, match="not named by text"):
        joined(tmp_path, file_source, ENTITIES.assign(**{"more": 1}).rename(columns={"more": 0}))


def test_a_column_that_an_older_file_lacks_is_null_there(tmp_path: Path):
    write(tmp_path / "stats" / "a.parquet", [row(1, 1, 0)])
    write(tmp_path / "stats" / "b.parquet", [row(2, 2, 0, rating=4.5)])
    store = repository(tmp_path)
    store.apply([DRIVER, view(source(tmp_path / "stats"), schema=[TRIPS, RATING])])
    table = store.get_historical_features(entity_frame((1, at(1)), (2, at(1))), ["stats:rating"]).to_arrow()
    assert table["rating"].to_pylist() == [None, 4.5]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
@pytest.mark.parametrize("dtype", ["datetime64[s]", "datetime64[ns, UTC]", "datetime64[us, Asia/Tokyo]", "object"])
def test_every_unit_and_zone_gives_the_same_timestamps(tmp_path: Path, unit: str, zone: str | None, dtype: str):
    write(tmp_path / "stats.parquet", [row | {"created": at(0)} for row in ROWS], unit, zone)
    file_source = source(tmp_path / "stats.parquet", created_timestamp_column="created")
    timestamps = ENTITIES["event_timestamp"]
    if dtype == "object":
        timestamps = timestamps.map(pd.Timestamp.isoformat)
    else:
        timestamps = (timestamps if "," in dtype else timestamps.dt.tz_localize(None)).astype(dtype)
    table = joined(tmp_path, file_source, ENTITIES.assign(event_timestamp=timestamps), ttl=timedelta(minutes=3))
    assert table["trips"].to_pylist() == [20, 10, 11]


too_fine = pytest.mark.xfail(strict=True, reason="fails for a timestamp finer than a microsecond")


@pytest.mark.parametrize("kind", [OURS, pytest.param("duckdb", marks=too_fine)])
@pytest.mark.parametrize("nanoseconds", [-1, 0, 1])
def test_a_row_one_nanosecond_later_does_not_answer(tmp_path: Path, nanoseconds: int, kind: str):
    timestamps = pa.array([1_772_366_400_000_000_500], pa.timestamp("ns", "UTC"))
    table = pa.table({"driver_id": [1], "trips": [10], "event_timestamp": timestamps})
    pq.write_table(table, tmp_path / "stats.parquet")
    timestamp = pd.Timestamp(1_772_366_400_000_000_500 + nanoseconds, tz="UTC")
    store = repository(tmp_path, kind)
    store.apply([DRIVER, view(source(tmp_path / "stats.parquet"))])
    table = store.get_historical_features(entity_frame((1, timestamp)), ["stats:trips"]).to_arrow()
    assert table["trips"].to_pylist() == [None if nanoseconds < 0 else 10]


def test_a_ttl_beyond_the_range_of_nanoseconds_works(tmp_path: Path):
    file_source = source(write(tmp_path / "stats.parquet", ROWS, "ns"))
    assert joined(tmp_path, file_source, ENTITIES, ttl=timedelta(days=365 * 500))["trips"].to_pylist() == EXPECTED


def test_columns_may_have_any_name_and_a_mapping(tmp_path: Path):
    rows = [{"id": 1, "n": 10, "time": at(0), "known": at(1)}, {"id": 1, "n": 11, "time": at(0), "known": at(9)}]
    file_source = source(
        write(tmp_path / "stats.parquet", rows),
        timestamp_field="time",
        created_timestamp_column="known",
        field_mapping={"id": "driver_id", "n": "trips"},
    )
    entities = entity_frame((1, at(5)), (1, at(9))).rename(columns={"event_timestamp": "as_of"})
    assert joined(tmp_path, file_source, entities)["trips"].to_pylist() == [10, 11]


@pytest.mark.parametrize(
    ("path", "file_format", "is_ours"),
    [("/a.parquet", None, True), ("file:///a.parquet", None, True), ("s3://b/a.parquet", None, False),
     ("gs://b/*.parquet", None, False), ("/a", DeltaFormat(), False)],
)  # fmt: skip
def test_only_parquet_on_a_local_disk_is_read_by_our_store(path: str, file_format: object, is_ours: bool):
    assert is_local_parquet(FileSource(path=path, file_format=file_format, timestamp_field="t")) is is_ours


def test_a_source_on_another_filesystem_is_read_by_feasts_store(tmp_path: Path):
    memory = fsspec.filesystem("memory")
    ibis.get_backend().register_filesystem(memory)
    with memory.open("/remote/stats.parquet", "wb") as file:
        file.write(write(tmp_path / "stats.parquet", ROWS).read_bytes())
    remote = source("memory://remote/stats.parquet")
    store = repository(tmp_path)
    store.apply([DRIVER, view(remote, schema=[TRIPS, Field(name="driver_id", dtype=Int64)])])
    job = store.get_historical_features(ENTITIES, ["stats:trips"])
    assert (type(job).__name__, job.to_df()["trips"].tolist()) == ("IbisRetrievalJob", EXPECTED)
