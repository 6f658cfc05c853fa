"""What `feature_store.yaml` may say about Redis: Feast's options, on one server, a cluster and behind Sentinel."""

import re
import traceback
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from engines import redis
from engines.need import need
from processes import run, started, wait_until
from servers import free_port
from small import DRIVER, NOON, ONLINE_TYPES, SECOND, batch, frame, read, repository, table, trips, view, write_batch

from exact_stores.exact_online import OnlineStoreError

pytestmark = [pytest.mark.slow, pytest.mark.engine]


@pytest.fixture(autouse=True)
def _needs_redis() -> None:
    need("redis-server", modules=("redis", "msgpack"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"connection_string": "redis://user:secret@host:6379/0"}, "connection_string is a URL. Write host:port"),
        ({"connection_string": "user:secret@host:6379"}, "connection_string has an address with @. Write host:port"),
        ({"connection_string": "secret@host:6379"}, "connection_string has an address with @. Write host:port"),
        ({"connection_string": "localhost"}, "connection_string has 'localhost:'. Write host:port"),
        ({"connection_string": "localhost:redis,password=secret"}, "has 'localhost:redis'. Write host:port"),
        ({"connection_string": "password=secret"}, "has no address"),
        ({"skip_dedup": True}, "skip_dedup would let an older row replace a newer one"),
        ({"key_ttl_seconds": 60}, "key_ttl_seconds would make a known entity read as a new one"),
        ({"client": "glide"}, "client: glide is not supported"),
    ],
)  # fmt: skip
def test_a_bad_option_is_refused_by_name_without_the_password(options: dict[str, Any], message: str):
    from exact_stores.redis_online import PackedRedisOnlineStoreConfig

    options = {"connection_string": "host:6379,password=secret"} | options
    with pytest.raises(OnlineStoreError, match=re.escape(message)) as error:
        PackedRedisOnlineStoreConfig(**options)
    assert "secret" not in "".join(traceback.format_exception(error.value))


def test_an_unknown_type_of_redis_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ValueError, match="redis_type"):
        repository(tmp_path, online=ONLINE_TYPES["redis"], redis_type="redis_ring")


def test_an_unknown_option_of_the_connection_is_named(tmp_path: Path):
    address = redis.database(tmp_path) + ",colour=red"
    store = repository(tmp_path, online=ONLINE_TYPES["redis"], address=address)
    with pytest.raises(Exception, match=r"connection_string has an unknown option.*colour"):
        store.apply([DRIVER, view(tmp_path)])


def check(root: Path, address: str, **options: Any) -> None:
    """Rows of two views are written, corrected, read and removed."""
    store = repository(root, online=ONLINE_TYPES["redis"], address=address, **options)
    store.apply([DRIVER, view(root), view(root, name="other")])
    drivers = range(300)
    stats, online = store.get_feature_view("stats"), store._get_provider().online_store
    online.write_table(
        store.config, stats, table(driver_id=drivers, trips=drivers, event_timestamp=[NOON] * len(drivers))
    )
    write_batch(store, (7, NOON, NOON, 70), (8, NOON - SECOND, NOON, 80), (9, NOON, None, 8), (9, NOON, None, 10))
    store.write_to_online_store("other", frame((7, NOON, NOON, 700)))
    expected = [70 if driver == 7 else 10 if driver == 9 else driver for driver in drivers]
    assert trips(store, *drivers) == expected
    both = read(store, ["stats:trips", "other:trips"], 7, full_feature_names=True)
    assert (both["stats__trips"], both["other__trips"]) == ([70], [700])
    store.apply([DRIVER, view(root, name="other")], objects_to_delete=[view(root)], partial=False)
    store.apply([DRIVER, view(root)])
    assert trips(store, 7, 8) == [None, None]
    store.teardown()


def _cluster_port() -> int:
    """A free port that leaves room for that of the nodes among themselves, 10,000 above."""
    while (port := free_port()) > 55_535:
        continue
    return port


def test_a_cluster_serves_by_feasts_connection_string(tmp_path: Path):
    ports = [_cluster_port() for _ in range(3)]
    with ExitStack() as stack:
        for port in ports:
            (folder := tmp_path / str(port)).mkdir()
            stack.enter_context(redis.running(folder, port, "--cluster-enabled", "yes"))
        nodes = [f"127.0.0.1:{port}" for port in ports]
        run(["redis-cli", "--cluster", "create", *nodes, "--cluster-yes"])
        for node in nodes:
            wait_until(
                lambda node=node: redis.ask(f"{node},", "CLUSTER", "INFO"),  # type: ignore[misc]
                lambda info: b"cluster_state:ok" in info,
                what="the cluster has all its slots",
            )
        check(tmp_path, ",".join(nodes), redis_type="redis_cluster")


def test_sentinel_names_the_primary(tmp_path: Path):
    port, sentinel = free_port(), free_port()
    (tmp_path / "sentinel.conf").write_text(
        f"port {sentinel}\nbind 127.0.0.1\ndir {tmp_path}\nsentinel monitor mymaster 127.0.0.1 {port} 1\n"
    )
    with (
        redis.running(tmp_path, port),
        started(["redis-server", tmp_path / "sentinel.conf", "--sentinel"]) as child,
    ):
        wait_until(lambda: redis.answers(sentinel), what="Sentinel answers", child=child)
        check(tmp_path, f"127.0.0.1:{sentinel}", redis_type="redis_sentinel")


def test_a_store_reads_each_database_of_a_redis_for_itself(tmp_path: Path):
    stores = [repository(tmp_path / name, online=ONLINE_TYPES["redis"]) for name in ("one", "other")]
    for trips_stored, store in enumerate(stores):
        store.apply([DRIVER, view(tmp_path)])
        write_batch(store, (1, NOON, NOON, trips_stored))
    online, stats, ((key, *_),) = stores[0]._get_provider().online_store, view(tmp_path), batch((1, NOON, NOON, 0))
    rows = [online.online_read(store.config, stats, [key]) for store in stores]
    assert [values["trips"].int64_val for ((_, values),) in rows] == [0, 1]
