"""Nulls where nobody expects them: in keys, in whole columns, in whole files."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, Field, PushSource
from feast.data_source import PushMode
from feast.types import String
from offline_world import at, created_row, entity_frame, joined, our_stores, repository, row, source, view, write
from small import DRIVER, NOON, trips

pytestmark = pytest.mark.slow

FRAME = entity_frame((1, at(1)), (2, at(1)))


def applied(folder: Path, path: str, **settings: Any) -> FeatureStore:
    store = our_stores(folder)
    store.apply([DRIVER, view(source(folder / path, **settings))])
    return store


def test_a_row_without_a_key_stops_no_other_row(tmp_path: Path):
    rows = [row(1, 1, 0), row(None, 3, 0), row(2, 2, 0)]
    store = applied(tmp_path, write(tmp_path / "a.parquet", rows).name)
    store.materialize(at(-60), at(60))
    served = store.get_online_features(["stats:trips"], [{"driver_id": 1}, {"driver_id": 2}]).to_dict()
    assert served["trips"] == [1, 2]


@pytest.mark.parametrize("engine", ["local", "exact_stores.engine.ArrowComputeEngine"])
def test_a_key_that_is_nan_is_a_missing_key(engine: str, tmp_path: Path):
    write(tmp_path / "a.parquet", [row(1.0, 1, 0), row(float("nan"), 3, 0), row(2.0, 2, 0)])
    store = repository(tmp_path, online="exact_stores.online.WideSqliteOnlineStore", engine=engine)
    store.apply([DRIVER, view(source(tmp_path / "a.parquet"))])
    store.materialize(at(-60), at(60))
    assert trips(store, 1, 2) == [1, 2]
    job = store.get_historical_features(None, ["stats:trips"], start_date=at(-60), end_date=at(60))
    assert sorted(job.to_arrow()["driver_id"].to_pylist()) == [1, 2]


def test_a_row_without_a_key_is_no_entity(tmp_path: Path):
    large = 2**53 + 1
    path = write(tmp_path / "a.parquet", [row(large, 1, 0), row(None, 3, 0)])
    store = applied(tmp_path, path.name)
    job = store.get_historical_features(None, ["stats:trips"], start_date=at(-60), end_date=at(60))
    assert job.to_arrow()["driver_id"].to_pylist() == [large]


def test_a_created_column_may_hold_nulls_alone(tmp_path: Path):
    write(tmp_path / "a.parquet", [row(1, 1, 0, created=None), row(2, 2, 0, created=None)])
    file = source(tmp_path / "a.parquet", created_timestamp_column="created")
    assert joined(tmp_path, file, FRAME)["trips"].to_pylist() == [1, 2]
    store = applied(tmp_path, "a.parquet", created_timestamp_column="created")
    store.materialize_incremental(at(60))
    store.materialize_incremental(at(70))
    assert store.get_online_features(["stats:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [1]


def test_a_column_of_nulls_takes_its_type_from_other_files(tmp_path: Path):
    write(tmp_path / "d" / "1.parquet", [created_row(1, 1, 0, 5)])
    write(tmp_path / "d" / "2.parquet", [row(2, 2, 0, created=None)])
    file = source(tmp_path / "d", created_timestamp_column="created")
    assert joined(tmp_path, file, FRAME)["trips"].to_pylist() == [1, 2]


@pytest.mark.parametrize("key", [1, "a"])
def test_a_file_without_rows_or_types_answers_nothing(key: Any, tmp_path: Path):
    empty = pd.DataFrame({"driver_id": [], "trips": [], "event_timestamp": []}, dtype=object)
    pq.write_table(pa.Table.from_pandas(empty), tmp_path / "a.parquet")
    frame = entity_frame((key, at(1)))
    assert joined(tmp_path, source(tmp_path / "a.parquet"), frame)["trips"].to_pylist() == [None]


@pytest.mark.parametrize("files", [["1", "2"], ["2"]])
def test_a_push_follows_a_file_in_which_the_column_is_null(files: list[str], tmp_path: Path):
    tables = {
        "1": pa.table({"driver_id": [1], "name": ["x"], "event_timestamp": pa.array([NOON])}),
        "2": pa.table({"driver_id": [2], "name": pa.nulls(1), "event_timestamp": pa.array([NOON])}),
    }
    (tmp_path / "d").mkdir()
    for file in files:
        pq.write_table(tables[file], tmp_path / "d" / f"{file}.parquet")
    store = our_stores(tmp_path)
    names = view(
        PushSource(name="pushes", batch_source=source(tmp_path / "d")), schema=[Field(name="name", dtype=String)]
    )
    store.apply([DRIVER, names])
    pushed = pd.DataFrame({"driver_id": [3], "name": ["z"], "event_timestamp": [pd.Timestamp(NOON)]})
    store.push("pushes", pushed, to=PushMode.OFFLINE)
    frame = entity_frame((2, at(1)), (3, at(1)))
    assert store.get_historical_features(frame, ["stats:name"]).to_arrow()["name"].to_pylist() == [None, "z"]


def test_a_feature_of_nulls_is_null(tmp_path: Path):
    write(tmp_path / "a.parquet", [{"driver_id": 1, "trips": None, "event_timestamp": NOON}])
    store = applied(tmp_path, "a.parquet")
    store.materialize(at(-60), at(60))
    assert store.get_online_features(["stats:trips"], [{"driver_id": 1}]).to_dict()["trips"] == [None]
