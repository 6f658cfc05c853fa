"""Our online store does what Feast's does: keys, names, views that change. And it keeps the TTL."""

from datetime import timedelta

import pandas as pd
import pytest
from feast import Entity, FeatureService, Field, Project, RequestSource
from feast.diff.property_diff import TransitionType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_contents import RepoContents
from feast.types import Int64, String
from feast.value_type import ValueType
from small import BOTH, DRIVER, NOON, OURS, SECOND, STOCK_FAILS, feature_store, frame, read, trips, view

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", BOTH)
def test_a_null_is_present_and_a_missing_row_is_not_found(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path)])
    store.write_to_online_store("stats", frame((1, NOON, NOON, None), (3, NOON, NOON, 5)))
    response = store.get_online_features(["stats:trips"], [{"driver_id": 1}, {"driver_id": 2}])
    assert response.to_dict()["trips"] == [None, None]
    assert list(response.proto.results[1].statuses) == [FieldStatus.PRESENT, FieldStatus.NOT_FOUND]


@pytest.mark.parametrize("kind", STOCK_FAILS)
def test_a_ttl_is_exact_to_the_microsecond(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path, ttl=timedelta(days=2))])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 10)))
    online = store._get_provider().online_store
    values = []
    for age in (timedelta(0), timedelta(days=2), timedelta(days=2, microseconds=1)):
        online.clock = lambda age=age: NOON + age
        values += trips(store, 1)
    assert values == [10, 10, None]


@pytest.mark.parametrize("kind", STOCK_FAILS)
def test_a_row_past_its_ttl_is_reported_as_a_missing_row(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path, ttl=timedelta(days=2))])
    store.write_to_online_store("stats", frame((1, NOON - timedelta(days=900), NOON, 10)))
    response = store.get_online_features(["stats:trips"], [{"driver_id": 1}])
    assert list(response.proto.results[1].statuses) == [FieldStatus.NOT_FOUND]


@pytest.mark.parametrize("kind", BOTH)
def test_keys_may_be_composite_and_of_any_type_of_feast(kind, tmp_path):
    entities = [
        Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING),
        DRIVER,
        Entity(name="area", join_keys=["area_id"], value_type=ValueType.INT32),
    ]
    store = feature_store(tmp_path, kind)
    store.apply([*entities, view(tmp_path, entities=entities)])
    rows = frame((1, NOON, NOON, 10), (1, NOON, NOON, 20)).assign(shop_id=["x", "y"], area_id=[7, 7])
    store.write_to_online_store("stats", rows.astype({"area_id": "int32"}))
    entity_rows = [{"driver_id": 1, "shop_id": shop, "area_id": 7} for shop in ("y", "z", "x")]
    assert store.get_online_features(["stats:trips"], entity_rows).to_dict()["trips"] == [20, None, 10]


@pytest.mark.parametrize("kind", STOCK_FAILS)
def test_a_view_without_entities_has_one_row_for_every_request(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([view(tmp_path, entities=[])])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 10)).drop(columns="driver_id"))
    assert store.get_online_features(["stats:trips"], [{"any_key": 1}, {"any_key": 2}]).to_dict()["trips"] == [10, 10]


@pytest.mark.parametrize("kind", BOTH)
def test_a_field_mapping_renames_columns_of_the_source(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path, field_mapping={"t": "trips", "d": "driver_id"})])
    frame((1, NOON, NOON, 10)).rename(columns={"trips": "t", "driver_id": "d"}).to_parquet(tmp_path / "rows.parquet")
    store.materialize(NOON - SECOND, NOON + SECOND)
    assert trips(store, 1) == [10]


@pytest.mark.parametrize("kind", BOTH)
def test_full_feature_names_distinguish_features_of_two_views(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path, name="a"), view(tmp_path, name="b")])
    store.write_to_online_store("a", frame((1, NOON, NOON, 10)))
    store.write_to_online_store("b", frame((1, NOON, NOON, 20)))
    values = read(store, ["a:trips", "b:trips"], 1, full_feature_names=True)
    assert (values["a__trips"], values["b__trips"]) == ([10], [20])


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("name", ['od"d', "sqlite_stats", "Größe", "select", "a-b c.d", "x;y'z"])
def test_a_name_may_be_any_name_of_feast(name, kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path, {"trips": Int64, "Trips": Int64, name: Int64}, name=name)])
    store.write_to_online_store(name, frame((1, NOON, NOON, 10)).assign(Trips=20, **{name: 30}))
    values = read(store, [f"{name}:trips", f"{name}:Trips", f"{name}:{name}"], 1)
    assert [values["trips"], values["Trips"], values[name]] == [[10], [20], [30]]


@pytest.mark.parametrize("kind", BOTH)
def test_a_read_returns_the_requested_features_only(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path, ["trips", "stars"])])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 10)).assign(stars=5))
    assert read(store, ["stats:stars"], 1) == {"driver_id": [1], "stars": [5]}


@pytest.mark.parametrize("kind", BOTH)
def test_old_rows_can_be_read_after_features_are_added_and_removed(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path, ["trips", "stars"])])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 10)).assign(stars=5))
    store.apply([DRIVER, view(tmp_path, ["trips", "km"])])
    assert read(store, ["stats:trips", "stats:km"], 1) == {"driver_id": [1], "trips": [10], "km": [None]}
    store.write_to_online_store("stats", frame((1, NOON + SECOND, NOON, 11)).assign(km=7))
    assert read(store, ["stats:trips", "stats:km"], 1) == {"driver_id": [1], "trips": [11], "km": [7]}


@pytest.mark.parametrize("kind", OURS)
def test_a_feature_with_a_new_type_is_null_until_it_is_written(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path)])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 10)))
    store.apply([DRIVER, view(tmp_path, {"trips": String})])
    assert trips(store, 1) == [None]
    store.write_to_online_store("stats", frame((1, NOON + SECOND, NOON, 10)).assign(trips="ten"))
    assert trips(store, 1) == ["ten"]


@pytest.mark.parametrize("kind", OURS)
def test_a_deleted_view_leaves_no_rows(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path)])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 10)))
    online = store._get_provider().online_store
    online.set_last_run(store.config, view(tmp_path), NOON)
    store.apply([DRIVER], objects_to_delete=[view(tmp_path)], partial=False)
    store.apply([DRIVER, view(tmp_path)])
    assert trips(store, 1) == [None]
    assert online.last_run(store.config, view(tmp_path)) is None


@pytest.mark.parametrize("kind", STOCK_FAILS)
def test_a_project_may_have_a_name_that_sqlite_reserves(kind, tmp_path):
    store = feature_store(tmp_path, kind, project="sqlite_p")
    store.apply([DRIVER, view(tmp_path)])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 10)))
    assert trips(store, 1) == [10]


@pytest.mark.parametrize("kind", STOCK_FAILS)
def test_two_projects_in_one_file_do_not_mix(kind, tmp_path):
    """Feast's store joins project and view by an underscore, and deletes the file with any project."""
    first, second = feature_store(tmp_path, kind, "a_b"), feature_store(tmp_path, kind, "a")
    first.apply([DRIVER, view(tmp_path, name="c")])
    second.apply([DRIVER, view(tmp_path, name="b_c")])
    first.write_to_online_store("c", frame((1, NOON, NOON, 10)))
    second.write_to_online_store("b_c", frame((1, NOON, NOON, 20)))
    second.teardown()
    assert read(first, ["c:trips"], 1)["trips"] == [10]


@pytest.mark.parametrize("kind", STOCK_FAILS)
def test_a_plan_lists_exactly_the_tables_that_apply_would_make(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path)])
    contents = RepoContents(
        **{name: [] for name in RepoContents._fields}
        | {"projects": [Project(name="small")], "entities": [DRIVER]}
        | {"feature_views": [view(tmp_path), view(tmp_path, name="more")]}
    )
    _, infra, _ = store.plan(contents)
    created = [diff.name for diff in infra.infra_object_diffs if diff.transition_type == TransitionType.CREATE]
    assert created == ["small_more"]


@pytest.mark.filterwarnings("ignore:On demand feature view is an experimental feature")
@pytest.mark.parametrize("kind", BOTH)
def test_an_on_demand_view_may_be_computed_on_write(kind, tmp_path):
    stats = view(tmp_path)

    @on_demand_feature_view(
        sources=[stats, RequestSource(name="request", schema=[Field(name="bonus", dtype=Int64)])],
        entities=[DRIVER], schema=[Field(name="double", dtype=Int64)], mode="python", write_to_online_store=True,
    )  # fmt: skip
    def doubled(inputs: dict[str, list[int]]) -> dict[str, list[int]]:
        return {"double": [2 * trips for trips in inputs["trips"]]}

    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, stats, doubled, FeatureService(name="both", features=[stats, doubled])])
    store.write_to_online_store("doubled", pd.DataFrame({"driver_id": [1], "trips": [10], "bonus": [1]}))
    assert read(store, ["doubled:double"], 1)["double"] == [20]


@pytest.mark.parametrize("kind", BOTH)
def test_versions_of_a_view_keep_their_own_rows(kind, tmp_path):
    store = feature_store(tmp_path, kind, enable_online_feature_view_versioning=True)
    store.apply([DRIVER, view(tmp_path)])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 10)))
    store.apply([DRIVER, view(tmp_path, ["trips", "stars"])])
    store.write_to_online_store("stats", frame((1, NOON, NOON, 20)).assign(stars=5))
    assert read(store, ["stats:trips"], 1)["trips"] == [20]
    assert list(read(store, ["stats@v0:trips"], 1).values())[-1] == [10]


@pytest.mark.parametrize("kind", STOCK_FAILS)
def test_a_precomputed_vector_of_a_service_can_be_read(kind, tmp_path):
    """Feast writes it to a view of its own, which is never applied."""
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path)])
    online = store._get_provider().online_store
    key = EntityKey(join_keys=["driver_id"], entity_values=[Value(int64_val=1)])
    online.write_precomputed_vector(store.config, "service", store.project, key, b"vector")
    assert online.read_precomputed_vectors(store.config, "service", store.project, [key]) == [b"vector"]


@pytest.mark.parametrize("kind", OURS)
def test_a_row_dated_in_the_future_is_served_from_its_timestamp_on(kind, tmp_path):
    store = feature_store(tmp_path, kind)
    store.apply([DRIVER, view(tmp_path)])
    store.write_to_online_store("stats", frame((7, NOON + SECOND, NOON, 70)))
    online = store._get_provider().online_store
    online.clock = lambda: NOON
    assert trips(store, 7) == [None]
    online.clock = lambda: NOON + SECOND
    assert trips(store, 7) == [70]


def test_a_view_with_too_many_features_is_refused_with_the_remedy(tmp_path):
    store = feature_store(tmp_path, "wide")
    with pytest.raises(ValueError, match="2000 features, and SQLite holds 1997"):
        store.apply([DRIVER, view(tmp_path, [f"f{i}" for i in range(2000)])])
