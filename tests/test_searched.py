"""The point-in-time join by a sort and a search gives the rows of the join in SQL, and is taken only for a source whose
size in memory is known to be small."""

import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from constants import override
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import settings as examples
from offline_world import at, repository, source

from exact_stores import searched
from exact_stores.entity_frame import EntityFrame
from exact_stores.point_in_time import ViewRequest, run_all
from exact_stores.utc_duckdb import connect

pytestmark = pytest.mark.slow

MINUTES = st.integers(0, 6)
CITIES, DRIVERS = st.sampled_from(["a", "A", "a ", None]), st.sampled_from([1, 2, -1, None])
ZONES = st.sampled_from([0, 1, None])
WIDTHS = st.sampled_from(["Int8", "Int32", "Int64"])
#: The columns of the source have other names than the view's join keys and features.
MAPPING = {"who": "driver_id", "town": "city", "n": "trips", "share": "rating"}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "who": DRIVERS,
            "town": CITIES,
            "zone": ZONES,
            "happened": MINUTES | st.none(),
            "known": MINUTES | st.none(),
            "n": st.integers(-3, 3) | st.none(),
            "share": st.sampled_from([0.5, float("nan"), None]),
        }
    ),
    min_size=1,
    max_size=14,
)
REQUESTS = st.lists(st.tuples(DRIVERS, CITIES, ZONES, MINUTES | st.none()), min_size=1, max_size=8)
TTLS = st.sampled_from([None, timedelta(minutes=1), timedelta(minutes=2)])
TYPES = {"trips": ValueType.INT64, "rating": ValueType.DOUBLE}


def file_of(folder: Path, name: str, rows: list[dict[str, Any]], unit: str, width: str) -> None:
    """Write rows whose timestamps are minutes after noon. A file without a value still has the column's type."""
    times = ("happened", "known")
    frame = pd.DataFrame([row | {t: None if row[t] is None else at(row[t]) for t in times} for row in rows])
    types = {"who": width, "town": "string", "zone": "Int64", "n": "Int64", "share": "float64"}
    frame = frame.astype(types | dict.fromkeys(times, f"datetime64[{unit}, UTC]"))
    (folder / "stats").mkdir(exist_ok=True)
    frame.to_parquet(folder / "stats" / name)


def features(request: ViewRequest, frame: pd.DataFrame, folder: Path) -> list[dict[str, Any]]:
    (table,) = run_all(EntityFrame.from_input(frame), [request], repository(folder).config, False)
    return table.to_pylist()


@given(st.data())
@examples(max_examples=60)
def test_both_joins_give_the_same_rows(data: st.DataObject):
    rows, requests = data.draw(ROWS), data.draw(REQUESTS)
    keys = data.draw(
        st.sampled_from([(), ("driver_id",), ("city",), ("city", "driver_id"), ("driver_id", "city", "zone")])
    )
    has_created, unit = data.draw(st.booleans()), data.draw(st.sampled_from(["us", "ns", "ms"]))
    half = data.draw(st.integers(1, len(rows)))
    frame = pd.DataFrame(requests, columns=["driver_id", "city", "zone", "event_timestamp"])
    minutes = pd.to_timedelta(frame["event_timestamp"].astype(float), unit="min")
    frame = frame.astype({"driver_id": data.draw(WIDTHS), "city": "object", "zone": "Int64"})
    frame = frame.assign(event_timestamp=pd.Timestamp(at(0)) + minutes)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        for number, part in enumerate((rows[:half], rows[half:])):
            if part:
                file_of(folder, f"{number}.parquet", part, unit, data.draw(WIDTHS))
        created = {"created_timestamp_column": "known"} if has_created else {}
        stats = source(folder / "stats", timestamp_field="happened", field_mapping=MAPPING, **created)
        request = ViewRequest(
            stats, data.draw(TTLS), {key: key for key in keys}, dict(zip(TYPES, TYPES, strict=True)), TYPES
        )
        override(patch, searched, _BATCH_ROWS=data.draw(st.sampled_from([1, 3, 1000])))
        by_search = features(request, frame, folder)
        override(patch, searched, _SHARE=10**12)
        np.testing.assert_equal(by_search, features(request, frame, folder))


@pytest.mark.parametrize(
    ("in_frame", "in_source", "is_numbered"),
    [
        (pa.int64(), "INTEGER", True),
        (pa.uint8(), "BIGINT", True),
        (pa.large_string(), "VARCHAR", True),
        (pa.uint64(), "BIGINT", False),
        (pa.int64(), "UBIGINT", False),
        (pa.int64(), "DOUBLE", False),
        (pa.bool_(), "BIGINT", False),
        (pa.null(), "BIGINT", False),
        (pa.string(), "UUID", False),
        (pa.decimal128(20, 2), "BIGINT", False),
        (pa.date32(), "DATE", False),
    ],
    ids=str,
)
def test_only_whole_numbers_and_texts_are_numbered(in_frame: pa.DataType, in_source: str, is_numbered: bool):
    rows = pa.table({"k0": pa.array([1]), "k1": pa.nulls(1, in_frame)})
    assert searched.has_numbered_keys(rows, {"k0": "BIGINT", "k1": in_source}) is is_numbered


@pytest.mark.parametrize(
    ("rows", "types", "is_held"),
    [(10_000, ["BIGINT", "TIMESTAMP_NS"], True), (10_000, ["BIGINT", "VARCHAR"], False), (10**7, ["BIGINT"], False)],
    ids=["numbers", "texts", "many rows"],
)
def test_only_a_source_of_known_small_size_is_held(rows: int, types: list[str], is_held: bool):
    with connect("100MB") as connection:
        assert searched.fits(connection, rows, types) is is_held
