"""A feature has the value of its declared type, whatever type its source has: joined, materialized and pushed."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import feast.types as t
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import FeatureStore, Field, PushSource
from feast.types import Array, Bool, Bytes, Float32, Float64, Int32, Int64, Map, String, UnixTimestamp
from offline_world import at, entity_frame, our_stores, source, view
from small import DRIVER, NOON

from exact_stores.declared import as_declared, can_be
from exact_stores.entity_frame import WHOLE_NUMBERS

pytestmark = pytest.mark.slow

INSTANT, SECOND = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
LARGE = 2**53 + 1
ONE_SECOND, BEFORE_1970 = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)
RECORD = {"a": LARGE, "b": None}


def nullable(values: list[Any], dtype: pa.DataType | None = None) -> pa.Array:
    return pa.array([*values, None], dtype)


#: A column of a source with one value and a null → the types that its feature may have, and the values they give.
SOURCES: dict[str, tuple[pa.Array, dict[Any, Any]]] = {
    "int8": (
        nullable([1], pa.int8()),
        {String: "1", Int64: 1, Int32: 1, Float64: 1.0, Float32: 1.0, Bool: True, UnixTimestamp: ONE_SECOND},
    ),
    "int32": (nullable([4], pa.int32()), {String: "4", Int64: 4, Float64: 4.0}),
    "int64": (nullable([LARGE]), {String: str(LARGE), Int64: LARGE, Float64: float(LARGE)}),
    "uint64": (nullable([2**63], pa.uint64()), {String: str(2**63), Float64: float(2**63)}),
    "float64": (nullable([4.0]), {String: "4.0", Int64: 4, Int32: 4, Float64: 4.0, Float32: 4.0}),
    "truth": (nullable([1.0]), {Bool: True, Int64: 1, UnixTimestamp: ONE_SECOND}),
    "float32": (nullable([0.1], pa.float32()), {Float32: 0.10000000149011612, Float64: 0.10000000149011612}),
    "tenth": (nullable([0.1]), {String: "0.1", Float64: 0.1, Float32: 0.10000000149011612}),
    "nan": (nullable([float("nan")]), {Float64: None, Int64: None, String: None, Bool: None, UnixTimestamp: None}),
    "infinity": (nullable([float("inf")]), {Float64: float("inf"), Float32: float("inf"), String: "inf"}),
    "decimal": (nullable([Decimal("4.50")]), {String: "4.50", Float64: 4.5}),
    "bool": (nullable([True]), {String: "True", Int64: 1, Float64: 1.0, Bool: True}),
    "text": (nullable(["4"]), {String: "4", Int64: 4, Float64: 4.0}),
    "large_text": (nullable(["é"], pa.large_string()), {String: "é"}),
    "category": (nullable(["é"]).dictionary_encode(), {String: "é"}),
    "bytes": (nullable([b"x"]), {String: "x", Bytes: b"x"}),
    "fixed": (nullable([b"xy"], pa.binary(2)), {Bytes: b"xy"}),
    "date": (nullable([date(2026, 1, 2)]), {String: "2026-01-02", UnixTimestamp: datetime(2026, 1, 2, tzinfo=UTC)}),
    "time": (nullable([time(3, 4, 5)]), {String: "03:04:05"}),
    "instant": (
        nullable([INSTANT], pa.timestamp("us", "Asia/Tokyo")),
        {UnixTimestamp: SECOND, String: str(INSTANT)},
    ),
    "utc": (nullable([INSTANT], pa.timestamp("us", "UTC")), {String: str(INSTANT), UnixTimestamp: SECOND}),
    "naive": (nullable([SECOND.replace(tzinfo=None)], pa.timestamp("ns")), {UnixTimestamp: SECOND}),
    "before_1970": (pa.array([-1, None], pa.timestamp("ms")), {UnixTimestamp: BEFORE_1970}),
    "ints": (nullable([[1, None, LARGE]]), {Array(Int64): [1, 0, LARGE], Array(String): ["1", "", str(LARGE)]}),
    "floats": (nullable([[1.5]], pa.list_(pa.float32())), {Array(Float64): [1.5], Array(Float32): [1.5]}),
    "fixed_list": (nullable([[1, 2]], pa.list_(pa.int32(), 2)), {Array(Int64): [1, 2], Array(Float64): [1.0, 2.0]}),
    "large_list": (nullable([["a", None]], pa.large_list(pa.string())), {Array(String): ["a", ""]}),
    "instants": (nullable([[SECOND]], pa.list_(pa.timestamp("us", "UTC"))), {Array(UnixTimestamp): [SECOND]}),
    "nested": (nullable([[[1, None], [2]]]), {Array(Array(Int64)): [[1, 0], [2]]}),
    "struct": (nullable([RECORD]), {Map: RECORD, t.Struct({"a": Int64}): RECORD}),
    "map": (nullable([[("k", 1)]], pa.map_(pa.string(), pa.int64())), {Map: {"k": 1}}),
    "nulls": (pa.nulls(2), dict.fromkeys((String, Int64, Float64, Bool, Bytes, UnixTimestamp, Array(Int64)))),
}  # fmt: skip
#: Feature → its column, its type, and its value.
FEATURES = {
    f"{name}_as_{i}": (column, kind, value)
    for name, (column, kinds) in SOURCES.items()
    for i, (kind, value) in enumerate(kinds.items())
}
REFS = [f"stats:{name}" for name in FEATURES]
EXPECTED = {name: [value, None] for name, (_, _, value) in FEATURES.items()}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """Two drivers, one with all values and one with nulls, not yet online."""
    folder = tmp_path_factory.mktemp("declared")
    columns = {"driver_id": pa.array([1, 2]), "event_timestamp": pa.array([NOON] * 2, pa.timestamp("us", "UTC"))}
    pq.write_table(
        pa.table(columns | {name: column for name, (column, _, _) in FEATURES.items()}), folder / "a.parquet"
    )
    schema = [Field(name=name, dtype=kind) for name, (_, kind, _) in FEATURES.items()]
    store = our_stores(folder)
    store.apply([DRIVER, view(PushSource(name="pushes", batch_source=source(folder / "a.parquet")), schema=schema)])
    return store


def joined(store: FeatureStore) -> Any:
    return store.get_historical_features(entity_frame((1, at(1)), (2, at(1))), REFS)


def served(store: FeatureStore) -> dict[str, list[Any]]:
    values = store.get_online_features(REFS, [{"driver_id": 1}, {"driver_id": 2}]).to_dict()
    return {name: values[name] for name in FEATURES}


def pushed(column: pa.Array) -> pd.Series:
    """The column as a careful caller has it in a data frame."""
    is_nested = pa.types.is_nested(column.type)
    values = column.to_pylist(maps_as_pydicts="strict")
    return pd.Series(values, dtype=object) if is_nested else column.to_pandas(types_mapper=WHOLE_NUMBERS.get)


def test_a_join_gives_the_declared_types(store: FeatureStore):
    table = joined(store).to_arrow()
    assert {name: table[name].to_pylist(maps_as_pydicts="strict") for name in FEATURES} == EXPECTED


def test_a_data_frame_gives_the_declared_types(store: FeatureStore):
    frame = joined(store).to_df()
    for name, (value, _) in EXPECTED.items():
        value_in_frame = frame[name][0]
        value_in_frame = value_in_frame.tolist() if hasattr(value_in_frame, "tolist") else value_in_frame
        if not isinstance(value, list):  # pandas has lists of NumPy's, and instants without a zone in them
            assert pd.isna(value_in_frame) if value is None else value_in_frame == value, name
        assert pd.isna(frame[name][1]), name


def test_a_materialization_gives_the_declared_types(store: FeatureStore):
    store.materialize(at(-60), at(60))
    assert served(store) == EXPECTED


def test_a_push_gives_the_declared_types(store: FeatureStore):
    frame = pd.DataFrame({name: pushed(column) for name, (column, _, _) in FEATURES.items()})
    store.push("pushes", frame.assign(driver_id=[1, 2], event_timestamp=at(1)))
    assert served(store) == EXPECTED


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([4.5]), Int64), (pa.array([Decimal("4.5")]), Int64), (pa.array([2**63], pa.uint64()), Int64),
        (pa.array([2**31]), Int32), (pa.array(["x"]), Int64), (pa.array(["x"]), Float64), (pa.array([0.5]), Bool),
        (pa.array([b"\xff"]), String), (pa.array([["x"]]), Array(Int64)),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_is_not_of_the_declared_type_is_refused_by_name(column: pa.Array, kind: Any):
    with pytest.raises(ValueError, match=f"'trips' is declared {kind.to_value_type().name}, and its column holds"):
        as_declared(column, "trips", kind.to_value_type())


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.list_(pa.int64()), String), (pa.list_(pa.int64()), Int64), (pa.struct({"a": pa.int64()}), String),
        (pa.string(), Bool), (pa.string(), Bytes), (pa.string(), UnixTimestamp), (pa.timestamp("us"), Int64),
        (pa.date32(), Float64), (pa.time64("us"), Int64), (pa.int64(), Array(Int64)), (pa.int64(), Map),
        (pa.binary(), Int64), (pa.map_(pa.string(), pa.int64()), String), (pa.list_(pa.string()), Map),
    ],
    ids=str,
)  # fmt: skip
def test_a_type_that_cannot_be_the_declared_one_is_known(column: pa.DataType, kind: Any):
    assert not can_be(column, kind.to_value_type())
