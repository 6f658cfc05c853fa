"""The offline store as a drop-in: every form of view, key and entity frame that Feast users have."""

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
    ANSWER,
    ASKED,
    DRIVER,
    RATING,
    ROWS,
    TRIPS,
    answered,
    asked,
    at,
    repository,
    row,
    source,
    view,
    write,
)


def test_a_key_may_be_of_several_columns_and_of_text(tmp_path: Path):
    merchant = Entity(name="merchant", join_keys=["merchant_id"], value_type=ValueType.STRING)
    rows = [row(1, 10, 0, merchant_id="a"), row(1, 11, 0, merchant_id="b"), row(2, 12, 0, merchant_id="a")]
    store = repository(tmp_path)
    of = source(write(tmp_path / "stats.parquet", rows))
    store.apply([DRIVER, merchant, view(of, entities=[DRIVER, merchant])])
    entities = asked((1, at(1)), (2, at(1)), (2, at(1)), (1, at(1))).assign(merchant_id=list("babx"))
    for dtype in ("object", "category", "string", "string[pyarrow]"):
        frame = entities.astype({"merchant_id": dtype})
        answer = store.get_historical_features(frame, ["stats:trips"]).to_arrow()
        assert answer["trips"].to_pylist() == [11, 12, None, None]


def test_a_view_without_entities_is_joined_on_time_alone(tmp_path: Path):
    rows = [{"trips": 10, "event_timestamp": at(0)}, {"trips": 11, "event_timestamp": at(9)}]
    of = source(write(tmp_path / "stats.parquet", rows))
    answer = answered(tmp_path, of, asked((1, at(10)), (2, at(-1)), (3, at(8))), entities=[])
    assert answer["trips"].to_pylist() == [11, None, 10]


@pytest.mark.parametrize("dtype", ["int8", "uint64", "Int32", "float64", "int64[pyarrow]", "object"])
def test_keys_of_other_widths_match(tmp_path: Path, dtype: str):
    write(tmp_path / "stats.parquet", ROWS)
    table = answered(tmp_path, source(tmp_path / "stats.parquet"), ASKED.astype({"driver_id": dtype}))
    assert table["trips"].to_pylist() == ANSWER


def test_large_keys_are_not_rounded_where_pandas_made_no_floats_of_them(tmp_path: Path):
    write(tmp_path / "stats.parquet", [row(2**53 + 1, 10, 0), row(2**53, 20, 0)])
    entities = ASKED.assign(driver_id=pd.Series([2**53 + 1, None, 2**53], dtype="object"))
    assert answered(tmp_path, source(tmp_path / "stats.parquet"), entities)["trips"].to_pylist() == [10, None, 20]


@pytest.mark.parametrize(("driver", "message"), [("1", "has BIGINT. Convert"), (1.5, "fractions.*Correct the rows")])
def test_keys_of_another_kind_are_refused_with_the_remedy(tmp_path: Path, driver: object, message: str):
    write(tmp_path / "stats.parquet", ROWS)
    with pytest.raises(ValueError, match=f"'driver_id'.*{message}"):
        answered(tmp_path, source(tmp_path / "stats.parquet"), asked((driver, at(0))))


def test_bad_input_is_refused_with_the_remedy(tmp_path: Path):
    write(tmp_path / "stats.parquet", ROWS)
    of = source(tmp_path / "stats.parquet")
    with pytest.raises(FeastEntityDFMissingColumnsError, match="driver_id"):
        answered(tmp_path, of, ASKED.drop(columns="driver_id"))
    with pytest.raises(ValueError, match=r"columns twice: trips. Rename"):
        answered(tmp_path, of, ASKED.assign(trips=1))
    store = repository(tmp_path)
    store.apply([DRIVER, view(of, schema=[RATING])])
    with pytest.raises(ValueError, match=r"no column 'rating', only driver_id, trips, event_timestamp. Write"):
        store.get_historical_features(ASKED, ["stats:rating"]).to_arrow()
    (tmp_path / "stats.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"No Parquet file is at .*stats.parquet. Write"):
        store.get_historical_features(ASKED, ["stats:rating"]).to_arrow()


def test_two_views_may_have_one_feature_name_and_a_view_may_be_asked_twice(tmp_path: Path):
    of = source(write(tmp_path / "stats.parquet", ROWS))
    stats, more = view(of), view(of, name="more", ttl=timedelta(minutes=1))
    store = repository(tmp_path)
    one, other = stats.with_name("one"), stats.with_name("other").with_join_key_map({"driver_id": "other_id"})
    store.apply([DRIVER, stats, more, FeatureService(name="service", features=[one, other, more[["trips"]]])])
    entities = ASKED.assign(other_id=[1, 2, 3])
    service = store.get_feature_service("service")
    answer = store.get_historical_features(entities, service, full_feature_names=True).to_arrow()
    assert answer.select(["one__trips", "more__trips", "other__trips"]).to_pydict() == {
        "one__trips": ANSWER,
        "more__trips": [20, None, 11],
        "other__trips": [10, None, None],
    }


def test_on_demand_views_stand_on_top(tmp_path: Path):
    stats = view(source(write(tmp_path / "stats.parquet", ROWS)))
    bonus = RequestSource(name="request", schema=[Field(name="bonus", dtype=Int64)])

    @on_demand_feature_view(sources=[stats, bonus], schema=[Field(name="sum", dtype=Int64)], mode="python")
    def total(inputs: dict) -> dict:
        return {"sum": [a + b for a, b in zip(inputs["trips"], inputs["bonus"], strict=True)]}

    store = repository(tmp_path)
    store.apply([DRIVER, stats, total])
    job = store.get_historical_features(ASKED.assign(bonus=[1, 2, 3]), ["stats:trips", "total:sum"])
    assert job.to_df()[["driver_id", "bonus", "trips", "sum"]].to_numpy().tolist() == [
        [2, 1, 20, 21], [1, 2, 10, 12], [1, 3, 11, 14],
    ]  # fmt: skip


def test_the_entity_frame_may_be_sql(tmp_path: Path):
    write(tmp_path / "stats.parquet", ROWS)
    write(tmp_path / "asked.parquet", ASKED.to_dict("records"))
    sql = f"SELECT driver_id, event_timestamp, 7 AS label FROM '{tmp_path}/asked.parquet' ORDER BY driver_id DESC"
    table = answered(tmp_path, source(tmp_path / "stats.parquet"), sql)
    assert table.select(["driver_id", "label", "trips"]).to_pylist()[0] == {"driver_id": 2, "label": 7, "trips": 20}


def test_without_an_entity_frame_whoever_was_seen_is_asked_about(tmp_path: Path):
    of = source(write(tmp_path / "stats.parquet", [*ROWS, row(3, 30, -60), row(4, 40, 60)]))
    store = repository(tmp_path)
    store.apply([DRIVER, view(of), view(of, name="brief", schema=[TRIPS], ttl=timedelta(minutes=3))])
    refs = ["stats:trips", "brief:trips"]
    job = store.get_historical_features(features=refs, start_date=at(-1), end_date=at(9), full_feature_names=True)
    assert job.to_arrow().to_pydict() == {
        "driver_id": [1, 2],
        "event_timestamp": [at(9), at(9)],
        "stats__trips": [10, 20],
        "brief__trips": [None, None],
    }


def test_views_about_different_entities_need_an_entity_frame(tmp_path: Path):
    of = source(write(tmp_path / "stats.parquet", [one | {"city": "Rome"} for one in ROWS]))
    city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
    store = repository(tmp_path)
    store.apply([DRIVER, city, view(of), view(of, name="places", entities=[city])])
    with pytest.raises(ValueError, match=r"different entities \(city; driver_id\). Ask for each"):
        store.get_historical_features(
            features=["stats:trips", "places:trips"], start_date=at(0), full_feature_names=True
        )


def test_threads_ask_at_once(tmp_path: Path):
    store = repository(tmp_path)
    store.apply([DRIVER, view(source(write(tmp_path / "stats.parquet", ROWS)))])

    def ask(_: int) -> list:
        return store.get_historical_features(ASKED, ["stats:trips"]).to_arrow()["trips"].to_pylist()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(40))) == [ANSWER] * 40
