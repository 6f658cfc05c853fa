"""The point-in-time join of our offline store beside Feast's own two and a bare ASOF JOIN.

    python bench/stores_offline.py [--rows 1000000] [--moments 200000] [--rounds 3]

Two views of `--rows` rows each, 20,000 keys, four features each. A round runs each contestant once, in a process of
its own. On the clock is its second join: the first loads what Feast loads late. Medians, ratios, and the peak memory
of the process (`ru_maxrss`), also beyond what it had before it joined.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

VIEWS = ("trips", "orders")
FEATURES = ("count", "sum", "mean", "last")
KEYS = 20_000
DAYS = 180
BEGIN = np.datetime64("2026-01-01", "us")
STORES = {"ours": "exact_stores.offline.AsofDuckDBOfflineStore", "duckdb": "duckdb", "file": "file"}


def make(folder: Path, rows: int, moments: int) -> None:
    """The files of both views and the entity frame; a row in a thousand was corrected later."""
    random = np.random.default_rng(7)

    def times(count: int) -> np.ndarray:
        return BEGIN + np.sort(random.integers(0, DAYS * 86_400, count)).astype("timedelta64[s]")

    for view in VIEWS:
        stamps, keys = times(rows), random.integers(0, KEYS, rows)
        created = stamps + np.timedelta64(1, "m")
        corrected = random.choice(rows, rows // 1000, replace=False)
        stamps, keys = np.append(stamps, stamps[corrected]), np.append(keys, keys[corrected])
        created = np.append(created, created[corrected] + np.timedelta64(3, "D"))
        columns = {"driver_id": keys, "event_timestamp": stamps, "created": created}
        columns |= {
            f"{view}_count": random.integers(0, 99, len(keys)),
            f"{view}_sum": random.integers(0, 10**9, len(keys)),
        }
        columns |= {f"{view}_mean": random.random(len(keys)), f"{view}_last": random.random(len(keys))}
        table = pa.table(columns)
        for name in ("event_timestamp", "created"):
            i = table.schema.get_field_index(name)
            table = table.set_column(i, name, table[name].cast(pa.timestamp("us", "UTC")))
        pq.write_table(table, folder / f"{view}.parquet")
    asked = pd.DataFrame({"driver_id": random.integers(0, KEYS, moments), "event_timestamp": times(moments)})
    asked["event_timestamp"] = asked["event_timestamp"].dt.tz_localize("UTC")
    asked.sample(frac=1, random_state=7, ignore_index=True).to_parquet(folder / "asked.parquet")


def by_feast(folder: Path, offline_store: str) -> Callable[[], object]:
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.types import Float64, Int64

    config = RepoConfig(
        project="bench", provider="local", registry=str(folder / f"{offline_store}.db"),
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        offline_store={"type": offline_store}, entity_key_serialization_version=3, repo_path=folder,
    )  # fmt: skip
    store = FeatureStore(config=config)
    driver = Entity(name="driver", join_keys=["driver_id"], value_type=ValueType.INT64)
    types = {"count": Int64, "sum": Int64, "mean": Float64, "last": Float64}
    store.apply([driver])
    for view in VIEWS:
        source = FileSource(
            path=str(folder / f"{view}.parquet"), timestamp_field="event_timestamp", created_timestamp_column="created"
        )
        schema = [Field(name=f"{view}_{name}", dtype=dtype) for name, dtype in types.items()]
        store.apply(FeatureView(name=view, entities=[driver], ttl=timedelta(days=30), schema=schema, source=source))
    asked = pd.read_parquet(folder / "asked.parquet")
    wanted = [f"{view}:{view}_{name}" for view in VIEWS for name in FEATURES]
    return lambda: store.get_historical_features(asked, wanted).to_df()


def by_hand(folder: Path) -> Callable[[], object]:
    import duckdb

    asked = pd.read_parquet(folder / "asked.parquet")
    connection = duckdb.connect()
    connection.register("asked", asked)
    query = f"SELECT asked.*, {', '.join(f'{view}_{name}' for view in VIEWS for name in FEATURES)} FROM asked "
    for view in VIEWS:
        query += (
            f"ASOF LEFT JOIN '{folder}/{view}.parquet' {view} ON asked.driver_id = {view}.driver_id "
            f"AND asked.event_timestamp >= {view}.event_timestamp "
        )
    return lambda: connection.sql(query).df()


def measure(name: str, folder: Path) -> None:
    """One contestant in this process: seconds and MB, as JSON."""
    join = by_hand(folder) if name == "bare" else by_feast(folder, STORES[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        began = time.perf_counter()
        join()
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": seconds, "more": (peak - before) // 1024, "peak": peak // 1024}))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--moments", type=int, default=200_000)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--measure", nargs=2, metavar=("NAME", "FOLDER"), help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.measure:
        measure(given.measure[0], Path(given.measure[1]))
        return
    seen: dict[str, list[dict]] = {name: [] for name in ("ours", "bare", "duckdb", "file")}
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), given.rows, given.moments)
        for _ in range(given.rounds):
            for name in seen:
                run = [sys.executable, "-W", "ignore", __file__, "--measure", name, folder]
                ran = subprocess.run(run, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
                seen[name].append(json.loads(ran.stdout.splitlines()[-1]))
    medians = {
        name: {key: statistics.median(run[key] for run in runs) for key in runs[0]} for name, runs in seen.items()
    }
    for name, median in medians.items():
        ratio = median["seconds"] / medians["ours"]["seconds"]
        times = f"{median['seconds']:8.2f} s {ratio:7.2f} × ours"
        print(f"{name:8}{times} {median['more']:7.0f} MB more {median['peak']:7.0f} MB peak")


if __name__ == "__main__":
    main()
