"""The offline store takes the place of Feast's: every kind of view, key and entity frame that Feast users have."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest
from feast import Entity, FeatureService, Field, RequestSource, ValueType
from feast.errors import FeastEntityDFMissingColumnsError
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64
from offline_world import (
    DRIVER,
    ENTITIES,
    EXPECTED,
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

pytestmark = pytest.mark.slow


def test_a_key_may_have_several_columns_and_be_text(tmp_path: Path):
    merchant = Entity(name="merchant", join_keys=["merchant_id"], value_type=ValueType.STRING)
    rows = [row(1, 10, 0, merchant_id="a"), row(1, 11, 0, merchant_id="b"), row(2, 12, 0, merchant_id="a")]
    store = repository(tmp_path)
    file_source = source(write(tmp_path / "stats.parquet", rows))
    store.apply([DRIVER, merchant, view(file_source, entities=[DRIVER, merchant])])
    entities = entity_frame((1, at(1)), (2, at(1)), (2, at(1)), (1, at(1))).assign(merchant_id=list("babx"))
    for dtype in ("object", "category", "string", "string[pyarrow]"):
        frame = entities.astype({"merchant_id": dtype})
        result = store.get_historical_features(frame, ["stats:trips"]).to_arrow()
        assert result["trips"].to_pylist() == [11, 12, None, None]


def test_a_view_without_entities_is_joined_on_time_alone(tmp_path: Path):
    rows = [{"trips": 10, "event_timestamp": at(0)}, {"trips": 11, "event_timestamp": at(9)}]
    file_source = source(write(tmp_path / "stats.parquet", rows))
    result = joined(tmp_path, file_source, entity_frame((1, at(10)), (2, at(-1)), (3, at(8))), entities=[])
    assert result["trips"].to_pylist() == [11, None, 10]


@pytest.mark.parametrize("dtype", ["int8", "uint64", "Int32", "float64", "int64[pyarrow]", "object"])
def test_integer_keys_of_every_width_match(tmp_path: Path, dtype: str):
    write(tmp_path / "stats.parquet", ROWS)
    table = joined(tmp_path, source(tmp_path / "stats.parquet"), ENTITIES.astype({"driver_id": dtype}))
    assert table["trips"].to_pylist() == EXPECTED


def test_large_keys_are_not_rounded(tmp_path: Path):
    write(tmp_path / "stats.parquet", [row(2**53 + 1, 10, 0), row(2**53, 20, 0)])
    entities = ENTITIES.assign(driver_id=pd.Series([2**53 + 1, None, 2**53], dtype="object"))
    assert joined(tmp_path, source(tmp_path / "stats.parquet"), entities)["trips"].to_pylist() == [10, None, 20]


@pytest.mark.parametrize(
    ("driver", "message"),
    [
        ("1", "has BIGINT. Convert"), (1.5, "fractions.*Correct the rows"), (b"1", "has BIGINT. Convert"),
        (at(0), "has BIGINT. Convert"), ([1], "has BIGINT. Convert"), (2**70, "too large"),
    ],
)  # fmt: skip
def test_keys_of_another_type_are_refused_with_the_remedy(tmp_path: Path, driver: object, message: str):
    write(tmp_path / "stats.parquet", ROWS)
    with pytest.raises(ValueError, match=f"'driver_id'.*{message}"):
        joined(tmp_path, source(tmp_path / "stats.parquet"), entity_frame((driver, at(0))))


def test_bad_input_is_refused_with_the_remedy(tmp_path: Path):
    write(tmp_path / "stats.parquet", ROWS)
    file_source = source(tmp_path / "stats.parquet")
    with pytest.raises(FeastEntityDFMissingColumnsError, match="driver_id"):
        joined(tmp_path, file_source, ENTITIES.drop(columns="driver_id"))
    with pytest.raises(ValueError, match=r"columns twice: trips. Rename"):
        joined(tmp_path, file_source, ENTITIES.assign(trips=1))
    store = repository(tmp_path)
    store.apply([DRIVER, view(file_source, schema=[RATING])])
    with pytest.raises(ValueError, match=r"no column 'rating', only driver_id, trips, event_timestamp. Write"):
        store.get_historical_features(ENTITIES, ["stats:rating"]).to_arrow()
    (tmp_path / "stats.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"No Parquet file is at .*stats.parquet. Write"):
        store.get_historical_features(ENTITIES, ["stats:rating"]).to_arrow()


def test_views_may_share_a_feature_name_and_a_view_may_appear_twice(tmp_path: Path):
    file_source = source(write(tmp_path / "stats.parquet", ROWS))
    stats, more = view(file_source), view(file_source, name="more", ttl=timedelta(minutes=1))
    store = repository(tmp_path)
    first, other = stats.with_name("first"), stats.with_name("other").with_join_key_map({"driver_id": "other_id"})
    store.apply([DRIVER, stats, more, FeatureService(name="service", features=[first, other, more[["trips"]]])])
    entities = ENTITIES.assign(other_id=[1, 2, 3])
    service = store.get_feature_service("service")
    result = store.get_historical_features(entities, service, full_feature_names=True).to_arrow()
    assert result.select(["first__trips", "more__trips", "other__trips"]).to_pydict() == {
        "first__trips": EXPECTED,
        "more__trips": [20, None, 11],
        "other__trips": [10, None, None],
    }


def test_on_demand_views_are_computed_from_joined_features(tmp_path: Path):
    stats = view(source(write(tmp_path / "stats.parquet", ROWS)))
    bonus = RequestSource(name="request", schema=[Field(name="bonus", dtype=Int64)])

    @on_demand_feature_view(sources=[stats, bonus], schema=[Field(name="sum", dtype=Int64)], mode="python")
    def total(inputs: dict[str, list[int]]) -> dict[str, list[int]]:
        return {"sum": [a + b for a, b in zip(inputs["trips"], inputs["bonus"], strict=True)]}

    store = repository(tmp_path)
    store.apply([DRIVER, stats, total])
    job = store.get_historical_features(ENTITIES.assign(bonus=[1, 2, 3]), ["stats:trips", "total:sum"])
    assert job.to_df()[["driver_id", "bonus", "trips", "sum"]].to_numpy().tolist() == [
        [2, 1, 20, 21], [1, 2, 10, 12], [1, 3, 11, 14],
    ]  # fmt: skip


def test_the_entity_frame_may_be_sql(tmp_path: Path):
    write(tmp_path / "stats.parquet", ROWS)
    write(tmp_path / "entities.parquet", ENTITIES.to_dict("records"))
    sql = f"SELECT driver_id, event_timestamp, 7 AS label FROM '{tmp_path}/entities.parquet' ORDER BY driver_id DESC"
    table = joined(tmp_path, source(tmp_path / "stats.parquet"), sql)
    assert table.select(["driver_id", "label", "trips"]).to_pylist()[0] == {"driver_id": 2, "label": 7, "trips": 20}


def test_without_an_entity_frame_every_seen_entity_is_included(tmp_path: Path):
    file_source = source(write(tmp_path / "stats.parquet", [*ROWS, row(3, 30, -60), row(4, 40, 60)]))
    store = repository(tmp_path)
    store.apply([DRIVER, view(file_source), view(file_source, name="brief", schema=[TRIPS], ttl=timedelta(minutes=3))])
    refs = ["stats:trips", "brief:trips"]
    job = store.get_historical_features(features=refs, start_date=at(-1), end_date=at(9), full_feature_names=True)
    assert job.to_arrow().to_pydict() == {
        "driver_id": [1, 2],
        "event_timestamp": [at(9), at(9)],
        "stats__trips": [10, 20],
        "brief__trips": [None, None],
    }


def test_views_about_different_entities_need_an_entity_frame(tmp_path: Path):
    file_source = source(write(tmp_path / "stats.parquet", [row | {"city": "Rome"} for row in ROWS]))
    city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
    store = repository(tmp_path)
    store.apply([DRIVER, city, view(file_source), view(file_source, name="places", entities=[city])])
    with pytest.raises(ValueError, match=r"different entities \(city; driver_id\). Ask for each"):
        store.get_historical_features(
            features=["stats:trips", "places:trips"], start_date=at(0), full_feature_names=True
        )


def test_threads_join_at_once(tmp_path: Path):
    store = repository(tmp_path)
    store.apply([DRIVER, view(source(write(tmp_path / "stats.parquet", ROWS)))])

    def join(_: int) -> list[int]:
        return store.get_historical_features(ENTITIES, ["stats:trips"]).to_arrow()["trips"].to_pylist()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(join, range(40))) == [EXPECTED] * 40
