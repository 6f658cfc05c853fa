"""What does a feature vector cost from Redis, beside SQLite on the same machine? And a guarded write, and its bytes?

    python bench/online_redis.py      (after make pipeline, with redis-server and the extra `redis`)

vector    `FeastStore.vectors`: the feature service `onboarding`, two stored and three on-demand views, with values,
          dates and statuses, from SQLite and from a Redis that this program starts on the loopback interface
write     `write_table` of rows of one feature, as new keys, as newer rows of the same keys, and as older ones

The reads run in turns in one process. As in a worker of `serve.py`, what was loaded before is frozen for the garbage
collector. A write is timed once for each store and kind.
"""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow as pa
import yaml
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Bytes, Int64
from online import applicants, measure
from printing import print_table
from redis import Redis
from redis.exceptions import ConnectionError as NotThere

import settings
from serving.retrieval import FeastStore

REDIS = "exact_stores.redis_online.PackedRedisOnlineStore"
SQLITE = "exact_stores.online.WideSqliteOnlineStore"
PORT = 16_379
ROWS = 100_000
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
DRIVER = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[Redis]:
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(PORT), "--save", "", "--dir", str(folder)]
    process, client = subprocess.Popen(command, stdout=subprocess.DEVNULL), Redis(port=PORT)
    try:
        while True:
            with contextlib.suppress(NotThere):
                client.ping()
                break
            time.sleep(0.05)
        yield client
    finally:
        process.terminate()
        process.wait()


def on_redis(folder: Path) -> FeastStore:
    """The repository on Redis, with the views of the service `onboarding` materialized."""
    config = yaml.safe_load((settings.FEATURE_REPO / "feature_store.yaml").read_text())
    config["online_store"] = {"type": REDIS, "connection_string": f"127.0.0.1:{PORT}"}
    config["registry"]["path"] = str(folder / "registry.db")
    file = folder / "feature_store.yaml"
    file.write_text(yaml.safe_dump(config))
    feast = [sys.executable, "-c", "from feast.cli.cli import cli; cli()", "-f", str(file), "apply"]
    subprocess.run(feast, cwd=settings.FEATURE_REPO, check=True, capture_output=True)
    store = FeatureStore(str(settings.FEATURE_REPO), fs_yaml_file=file)
    with contextlib.redirect_stdout(io.StringIO()):
        store.materialize(
            datetime(2000, 1, 1, tzinfo=UTC), datetime.now(UTC), ["driver_ssn_entities", "driver_dl_entities"]
        )
    return FeastStore(settings.FEATURE_REPO, file)


def vectors(folder: Path) -> None:
    now, stores = datetime.now(UTC), {"SQLite": FeastStore(settings.FEATURE_REPO), "Redis": on_redis(folder)}
    for count, calls in ((1, 100), (100, 20)):
        rows = applicants(count, now)
        assert stores["SQLite"].vectors("onboarding", rows, now, now) == stores["Redis"].vectors(
            "onboarding", rows, now, now
        )
        times = measure({n: partial(s.vectors, "onboarding", rows, now, now) for n, s in stores.items()}, calls)
        base = times["SQLite"][0]
        print_table(
            (f"vector, {count} entities", "p50 µs", "p99 µs", "p50, × SQLite's"),
            [(n, f"{p50:,.0f}", f"{p99:,.0f}", f"{p50 / base:.2f}") for n, (p50, p99) in times.items()],
        )


def small(folder: Path, online: dict[str, Any]) -> tuple[FeatureStore, FeatureView]:
    file = FileSource(name="rows", path=str(folder / "rows.parquet"), timestamp_field="event_timestamp")
    fields = [Field(name="driver_id", dtype=Int64), Field(name="state", dtype=Bytes)]
    view = FeatureView(name="states", entities=[DRIVER], schema=fields, source=file, ttl=timedelta(0))
    folder.mkdir()
    config = RepoConfig(
        project="bench", provider="local", registry=str(folder / "registry.db"), online_store=online,
        offline_store={"type": "duckdb"}, entity_key_serialization_version=3,
    )  # fmt: skip
    store = FeatureStore(config=config)
    store._get_provider().online_store.update(config, [], [view], [], [], False)
    return store, view


def writes(folder: Path, client: Redis) -> None:
    for size in (8, 1000):
        client.flushall()
        before, lines = client.info("memory")["used_memory"], []
        for name, online in {
            "SQLite": {"type": SQLITE, "path": str(folder / f"{size}.db"), "synchronous": "normal"},
            "Redis": {"type": REDIS, "connection_string": f"127.0.0.1:{PORT}"},
        }.items():
            store, view = small(folder / f"{name} {size}", online)
            store._get_provider()
            for kind, second in (("new", 1), ("newer", 2), ("older", 0)):
                table = pa.table(
                    {"driver_id": range(ROWS), "state": pa.array([os.urandom(size)] * ROWS, pa.binary()),
                     "event_timestamp": [NOON + timedelta(seconds=second)] * ROWS}
                )  # fmt: skip
                began = time.perf_counter()
                store._get_provider().online_store.write_table(store.config, view, table)
                lines.append((name, kind, f"{ROWS / (time.perf_counter() - began):,.0f}"))
        print_table((f"write, rows of {size} bytes", "rows", "a second"), lines)
        after = client.info("memory")["used_memory"]
        print(f"Redis takes {(after - before) / ROWS:,.0f} bytes a row of {size} bytes.\n")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, redis_server(Path(scratch)) as client:
        (Path(scratch) / "repository").mkdir()
        vectors(Path(scratch) / "repository")
        writes(Path(scratch), client)


if __name__ == "__main__":
    main()
