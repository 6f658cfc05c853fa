"""A column is the column of exactly its name, whatever else is in the files."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Field
from feast.types import Int64, String
from offline_world import TRIPS, at, entity_frame, joined, our_stores, row, source, view, write
from small import DRIVER, NOON

pytestmark = pytest.mark.slow

FRAME = entity_frame((1, at(1)))


def both(folder: Path, path: str, *features: str, **settings: Any) -> dict[str, tuple[Any, Any]]:
    """Feature → its value for driver 1: joined, and served after a materialization."""
    store = our_stores(folder)
    stats = view(source(folder / path, **settings), schema=[Field(name=name, dtype=Int64) for name in features])
    store.apply([DRIVER, stats])
    refs = [f"stats:{name}" for name in features]
    table = store.get_historical_features(FRAME, refs).to_arrow()
    store.materialize(at(-60), at(60))
    served = store.get_online_features(refs, [{"driver_id": 1}]).to_dict()
    return {name: (table[name][0].as_py(), served[name][0]) for name in features}


def test_names_that_differ_in_case_are_other_columns(tmp_path: Path):
    write(tmp_path / "a.parquet", [row(1, 1, 0, Trips=2, trips_1=3, TRIPS_1=4)])
    values = both(tmp_path, "a.parquet", "trips", "Trips", "trips_1", "TRIPS_1")
    assert values == {"trips": (1, 1), "Trips": (2, 2), "trips_1": (3, 3), "TRIPS_1": (4, 4)}


def test_names_that_differ_in_case_between_files_are_other_columns(tmp_path: Path):
    write(tmp_path / "d" / "1.parquet", [row(1, 1, 0)])
    write(tmp_path / "d" / "2.parquet", [{"driver_id": 2, "Trips": 2, "event_timestamp": NOON}])
    assert both(tmp_path, "d", "trips", "Trips") == {"trips": (1, 1), "Trips": (None, None)}


def test_a_hive_key_hides_no_column(tmp_path: Path):
    write(tmp_path / "d" / "year=2026" / "kind=x" / "1.parquet", [row(1, 1, 0, year=7)])
    write(tmp_path / "d" / "year=2027" / "kind=x" / "1.parquet", [row(2, 1, 0, year=8)])
    assert both(tmp_path, "d", "trips", "year") == {"trips": (1, 1), "year": (7, 7)}


def test_a_hive_key_that_is_no_column_is_a_feature_beside_one_that_is(tmp_path: Path):
    write(tmp_path / "d" / "year=2026" / "month=1" / "1.parquet", [row(1, 1, 0, year=7)])
    assert both(tmp_path, "d", "month", "year") == {"month": (1, 1), "year": (7, 7)}


def test_files_in_partitions_and_beside_them_are_one_source(tmp_path: Path):
    write(tmp_path / "d" / "year=2026" / "1.parquet", [row(1, 1, 0)])
    write(tmp_path / "d" / "2.parquet", [row(2, 2, 0)])
    write(tmp_path / "d" / "year=2026" / "month=1" / "3.parquet", [row(3, 3, 0)])
    assert both(tmp_path, "d", "year", "month", "trips") == {
        "year": (2026, 2026),
        "month": (None, None),
        "trips": (1, 1),
    }


@pytest.mark.parametrize("value", [-5, 2**63 - 1, 2**63, 10**30])
def test_a_whole_number_of_any_size_may_be_a_hive_value(value: int, tmp_path: Path):
    write(tmp_path / "d" / f"k={value}" / "1.parquet", [row(1, 1, 0)])
    is_integer = value < 2**63
    store = our_stores(tmp_path)
    schema = [TRIPS, Field(name="k", dtype=Int64 if is_integer else String)]
    store.apply([DRIVER, view(source(tmp_path / "d"), schema=schema)])
    frame = store.get_historical_features(entity_frame((1, at(1))), ["stats:k"]).to_arrow()
    assert frame["k"].to_pylist() == [value if is_integer else str(value)]


@pytest.mark.parametrize("other", ["trips", "Trips"])
def test_a_hive_value_is_read_the_same_beside_columns_that_are_alike(other: str, tmp_path: Path):
    for driver, value in ((1, "a%20b"), (2, "__HIVE_DEFAULT_PARTITION__")):
        write(tmp_path / "d" / f"k={value}" / "1.parquet", [row(driver, 1, 0) | {other: 1}])
    frame, schema = entity_frame((1, at(1)), (2, at(1))), [TRIPS, Field(name="k", dtype=String)]
    store = our_stores(tmp_path)
    store.apply([DRIVER, view(source(tmp_path / "d"), schema=schema)])
    assert store.get_historical_features(frame, ["stats:k"]).to_arrow()["k"].to_pylist() == ["a b", None]


@pytest.mark.parametrize("name", ["file_index", "file_row_number", "filename", "Filename", "column 0", "c0"])
def test_a_column_may_have_a_name_that_duckdb_gives(name: str, tmp_path: Path):
    write(tmp_path / "a.parquet", [row(1, 1, 0, **{name: 5})])
    assert both(tmp_path, "a.parquet", name, "trips") == {name: (5, 5), "trips": (1, 1)}


def test_the_last_of_equal_rows_answers_also_where_columns_are_alike(tmp_path: Path):
    write(tmp_path / "d" / "1.parquet", [row(1, 1, 0, Trips=1), row(1, 2, 0, Trips=2)])
    write(tmp_path / "d" / "2.parquet", [row(1, 3, 0, Trips=3), row(1, 4, 0, Trips=4)])
    assert both(tmp_path, "d", "trips", "Trips") == {"trips": (4, 4), "Trips": (4, 4)}


def test_a_file_that_has_a_name_twice_is_refused(tmp_path: Path):
    columns = [pa.array([1]), pa.array([1]), pa.array([2]), pa.array([NOON], pa.timestamp("us", "UTC"))]
    pq.write_table(pa.table(columns, ["driver_id", "trips", "trips", "event_timestamp"]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"has these columns twice: trips\. Write each name once"):
        joined(tmp_path, source(tmp_path / "a.parquet"), FRAME, schema=[TRIPS])
