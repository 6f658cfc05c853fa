"""`feast apply` says which features and keys of a view its files do not have, or have in another type."""

from pathlib import Path
from typing import Any

import pytest
from feast import Entity, Field, ValueType
from feast.types import Array, Int64, String
from offline_world import ROWS, TRIPS, at, repository, row, source, view, write
from small import DRIVER

pytestmark = pytest.mark.slow

SHOP = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
NO_COLUMN = "and no file of {path} has a column {name!r}. It cannot be read until one has."


def notes_of(folder: Path, capfd: pytest.CaptureFixture[str], path: str, mapping: Any = None, **settings: Any) -> str:
    store = repository(folder)
    capfd.readouterr()
    store.apply([DRIVER, SHOP, view(source(folder / path, field_mapping=mapping), **settings)])
    return capfd.readouterr().err


def test_apply_names_a_column_that_no_file_has(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    write(tmp_path / "a.parquet", ROWS)
    settings = {"schema": [TRIPS, Field(name="tripz", dtype=Int64)], "entities": [DRIVER, SHOP]}
    first, second = notes_of(tmp_path, capfd, "a.parquet", **settings).splitlines()
    for line, name in ((first, "tripz"), (second, "shop_id")):
        assert line.startswith(f"The view 'stats' has {name!r}, ")
        assert NO_COLUMN.format(path=tmp_path / "a.parquet", name=name) in line


@pytest.mark.parametrize(("kind", "holds"), [(Array(Int64), "int64"), (String, None)])
def test_apply_names_a_column_of_another_type(
    kind: Any, holds: str | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    write(tmp_path / "a.parquet", ROWS)
    note = notes_of(tmp_path, capfd, "a.parquet", schema=[Field(name="trips", dtype=kind)])
    assert (f"'trips' of type INT64_LIST, and its column in {tmp_path / 'a.parquet'} holds int64." in note) == bool(
        holds
    )
    assert bool(note) == bool(holds)


def test_apply_says_nothing_of_columns_that_are_there(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    write(tmp_path / "d" / "year=2026" / "1.parquet", [row(1, 1, 0, old=1)])
    write(tmp_path / "d" / "year=2026" / "2.parquet", [{"id": 1, "n": 2, "event_timestamp": at(0), "empty": None}])
    names = ("trips", "old", "year", "empty")
    schema = [Field(name=name, dtype=Int64) for name in names]
    assert notes_of(tmp_path, capfd, "d", {"n": "trips", "id": "driver_id"}, schema=schema) == ""


def test_apply_says_nothing_of_files_to_come(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert notes_of(tmp_path, capfd, "d", schema=[TRIPS]) == ""
