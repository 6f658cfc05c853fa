"""The offline store as a drop-in: every form of source, view and entity frame that Feast users have."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import fsspec
import ibis
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast import Entity, FeatureService, Field, FileSource, RequestSource, ValueType
from feast.data_format import DeltaFormat
from feast.errors import FeastEntityDFMissingColumnsError
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Int64, String
from offline_world import DRIVER, OURS, RATING, TRIPS, asked, at, repository, source, view, write

from stores.parquet_files import is_local_parquet

HIVE = "year=2026/month=03/day=01"


def row(driver: object, trips: int, minute: float, **more: object) -> dict:
    return {"driver_id": driver, "trips": trips, "event_timestamp": at(minute), **more}


def answered(folder: Path, of: FileSource, frame: pd.DataFrame | str, **settings: object) -> pa.Table:
    """What a view of this source answers."""
    store = repository(folder)
    store.apply([DRIVER, view(of, **settings)])
    return store.get_historical_features(frame, ["stats:trips"]).to_arrow()


ROWS = [row(1, 10, 0), row(1, 11, 10), row(2, 20, 5)]
ASKED = asked((2, at(6)), (1, at(3)), (1, at(10)))
ANSWER = [20, 10, 11]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        (["stats.parquet"], "stats.parquet"),
        (["stats/a.parquet", "stats/b.parquet", "stats/c.parquet"], "stats"),
        (["stats/a.parquet", "stats/b/c.parquet"], "stats"),
        ([f"stats/{HIVE}/a.parquet", "stats/year=2026/month=02/day=09/a.parquet"], "stats"),
        ([f"stats/{HIVE}/a.parquet"], "stats/**/*.parquet"),
        (["stats/a.parquet", "stats/b.parquet"], "stats/*.parquet"),
        (["odd [1] 'x' *?/a.parquet", "odd [1] 'x' *?/b.parquet"], "odd [1] 'x' *?"),
    ],
)
def test_a_file_a_folder_a_partitioned_folder_and_a_glob_are_sources(tmp_path: Path, written: list[str], path: str):
    for i, name in enumerate(written):
        write(tmp_path / name, ROWS[i :: len(written)])
    table = answered(tmp_path, source(tmp_path / path), ASKED)
    assert (table["trips"].to_pylist(), table.column_names[2:]) == (ANSWER, ["trips"])


def test_a_relative_path_counts_from_the_repository(tmp_path: Path):
    write(tmp_path / "stats" / "a.parquet", ROWS)
    assert answered(tmp_path, source("stats"), ASKED)["trips"].to_pylist() == ANSWER


with_partitions = pytest.mark.xfail(strict=True, reason="takes the partitions for features")


@pytest.mark.parametrize("kind", [OURS, pytest.param("duckdb", marks=with_partitions)])
def test_a_view_without_a_schema_takes_the_columns_of_the_files_and_not_the_partitions(tmp_path: Path, kind: str):
    write(tmp_path / "stats" / HIVE / "a.parquet", ROWS)
    store = repository(tmp_path, kind)
    store.apply([DRIVER, view(source(tmp_path / "stats"), schema=None)])
    assert [field.name for field in store.get_feature_view("stats").features] == ["trips"]


def test_a_partition_that_is_declared_is_a_feature(tmp_path: Path):
    write(tmp_path / "stats" / HIVE / "a.parquet", ROWS)
    store = repository(tmp_path)
    store.apply([DRIVER, view(source(tmp_path / "stats"), schema=[TRIPS, Field(name="month", dtype=Int64)])])
    table = store.get_historical_features(ASKED, ["stats:month", "stats:trips"]).to_arrow()
    assert (table["month"].to_pylist(), table["trips"].to_pylist()) == ([3, 3, 3], ANSWER)


def test_a_column_that_an_older_file_lacks_is_null_there(tmp_path: Path):
    write(tmp_path / "stats" / "a.parquet", [row(1, 1, 0)])
    write(tmp_path / "stats" / "b.parquet", [row(2, 2, 0, rating=4.5)])
    store = repository(tmp_path)
    store.apply([DRIVER, view(source(tmp_path / "stats"), schema=[TRIPS, RATING])])
    table = store.get_historical_features(asked((1, at(1)), (2, at(1))), ["stats:rating"]).to_arrow()
    assert table["rating"].to_pylist() == [None, 4.5]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
@pytest.mark.parametrize("asked_as", ["datetime64[s]", "datetime64[ns, UTC]", "datetime64[us, Asia/Tokyo]", "object"])
def test_times_of_every_unit_and_zone_are_the_same_moments(tmp_path: Path, unit: str, zone: str | None, asked_as: str):
    write(tmp_path / "stats.parquet", [one | {"created": at(0)} for one in ROWS], unit, zone)
    of = source(tmp_path / "stats.parquet", created_timestamp_column="created")
    moments = ASKED["event_timestamp"]
    if asked_as == "object":
        moments = moments.map(pd.Timestamp.isoformat)
    else:
        moments = (moments if "," in asked_as else moments.dt.tz_localize(None)).astype(asked_as)
    table = answered(tmp_path, of, ASKED.assign(event_timestamp=moments), ttl=timedelta(minutes=3))
    assert table["trips"].to_pylist() == [20, 10, 11]


too_fine = pytest.mark.xfail(strict=True, reason="fails for a moment finer than a microsecond")


@pytest.mark.parametrize("kind", [OURS, pytest.param("duckdb", marks=too_fine)])
@pytest.mark.parametrize("later", [-1, 0, 1])
def test_a_nanosecond_too_early_is_too_early(tmp_path: Path, later: int, kind: str):
    stamps = pa.array([1_772_366_400_000_000_500], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"driver_id": [1], "trips": [10], "event_timestamp": stamps}), tmp_path / "stats.parquet")
    moment = pd.Timestamp(1_772_366_400_000_000_500 + later, tz="UTC")
    store = repository(tmp_path, kind)
    store.apply([DRIVER, view(source(tmp_path / "stats.parquet"))])
    table = store.get_historical_features(asked((1, moment)), ["stats:trips"]).to_arrow()
    assert table["trips"].to_pylist() == [None if later < 0 else 10]


def test_columns_may_have_any_name_and_be_mapped(tmp_path: Path):
    rows = [{"who": 1, "n": 10, "when": at(0), "known": at(1)}, {"who": 1, "n": 11, "when": at(0), "known": at(9)}]
    of = source(
        write(tmp_path / "stats.parquet", rows),
        timestamp_field="when",
        created_timestamp_column="known",
        field_mapping={"who": "driver_id", "n": "trips"},
    )
    entities = asked((1, at(5)), (1, at(9))).rename(columns={"event_timestamp": "asked_at"})
    assert answered(tmp_path, of, entities)["trips"].to_pylist() == [10, 11]


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


def test_every_type_of_value_comes_back_as_it_was_written(tmp_path: Path):
    values = pa.table(
        {
            "i8": pa.array([1, None], pa.int8()), "u32": pa.array([2**32 - 1, 0], pa.uint32()),
            "i64": pa.array([2**60 + 1, None]), "f32": pa.array([0.1, None], pa.float32()),
            "text": ["é", None], "raw": pa.array([b"\x00", None]), "flag": pa.array([True, None]),
            "day": pa.array([date(2026, 1, 1), None]), "list": pa.array([[1.5, None], []]),
            "record": pa.array([{"a": 1, "b": "x"}, None]),
            "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
            "time": pa.array([at(1), None], pa.timestamp("us", "UTC")),
            "naive": pa.array([at(1), None], pa.timestamp("ms")),
        }
    )  # fmt: skip
    rows = values.append_column("driver_id", pa.array([1, 2])).append_column("event_timestamp", pa.array([at(0)] * 2))
    pq.write_table(rows, tmp_path / "stats.parquet")
    store = repository(tmp_path)
    store.apply(
        [
            DRIVER,
            view(
                source(tmp_path / "stats.parquet"),
                schema=[Field(name=name, dtype=String) for name in values.column_names],
            ),
        ]
    )
    job = store.get_historical_features(
        asked((2, at(1)), (1, at(1))), [f"stats:{name}" for name in values.column_names]
    )
    answer = job.to_arrow().select(values.column_names)
    expected = values.take([1, 0]).set_column(12, "naive", values["naive"].take([1, 0]).cast(pa.timestamp("us")))
    assert answer.to_pylist() == expected.to_pylist()
    assert answer.schema.types == expected.schema.types


def test_threads_ask_at_once(tmp_path: Path):
    store = repository(tmp_path)
    store.apply([DRIVER, view(source(write(tmp_path / "stats.parquet", ROWS)))])

    def ask(_: int) -> list:
        return store.get_historical_features(ASKED, ["stats:trips"]).to_arrow()["trips"].to_pylist()

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(40))) == [ANSWER] * 40


@pytest.mark.parametrize(
    ("path", "form", "is_ours"),
    [("/a.parquet", None, True), ("file:///a.parquet", None, True), ("s3://b/a.parquet", None, False),
     ("gs://b/*.parquet", None, False), ("/a", DeltaFormat(), False)],
)  # fmt: skip
def test_what_is_not_parquet_on_a_local_disk_goes_to_feasts_own_store(path: str, form: object, is_ours: bool):
    assert is_local_parquet(FileSource(path=path, file_format=form, timestamp_field="t")) is is_ours


def test_a_source_on_another_filesystem_is_answered_by_feasts_own_store(tmp_path: Path):
    memory = fsspec.filesystem("memory")
    ibis.get_backend().register_filesystem(memory)
    with memory.open("/far/stats.parquet", "wb") as file:
        file.write(write(tmp_path / "stats.parquet", ROWS).read_bytes())
    far = source("memory://far/stats.parquet")
    store = repository(tmp_path)
    store.apply([DRIVER, view(far, schema=[TRIPS, Field(name="driver_id", dtype=Int64)])])
    job = store.get_historical_features(ASKED, ["stats:trips"])
    assert (type(job).__name__, job.to_df()["trips"].tolist()) == ("IbisRetrievalJob", ANSWER)
