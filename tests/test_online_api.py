"""The online store's own API: Arrow tables in, readers out, and where its file lies."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from constants import override
from feast import Entity, FeatureStore
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.types import Bool, Int64, String, UnixTimestamp
from feast.value_type import ValueType
from hypothesis import given
from hypothesis import strategies as st
from small import DRIVER, NOON, OURS, SECOND, feature_store, frame, read, store_with_trips, table, trips, view

from exact_stores import online as online_store
from exact_stores.exact_online import ExactOnlineStore
from exact_stores.keys import entity_key
from exact_stores.paths import below_data

pytestmark = pytest.mark.slow


@pytest.fixture(params=OURS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def store(tmp_path: Path, kind: str) -> FeatureStore:
    return store_with_trips(tmp_path, kind)


@pytest.fixture
def online(store: FeatureStore) -> ExactOnlineStore:
    return store._get_provider().online_store


KEYS = {
    ValueType.STRING: ("string_val", st.text(st.characters(exclude_categories=["Cs"]))),
    ValueType.BYTES: ("bytes_val", st.binary()),
    ValueType.INT32: ("int32_val", st.integers(-(2**31), 2**31 - 1)),
    ValueType.INT64: ("int64_val", st.integers(-(2**63), 2**63 - 1)),
    ValueType.UNIX_TIMESTAMP: ("unix_timestamp_val", st.integers(-(2**63), 2**63 - 1)),
}
typed_keys = st.sampled_from(list(KEYS)).flatmap(lambda kind: st.tuples(st.just(kind), KEYS[kind][1]))
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(st.dictionaries(names, typed_keys, min_size=1, max_size=4))
def test_an_entity_key_has_the_same_bytes_as_feasts(keys):
    values = [Value(**{KEYS[kind][0]: value}) for kind, value in keys.values()]
    expected = serialize_entity_key(EntityKey(join_keys=list(keys), entity_values=values), 3)
    make_key = entity_key({name: kind for name, (kind, _) in keys.items()})
    assert make_key(*(value for _, value in keys.values())) == expected


def test_an_arrow_table_reads_like_rows_that_feast_wrote(store, online, kind, tmp_path):
    rows = frame((1, NOON, NOON, 10), (2, NOON, NOON, None), (3, NOON - SECOND, NOON, 30))
    online.write_table(store.config, view(Path()), pa.Table.from_pandas(rows), created="created")
    trips_from_table = trips(store, 1, 2, 3)
    other = feature_store(tmp_path / "other", kind)
    other.apply([DRIVER, view(Path())])
    other.write_to_online_store("stats", rows)
    assert trips_from_table == trips(other, 1, 2, 3) == [10, None, 30]


def test_a_table_may_have_chunks_extra_columns_and_repeated_keys(store, online):
    newer = table(trips=[20], event_timestamp=[NOON + SECOND])
    tables = pa.concat_tables([newer, table(), table(driver_id=[2])]).append_column("other", [["x"] * 3])
    online.write_table(store.config, view(Path()), tables)
    assert trips(store, 1, 2) == [20, 10]
    online.write_table(store.config, view(Path()), table(driver_id=[3]).to_batches()[0])
    assert trips(store, 3) == [10]


def test_feast_reads_composite_keys_from_an_arrow_table(kind, tmp_path):
    entities = [Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING), DRIVER]
    store, stats = feature_store(tmp_path, kind), view(tmp_path, entities=entities)
    store.apply([*entities, stats])
    store._get_provider().online_store.write_table(store.config, stats, table(shop_id=["x"]))
    entity_rows = [{"driver_id": 1, "shop_id": "x"}]
    assert store.get_online_features(["stats:trips"], entity_rows).to_dict()["trips"] == [10]


def test_a_table_needs_no_key_for_a_view_without_entities(kind, tmp_path):
    store, stats = feature_store(tmp_path, kind), view(tmp_path, entities=[])
    store.apply([stats])
    stats = store.registry.get_feature_view("stats", store.project)  # here its join key has a type
    store._get_provider().online_store.write_table(store.config, stats, table().drop_columns("driver_id"))
    assert store.get_online_features(["stats:trips"], [{"any_key": 1}]).to_dict()["trips"] == [10]


def test_a_reader_gives_the_values_of_to_dict_in_requested_order(kind, tmp_path):
    kinds = {"trips": Int64, "active": Bool, "since": UnixTimestamp, "state": String}
    store, stats = feature_store(tmp_path, kind), view(tmp_path, kinds)
    store.apply([DRIVER, stats])
    online = store._get_provider().online_store
    online.write_table(store.config, stats, table(active=[True], since=[NOON], state=["CA"]))
    key = online.entity_key(stats)
    features = ["state", "active", "since"]
    missing, row = online.reader(store.config, stats, features).read([key(2), key(1)])
    values = read(store, [f"stats:{name}" for name in features], 1)
    assert missing is None
    assert row == ((NOON - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1), ("CA", True, NOON))
    assert row[1] == tuple(values[name][0] for name in features)


def test_a_reader_takes_zero_one_or_thousands_of_keys(store, online):
    stats = view(Path())
    online.write_table(
        store.config, stats, table(driver_id=range(2500), trips=range(2500), event_timestamp=[NOON] * 2500)
    )
    reader, key = online.reader(store.config, stats, ["trips"]), online.entity_key(stats)
    for count in (0, 1, 2, 2500):
        keys = [key(driver) for driver in reversed(range(count))]
        assert [values for _, values in reader.read(keys)] == [(driver,) for driver in reversed(range(count))]


def test_tables_of_several_views_are_written_together_or_not_at_all(kind, tmp_path):
    store, views = feature_store(tmp_path, kind), [view(tmp_path, name="a"), view(tmp_path, ["stars"], name="b")]
    store.apply([DRIVER, *views])
    online = store._get_provider().online_store
    trips, stars = table(driver_id=[1], trips=[10]), table(driver_id=[1], stars=[5]).drop_columns("trips")

    def stored() -> list[Any]:
        readers = [online.reader(store.config, v, [f.name for f in v.features]) for v in views]
        return [
            row and row[1] for (row,) in online.read_together([(r, [online.entity_key(views[0])(1)]) for r in readers])
        ]

    for wrong in (stars.drop_columns("stars"), table(driver_id=[None], stars=[5])):
        with pytest.raises((TypeError, ValueError, KeyError)):
            online.write_tables(store.config, [(views[0], trips), (views[1], wrong)])
        assert stored() == [None, None]
    online.write_tables(store.config, [(views[0], trips), (views[1], stars)])
    assert stored() == [(10,), (5,)]


def test_readers_of_several_views_read_together(kind, tmp_path):
    store, views = feature_store(tmp_path, kind), [view(tmp_path, name="a"), view(tmp_path, ["stars"], name="b")]
    store.apply([DRIVER, *views])
    online = store._get_provider().online_store
    online.write_table(store.config, views[0], table(driver_id=[1, 2], trips=[10, 20], event_timestamp=[NOON] * 2))
    online.write_table(store.config, views[1], table(stars=[5]).drop_columns("trips"))
    a, b = (online.reader(store.config, v, [f.name for f in v.features]) for v in views)
    key = online.entity_key(views[0])
    assert isinstance(online, ExactOnlineStore)
    together = online.read_together([(a, [key(2), key(1), key(3)]), (b, []), (b, [key(1), key(2)])])
    values = [[row and row[1] for row in answer] for answer in together]
    assert values == [[(20,), (10,), None], [], [(5,), None]]


def test_a_few_keys_of_several_views_are_read_by_one_statement(tmp_path):
    names = [["trips"], ["trips", "stars"]]
    store, views = feature_store(tmp_path, "wide"), [view(tmp_path, n, name=f"v{i}") for i, n in enumerate(names)]
    store.apply([DRIVER, *views])
    online, key = store._get_provider().online_store, store._get_provider().online_store.entity_key(views[0])
    online.write_table(store.config, views[0], table(driver_id=[1, 2], trips=[10, 20], event_timestamp=[NOON] * 2))
    online.write_table(store.config, views[1], table(trips=[7], stars=[5]))
    requests = [(online.reader(store.config, views[i], names[i]), [key(2), key(3), key(1)]) for i in (0, 1, 0)]
    statements: list[str] = []
    with requests[0][0].file.reading() as connection:
        connection.set_trace_callback(statements.append)
    together = online.read_together(requests)
    assert len(statements) == 1
    assert together == [reader.read(keys) for reader, keys in requests]
    assert [[row and row[1] for row in rows] for rows in together[:2]] == [[(20,), None, (10,)], [None, None, (7, 5)]]


def test_readers_of_a_file_see_one_commit_together(tmp_path, monkeypatch):
    override(monkeypatch, online_store, FEW_KEYS=0)  # many keys take several statements
    store, stats = feature_store(tmp_path, "wide"), view(tmp_path)
    store.apply([DRIVER, stats])
    online = store._get_provider().online_store
    another = type(online)()
    online.write_table(store.config, stats, table(trips=[1]))
    reader, key = online.reader(store.config, stats, ["trips"]), online.entity_key(stats)(1)

    class Overtaken:
        """A reader that reads after somebody else has written."""

        def read_by(self, connection: sqlite3.Connection, keys: list[bytes]) -> list[Any]:
            with ThreadPoolExecutor(1) as other:
                later = table(trips=[2], event_timestamp=[NOON + SECOND])
                other.submit(another.write_table, store.config, stats, later).result()
            return reader.read_by(connection, keys)

    first, second = online.read_together([(reader, [key]), (Overtaken(), [key])])
    assert [row[1] for row in (*first, *second)] == [(1,), (1,)]
    assert reader.read([key])[0][1] == (2,)


def test_a_reader_ignores_the_ttl(store, online):
    stats = view(Path(), ttl=SECOND)
    online.write_table(store.config, stats, table())
    assert online.reader(store.config, stats, ["trips"]).read([online.entity_key(stats)(1)])[0][1] == (10,)


def test_each_view_has_its_own_last_run(store, online):
    stats, other = view(Path()), view(Path(), name="other")
    assert online.last_run(store.config, stats) is None
    online.set_last_run(store.config, stats, NOON)
    online.set_last_run(store.config, stats, NOON + SECOND)
    assert [online.last_run(store.config, v) for v in (stats, other)] == [NOON + SECOND, None]


@pytest.mark.parametrize(
    ("environment", "path", "expected"),
    [
        (None, "online.db", "/project/data/online.db"),
        ("elsewhere", "online.db", "/project/elsewhere/online.db"),
        ("/root", "online.db", "/root/online.db"),
        ("/root", "/absolute/online.db", "/absolute/online.db"),
    ],
)  # fmt: skip
def test_a_relative_path_counts_from_the_data_root(environment, path, expected, monkeypatch):
    monkeypatch.delenv("RISK_DATA", raising=False)
    if environment:
        monkeypatch.setenv("RISK_DATA", environment)
    assert below_data(path, Path("/project/feature_repo")) == Path(expected)


@pytest.mark.parametrize("kind", ["wide"], indirect=True)
def test_synchronous_is_full_unless_set(store, online):
    for setting, level in (("full", 2), ("normal", 1)):
        store.config.online_store.synchronous = setting
        with online._file(store.config).reading() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (level,)
    with closing(sqlite3.connect(store.config.online_store.path)) as other:
        assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
