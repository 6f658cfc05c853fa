"""The online store on a real Redis: races, faults, one round trip, and what `feast apply` removes.

The promises that both online stores keep are tested on both in `test_online_*.py`, `test_engine.py` and
`test_pushed_rows.py`."""

import asyncio
import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from engines import redis
from engines.need import need
from feast import FeatureStore
from kill import at_call
from processes import Child, exit_code, forked
from servers import free_port
from small import DRIVER, NOON, ONLINE_TYPES, SECOND, frame, read, repository, table, trips, view, write_batch

from exact_stores import redis_write
from exact_stores.exact_online import NotApplied, OnlineStoreError

pytestmark = [pytest.mark.slow, pytest.mark.engine]
RACES = 60


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return applied(tmp_path)


def applied(root: Path, kind: str = ONLINE_TYPES["redis"], **options: Any) -> FeatureStore:
    """A repository on Redis, with the view of trips. `kind` may be Feast's own store, for comparison."""
    need("redis-server", modules=("redis", "msgpack"))
    store = repository(root, online=kind, **options)
    store.apply([DRIVER, view(root)])
    return store


OURS_AND_FEASTS = [
    ONLINE_TYPES["redis"], pytest.param("redis", marks=pytest.mark.xfail(strict=True, reason="Feast's own Redis store"))
]  # fmt: skip


@pytest.mark.parametrize("kind", OURS_AND_FEASTS)
def test_a_correction_of_equal_event_time_replaces_the_row(kind, tmp_path):
    """As a late event does: the newest event time of its key stays, and the version is a later one."""
    store = applied(tmp_path, kind)
    write_batch(store, (1, NOON, NOON, 10))
    write_batch(store, (1, NOON, NOON + SECOND, 20))
    write_batch(store, (1, NOON, NOON, 10))
    assert trips(store, 1) == [20]


@pytest.mark.parametrize("kind", OURS_AND_FEASTS)
def test_a_row_past_its_ttl_is_absent(kind, tmp_path):
    store = applied(tmp_path, kind)
    store.apply([view(tmp_path, ttl=timedelta(days=2))])
    write_batch(store, (1, NOON - timedelta(days=900), None, 10))
    assert trips(store, 1) == [None]


def test_no_race_of_two_writers_loses_the_newer_row(store):
    """Of each driver, one process writes the newer version and another the older one. Feast's own store reads, then
    writes, and lost 15 to 35 of 60."""

    def writer(version: int) -> None:
        drivers = list(range(RACES))
        random.Random(7).shuffle(drivers)
        for driver in drivers:
            write_batch(store, (driver, NOON, NOON + version * SECOND, version))

    with forked(writer, 1) as older, forked(writer, 2) as newer:
        assert [exit_code(older), exit_code(newer)] == [0, 0]
    assert trips(store, *range(RACES)) == [2] * RACES


def test_a_request_is_one_round_trip_and_one_hmget_an_entity(tmp_path):
    store, views = applied(tmp_path), [view(tmp_path, name=name) for name in "abc"]
    store.apply([DRIVER, *views])
    for name in "abc":
        store.write_to_online_store(name, frame((1, NOON, NOON, 10), (2, NOON, NOON, 20)))
    features = [f"{name}:trips" for name in "abc"]
    read(store, features, 1, 2, full_feature_names=True)  # the layouts of the rows are known from here on

    def counted() -> tuple[int, int]:
        address = redis.database(tmp_path)
        commands = redis.ask(address, "INFO", "commandstats").get("cmdstat_hmget", {"calls": 0})["calls"]
        return commands, redis.ask(address, "INFO", "stats")["total_reads_processed"]

    hmgets, reads = counted()
    _, reads_of_counting = counted()
    values = read(store, features, 1, 2, full_feature_names=True)
    hmgets_after, reads_after = counted()
    assert values["c__trips"] == [10, 20]
    assert hmgets_after - hmgets == 3  # one for each driver, and one that asks whether the views are there
    assert (reads_after - reads_of_counting) - (reads_of_counting - reads) == 1


def test_threads_that_have_ended_leave_no_connection_open(store):
    write_batch(store, (1, NOON, None, 10))
    client = store._get_provider().online_store._server(store.config).client
    before = int(client.info("clients")["connected_clients"])
    for _ in range(8):
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: trips(store, 1), range(16))) == [[10]] * 16
    assert int(client.info("clients")["connected_clients"]) <= before + 5


def test_asynchronous_reads_and_writes_are_the_same(store):
    write_batch(store, (1, NOON, NOON, 10))
    answer = asyncio.run(store.get_online_features_async(["stats:trips"], [{"driver_id": 1}, {"driver_id": 2}]))
    assert answer.to_dict()["trips"] == [10, None]


def test_a_removed_view_leaves_no_row_and_takes_no_row_of_others(tmp_path):
    store, other = applied(tmp_path), view(tmp_path, name="other")
    store.apply([DRIVER, other])
    for name in ("stats", "other"):
        store.write_to_online_store(name, frame((1, NOON, NOON, 10), (2, NOON, NOON, 20)))
    store.apply([DRIVER, other], objects_to_delete=[view(tmp_path)], partial=False)
    assert read(store, ["other:trips"], 1, 2)["trips"] == [10, 20]
    keys = redis.ask(redis.database(tmp_path), "KEYS", "rows/*")
    assert [redis.ask(redis.database(tmp_path), "HKEYS", key) for key in keys] == [[b"other"]] * 2
    store.teardown()
    assert redis.ask(redis.database(tmp_path), "DBSIZE") == 0


def test_a_project_whose_name_is_the_start_of_another_keeps_its_rows(tmp_path):
    first, second = applied(tmp_path, project="a"), applied(tmp_path, project="ab")
    for store in (first, second):
        write_batch(store, (1, NOON, NOON, 10))
    first.teardown()
    assert trips(second, 1) == [10]


def test_lost_rows_are_an_error_and_not_unknown_entities(store, tmp_path):
    write_batch(store, (1, NOON, NOON, 10))
    online, stats = store._get_provider().online_store, store.get_feature_view("stats")
    reader, key = online.reader(store.config, stats, ["trips"]), online.entity_key(stats)(1)
    redis.flush(tmp_path)
    with pytest.raises(NotApplied, match=r"has no view 'stats'\. Run: feast apply, and materialize all views"):
        reader.read([key])
    with pytest.raises(NotApplied, match="has no view"):
        trips(store, 1)
    with pytest.raises(NotApplied, match="has no view"):  # a few new rows would look like all
        write_batch(store, (2, NOON, NOON, 20))
    with pytest.raises(NotApplied, match="has no view"):
        online.set_last_run(store.config, stats, NOON)
    store.apply([DRIVER, view(tmp_path)])
    assert reader.read([key]) == [None]


# A Redis of its own, which ends


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def durable(tmp_path: Path, port: int) -> Iterator[Child]:
    """A Redis that loses nothing when it is killed."""
    with redis.running(tmp_path, port, "--appendonly", "yes", "--appendfsync", "always") as child:
        yield child


def on_port(root: Path, port: int, options: str = "") -> FeatureStore:
    return applied(root, address=f"127.0.0.1:{port}{options}")


def restarted(root: Path, port: int) -> Any:
    return redis.running(root, port, "--appendonly", "yes", "--appendfsync", "always")


def test_a_killed_redis_keeps_acknowledged_rows_and_a_reconnect_heals(durable, tmp_path, port):
    store = on_port(tmp_path, port)
    write_batch(store, (1, NOON, NOON, 10))
    durable.send(signal.SIGKILL)
    durable.ended(None)
    with pytest.raises(OnlineStoreError, match=rf"Redis at 127\.0\.0\.1:{port}: .*refused.* Start it"):
        trips(store, 1)
    with restarted(tmp_path, port):
        assert trips(store, 1) == [10]
        write_batch(store, (1, NOON + SECOND, NOON, 11))  # the new server does not know the script
        assert trips(store, 1) == [11]


def test_a_redis_killed_in_a_batch_has_old_or_new_rows_and_a_rerun_the_new(durable, tmp_path, port):
    count = 60_000
    store = on_port(tmp_path, port)
    stats, online = store.get_feature_view("stats"), store._get_provider().online_store

    def rows(version: int) -> Any:
        return table(driver_id=range(count), trips=[version] * count, event_timestamp=[NOON + version * SECOND] * count)

    online.write_table(store.config, stats, rows(1))

    def write_until_killed() -> None:
        at_call(3, redis_write, "_write_trip", lambda: os.kill(durable.pid, signal.SIGKILL))
        with pytest.raises(OnlineStoreError, match="write it again"):
            online.write_table(store.config, stats, rows(2))

    with forked(write_until_killed) as writer:
        assert exit_code(writer) == 0, "the batch was complete before the kill"
    with restarted(tmp_path, port):
        assert set(trips(store, *range(0, count, 500))) == {1, 2}
        online.write_table(store.config, stats, rows(2))
        assert set(trips(store, *range(0, count, 500))) == {2}


def test_a_refusal_of_redis_says_what_to_do_and_shows_no_password(tmp_path, port):
    with redis.running(tmp_path, port, "--requirepass", "letmein"):
        for options in ("", ",password=secret-word"):
            with pytest.raises(OnlineStoreError, match="Write the right password=… into connection_string") as error:
                on_port(tmp_path, port, options)
            assert "secret-word" not in str(error.value)
        assert trips(on_port(tmp_path, port, ",password=letmein"), 1) == [None]


def test_a_full_redis_keeps_its_rows_and_says_what_to_do(tmp_path, port):
    with redis.running(tmp_path, port):
        store = on_port(tmp_path, port)
        write_batch(store, (1, NOON, NOON, 10))
        redis.ask(f"127.0.0.1:{port},", "CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(OnlineStoreError, match=r"maxmemory.*Give it more memory"):
            write_batch(store, (1, NOON + SECOND, NOON, 11))
        assert trips(store, 1) == [10]


def test_a_replica_refuses_writes_and_says_where_to_write(tmp_path, port):
    (tmp_path / "replica").mkdir()
    replica = free_port()
    with (
        redis.running(tmp_path, port),
        redis.running(tmp_path / "replica", replica, "--replicaof", "127.0.0.1", str(port)),
    ):
        on_port(tmp_path, port)
        with pytest.raises(OnlineStoreError, match="Write the address of the primary"):
            on_port(tmp_path, replica)
