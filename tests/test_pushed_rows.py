"""A row that cannot be served is refused at every door, by view and column. A run counts those that it leaves out."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from feast import Entity, FeatureStore, PushSource, ValueType
from feast.data_source import PushMode
from offline_world import CREATED_ROWS, at, our_stores, repository, row, source, view, write
from small import DRIVER, NOON, OURS, table, trips, write_batch

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)


@pytest.fixture(params=OURS)
def store(tmp_path: Path, request: pytest.FixtureRequest) -> FeatureStore:
    return with_pushes(tmp_path, request.param)


def with_pushes(folder: Path, kind: str, **settings: Any) -> FeatureStore:
    file = source(write(folder / "a.parquet", CREATED_ROWS), created_timestamp_column="created")
    store = our_stores(folder, kind)
    store.apply([*settings.get("entities", [DRIVER]), view(PushSource(name="pushes", batch_source=file), **settings)])
    return store


def pushed(**columns: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"driver_id": [1, 2], "trips": [5, 6], "event_timestamp": [NOW] * 2, "created": [NOW] * 2})
    return frame.assign(**columns)


def push(to: PushMode) -> Callable[[FeatureStore, pd.DataFrame], Any]:
    return lambda store, frame: store.push("pushes", frame, to=to)


ONLINE_DOORS = {
    "push": push(PushMode.ONLINE),
    "push to both": push(PushMode.ONLINE_AND_OFFLINE),
    "write": lambda store, frame: store.write_to_online_store("stats", frame),
    "push later": lambda store, frame: asyncio.run(store.push_async("pushes", frame)),
    "write later": lambda store, frame: asyncio.run(store.write_to_online_store_async("stats", frame)),
}
DOORS = ONLINE_DOORS | {
    "push offline": push(PushMode.OFFLINE),
    "write offline": lambda store, frame: store.write_to_offline_store("stats", frame),
}


def test_a_pushed_row_without_a_key_is_refused_at_every_door(store: FeatureStore, tmp_path: Path):
    before = (tmp_path / "a.parquet").read_bytes()
    for name, door in DOORS.items():
        for driver_id in ([1, None], [1.0, float("nan")], pd.array([1, None], "Int64")):
            with pytest.raises(ValueError, match=r"1 of 2 rows of the view 'stats' have no driver_id\. Drop"):
                door(store, pushed(driver_id=driver_id))
            assert (tmp_path / "a.parquet").read_bytes() == before, name
    assert trips(store, 1, 2) == [None, None]


def test_a_row_without_a_part_of_its_key_is_refused_by_that_part(tmp_path: Path):
    shop = Entity(name="shop", join_keys=["shop_id"], value_type=ValueType.STRING)
    file = write(tmp_path / "b.parquet", [row(1, 1, 0, shop_id="a")])
    store = our_stores(tmp_path)
    stats = view(PushSource(name="pushes", batch_source=source(file)), entities=[DRIVER, shop])
    store.apply([DRIVER, shop, stats])
    with pytest.raises(ValueError, match="2 of 2 rows of the view 'stats' have no driver_id or no shop_id"):
        store.push("pushes", pushed(driver_id=[1, None], shop_id=[None, "a"]).drop(columns="created"))


@pytest.mark.parametrize("door", ONLINE_DOORS)
def test_a_row_of_the_future_is_refused_and_hides_nobody(door: str, store: FeatureStore):
    ONLINE_DOORS["write"](store, pushed())
    with pytest.raises(
        ValueError, match=r"1 of 2 rows of the view 'stats' are dated later than now: event_timestamp 2"
    ):
        ONLINE_DOORS[door](store, pushed(event_timestamp=[NOW, NOW + timedelta(days=999)], trips=[7, 8]))
    assert trips(store, 1, 2) == [5, 6]


@pytest.mark.parametrize("writer", ["push", "materialize"])
def test_a_stored_row_of_the_future_gives_way_to_one_of_now(writer: str, store: FeatureStore, tmp_path: Path):
    online, stats = store._get_provider().online_store, store.get_feature_view("stats")
    write_batch(store, (1, NOW + timedelta(days=999), NOW, 8), (2, NOW, NOW, 9))
    assert trips(store, 1, 2) == [None, 9]
    online.write_table(store.config, stats, table(event_timestamp=[NOW + timedelta(days=999)]))
    if writer == "push":
        ONLINE_DOORS["push"](store, pushed())
    else:
        write(tmp_path / "a.parquet", [row(1, 5, 0, created=at(0))])
        store.materialize(at(-60), NOW)
    assert trips(store, 1) == [5]


def test_a_run_takes_no_row_of_the_future_before_its_time(store: FeatureStore, tmp_path: Path):
    rows = [row(1, 5, 0, created=at(0)), row(1, 8, 0, created=at(0)) | {"event_timestamp": NOW + timedelta(days=2)}]
    write(tmp_path / "a.parquet", rows)
    store.materialize(at(-60), NOW + timedelta(days=9))
    assert trips(store, 1) == [5]
    store._get_provider().batch_engine.clock = store._get_provider().online_store.clock = lambda: (
        NOW + timedelta(days=3)
    )
    store.materialize_incremental(NOW + timedelta(days=10))
    assert trips(store, 1) == [8]


@pytest.mark.parametrize("engine", ["local", "exact_stores.engine.ArrowComputeEngine"])
def test_a_run_says_how_many_rows_have_no_key(engine: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    write(tmp_path / "a.parquet", [row(1, 1, 0), row(None, 3, 0), row(2, 2, 0)])
    store = repository(tmp_path, online="exact_stores.online.WideSqliteOnlineStore", engine=engine)
    store.apply([DRIVER, view(source(tmp_path / "a.parquet"))])
    store.materialize(at(-60), at(60))
    assert trips(store, 1, 2) == [1, 2]
    (line,) = (line for line in capfd.readouterr().err.splitlines() if "left out" in line)
    assert line.startswith("1 ")
    store.materialize_incremental(at(90))
    assert "left out" not in capfd.readouterr().err


def test_what_is_no_timestamp_is_refused_with_view_and_column(store: FeatureStore):
    for columns, message in (
        ({"event_timestamp": ["2026-03-01T12:00:00", "yesterday"]}, "'event_timestamp' of a row of the view 'stats'"),
        ({"event_timestamp": [None, NOW]}, "1 of 2 rows of the view 'stats' have no event_timestamp"),
    ):
        with pytest.raises(ValueError, match=message):
            ONLINE_DOORS["push"](store, pushed(**columns))
    with pytest.raises(ValueError, match="rows of the view 'stats' have no created"):
        ONLINE_DOORS["push"](store, pushed().drop(columns="created"))


def test_timestamps_of_every_form_are_pushed(store: FeatureStore):
    naive = pd.Timestamp(NOON).tz_localize(None)
    for minutes, form in enumerate(
        (str, pd.Timestamp, lambda t: t.tz_localize("UTC").tz_convert("Asia/Tokyo"), lambda t: t.to_pydatetime())
    ):
        dated = form(naive + pd.Timedelta(minutes=minutes))
        ONLINE_DOORS["push"](store, pushed(event_timestamp=[dated] * 2, trips=[minutes, None]))
        assert trips(store, 1) == [minutes]


def test_a_table_in_which_a_row_has_no_key_changes_nothing(store: FeatureStore):
    online, stats = store._get_provider().online_store, store.get_feature_view("stats")
    rows = pa.table({"driver_id": [1, None], "trips": [1, 2], "event_timestamp": [NOON] * 2})
    with pytest.raises(ValueError, match="1 of 2 rows of the view 'stats' have no driver_id"):
        online.write_table(store.config, stats, rows)
    assert trips(store, 1) == [None]


@pytest.mark.parametrize("door", ONLINE_DOORS)
def test_a_push_of_nulls_alone_takes_the_old_values_away(door: str, store: FeatureStore):
    ONLINE_DOORS["write"](store, pushed())
    ONLINE_DOORS[door](store, pushed(trips=[None, None], event_timestamp=[NOW + timedelta(seconds=1)] * 2))
    assert trips(store, 1, 2) == [None, None]


@pytest.mark.parametrize("column", ["driver_id", "trips"])
@pytest.mark.parametrize("door", ONLINE_DOORS)
def test_a_push_without_a_column_of_the_view_names_it_and_changes_nothing(door: str, column: str, store: FeatureStore):
    ONLINE_DOORS["write"](store, pushed())
    rows = pushed(trips=[7, 8], event_timestamp=[NOW + timedelta(seconds=1)] * 2).drop(columns=column)
    with pytest.raises(ValueError, match=rf"The columns \['{column}'\] of 'stats' are missing"):
        ONLINE_DOORS[door](store, rows)
    assert trips(store, 1, 2) == [5, 6]
