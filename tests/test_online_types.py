"""A value of every Feast type reads from our online store as it does from Feast's."""

import decimal
import uuid
from datetime import UTC, date, datetime
from pathlib import Path

import feast.types as t
import pyarrow as pa
import pytest
from feast import FeatureStore, Field
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values
from feast.types import Array, Float64, Int64, Set, String
from small import NOON, OURS, feature_store, view

pytestmark = pytest.mark.slow

TIMESTAMP = datetime(2020, 2, 29, 23, 59, 59, tzinfo=UTC)
UUID_1, UUID_2 = uuid.UUID(int=1), uuid.UUID(int=2)

#: A name → a type of feast.types, and a value as a source has it.
VALUES = {
    "int32": (t.Int32, -(2**31)), "int64": (Int64, 2**63 - 1), "float32": (t.Float32, 0.1),
    "float64": (Float64, -1e300), "string": (String, "naïve \x00 'quoted' \""), "empty": (String, ""),
    "bool": (t.Bool, False),
    "bytes": (t.Bytes, b"\x00\xff"), "pdf": (t.PdfBytes, b"%PDF"), "image": (t.ImageBytes, b"\x89PNG"),
    "unix": (t.UnixTimestamp, TIMESTAMP), "zoned": (t.ZonedTimestamp, TIMESTAMP), "json": (t.Json, '{"a": [1, null]}'),
    "map": (t.Map, {"a": "b"}), "scalar_map": (t.ScalarMap, {1: "x"}), "uuid": (t.Uuid, UUID_1),
    "time_uuid": (t.TimeUuid, UUID_2), "decimal": (t.Decimal, decimal.Decimal("1.10")),
    "struct": (t.Struct({"x": Int64}), {"x": 5}), "structs": (Array(t.Struct({"x": Int64})), [{"x": 5}, {"x": 6}]),
    "strings": (Array(String), ["b", "a", ""]), "ints": (Array(Int64), [3, 1]), "int32s": (Array(t.Int32), [3, 1]),
    "floats": (Array(Float64), [0.5, float("inf")]), "float32s": (Array(t.Float32), [0.5]),
    "bools": (Array(t.Bool), [True, False]), "blobs": (Array(t.Bytes), [b"\x00", b""]),
    "timestamps": (Array(t.UnixTimestamp), [TIMESTAMP]), "jsons": (Array(t.Json), ["[1]"]),
    "uuids": (Array(t.Uuid), [UUID_1]),
    "decimals": (Array(t.Decimal), [decimal.Decimal("2.50")]), "maps": (Array(t.Map), [{"a": "b"}]),
    "nested": (Array(Array(Int64)), [[1, 2], [3]]), "set_of_strings": (Set(String), {"a", "b"}),
    "set_of_ints": (Set(Int64), {1, 2}), "set_of_floats": (Set(Float64), {0.5}), "set_of_bools": (Set(t.Bool), {True}),
    "set_of_bytes": (Set(t.Bytes), {b"\x01"}), "set_of_timestamps": (Set(t.UnixTimestamp), {TIMESTAMP}),
    "set_of_uuids": (Set(t.Uuid), {UUID_1, UUID_2}), "set_of_decimals": (Set(t.Decimal), {decimal.Decimal("1")}),
}  # fmt: skip


@pytest.mark.parametrize("store", OURS)
@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_every_type_reads_as_from_feasts_own_store(name, store, tmp_path):
    kind, value = VALUES[name]
    (proto,) = python_values_to_proto_values([value], Field(name="trips", dtype=kind).dtype.to_value_type())
    ours, stock = (round_trip(feature_store(tmp_path / name, name), kind, proto) for name in (store, "stock"))
    assert ours == stock == feast_value_type_to_python_type(proto, kind.to_value_type())


def round_trip(store: FeatureStore, kind: t.FeastType, proto: Value) -> object:
    """Write and read a value through the store alone, as a data frame cannot hold every type."""
    online, stats = store._get_provider().online_store, view(Path(), {"trips": kind})
    online.update(store.config, [], [stats], [], [], False)
    key = EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=1)])
    online.online_write_batch(store.config, stats, [(key, {"trips": proto}, NOON, None)], None)
    ((_, row),) = online.online_read(store.config, stats, [key], ["trips"])
    return feast_value_type_to_python_type(row["trips"], kind.to_value_type())


def test_every_type_of_feast_is_tested():
    primitive = {kind for kind in t.PrimitiveFeastType if kind != t.Invalid}
    assert primitive <= {kind for kind, _ in VALUES.values() if isinstance(kind, t.PrimitiveFeastType)}


#: An Arrow column, the feature's declared type, and the values that are read.
ARROW = [
    (pa.array([1, None], pa.int8()), Int64, [1, None]),
    (pa.array([1.0, None]), Int64, [1, None]),
    (pa.array([1, None]), Float64, [1.0, None]),
    (pa.array([0.1, float("nan")]), t.Float32, [0.10000000149011612, None]),
    (pa.array(["a", None], pa.large_string()), String, ["a", None]),
    (pa.array([b"a", None]), t.Bytes, [b"a", None]),
    (pa.array([True, None]), t.Bool, [True, None]),
    (pa.array([TIMESTAMP, None]), t.UnixTimestamp, [TIMESTAMP, None]),
    (pa.array([["a"], None]), Array(String), [["a"], None]),
    (pa.array(['{"a": 1}', None]), t.Json, [{"a": 1}, None]),
    (pa.nulls(2), Int64, [None, None]),
    (pa.array([2**53 + 1, None]), String, ["9007199254740993", None]),
    (pa.array([2**53 + 1.0, float("nan")]), Int64, [2**53, None]),
    (pa.array([-0.0, 0.0]), Float64, [0.0, 0.0]),
    (pa.array([1, None]), t.Bool, [True, None]),
    (pa.array([date(2020, 2, 29), None]), t.UnixTimestamp, [datetime(2020, 2, 29, tzinfo=UTC), None]),
    (pa.array([["a", None], None]), Array(String), [["a", ""], None]),
    (pa.array([[1, None, 2**53 + 1], None]), Array(Int64), [[1, 0, 2**53 + 1], None]),
    (pa.array([[True, None], []]), Array(t.Bool), [[True, False], []]),
    (pa.array([[[1, None], [2]], None]), Array(Array(Int64)), [[[1, 0], [2]], None]),
    (pa.array([{"x": 2**53 + 1}, {"x": None}]), t.Struct({"x": Int64}), [{"x": 2**53 + 1}, {"x": None}]),
    (pa.array([[("a", "b")], None], pa.map_(pa.string(), pa.string())), t.Map, [{"a": "b"}, None]),
    (pa.array([[{"a": "b"}], None]), Array(t.Map), [[{"a": "b"}], None]),
    (pa.array(["a", None]).dictionary_encode(), String, ["a", None]),
]


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(("column", "kind", "expected"), ARROW, ids=lambda v: str(getattr(v, "type", "")))
def test_an_arrow_column_reads_as_declared(column, kind, expected, name, tmp_path):
    store = feature_store(tmp_path, name)
    online, stats = store._get_provider().online_store, view(Path(), {"trips": kind})
    online.update(store.config, [], [stats], [], [], False)
    table = pa.table({"driver_id": [1, 2], "trips": column, "event_timestamp": [NOON, NOON]})
    online.write_table(store.config, stats, table)
    key = online.entity_key(stats)
    rows = online.reader(store.config, stats, ["trips"]).read([key(1), key(2)])
    assert str([values for _, values in rows]) == str([(value,) for value in expected])  # -0.0 equals 0.0


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([2**31]), t.Int32),
        (pa.array([2**63], pa.uint64()), Int64),
        (pa.array(["x"]), Int64),
        (pa.array([5.5]), Int64),
    ],
    ids=str,
)
def test_a_number_out_of_range_is_refused_and_nothing_is_kept(column, kind, name, tmp_path):
    store = feature_store(tmp_path, name)
    online, stats = store._get_provider().online_store, view(Path(), {"trips": kind})
    online.update(store.config, [], [stats], [], [], False)
    with pytest.raises((ValueError, TypeError, AssertionError)):
        online.write_table(
            store.config, stats, pa.table({"driver_id": [1], "trips": column, "event_timestamp": [NOON]})
        )
    assert online.reader(store.config, stats, ["trips"]).read([online.entity_key(stats)(1)]) == [None]
