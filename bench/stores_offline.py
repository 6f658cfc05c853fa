"""What does a point-in-time join cost on our offline store, beside Feast's own two stores and a bare ASOF JOIN?

    python bench/stores_offline.py [--rows 1000000] [--timestamps 200000] [--runs 3]

ours     `exact_stores.offline.AsofDuckDBOfflineStore`
bare     DuckDB's ASOF JOIN by hand: the limit
duckdb   Feast's `duckdb` store
file     Feast's `file` store

Two joins: of two views with `created`, where one row in a thousand is corrected, and of one view without `created`.
A view has `--rows` rows, 20,000 keys and four features. The contestants take turns, each run in a process of its own.
On the clock is the second join: during the first, Feast imports what it imports late. Printed are medians, ratios to
ours, and peak memory (`ru_maxrss`), also beyond the memory before the first join.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from printing import print_table

#: Name of a join → its views, and their column `created`, if they have one.
JOINS: dict[str, tuple[tuple[str, ...], str | None]] = {
    "two views, created": (("trips", "orders"), "created"),
    "one view": (("rides",), None),
}
FEATURES = ("count", "sum", "mean", "last")
KEYS = 20_000
DAYS = 180
BEGIN = np.datetime64("2026-01-01", "us")
STORES = {"ours": "exact_stores.offline.AsofDuckDBOfflineStore", "duckdb": "duckdb", "file": "file"}


def make(folder: Path, rows: int, timestamps: int) -> None:
    """Write the files of both views, and the entity frame. One row in a thousand is corrected later."""
    random = np.random.default_rng(7)

    def times(count: int) -> np.ndarray:
        return BEGIN + np.sort(random.integers(0, DAYS * 86_400, count)).astype("timedelta64[s]")

    for view, created_column in ((view, created) for views, created in JOINS.values() for view in views):
        events, keys = times(rows), random.integers(0, KEYS, rows)
        columns = {"driver_id": keys, "event_timestamp": events}
        if created_column:
            created = events + np.timedelta64(1, "m")
            corrected = random.choice(rows, rows // 1000, replace=False)
            events, keys = np.append(events, events[corrected]), np.append(keys, keys[corrected])
            created = np.append(created, created[corrected] + np.timedelta64(3, "D"))
            columns = {"driver_id": keys, "event_timestamp": events, created_column: created}
        columns |= {
            f"{view}_count": random.integers(0, 99, len(keys)),
            f"{view}_sum": random.integers(0, 10**9, len(keys)),
        }
        columns |= {f"{view}_mean": random.random(len(keys)), f"{view}_last": random.random(len(keys))}
        table = pa.table(columns)
        for name in ("event_timestamp", created_column) if created_column else ("event_timestamp",):
            i = table.schema.get_field_index(name)
            table = table.set_column(i, name, table[name].cast(pa.timestamp("us", "UTC")))
        pq.write_table(table, folder / f"{view}.parquet")
    entities = pd.DataFrame({"driver_id": random.integers(0, KEYS, timestamps), "event_timestamp": times(timestamps)})
    entities["event_timestamp"] = entities["event_timestamp"].dt.tz_localize("UTC")
    entities.sample(frac=1, random_state=7, ignore_index=True).to_parquet(folder / "entities.parquet")


def by_feast(folder: Path, views: Sequence[str], created: str | None, offline_store: str) -> Callable[[], object]:
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
    for view in views:
        source = FileSource(
            path=str(folder / f"{view}.parquet"), timestamp_field="event_timestamp", created_timestamp_column=created
        )
        schema = [Field(name=f"{view}_{name}", dtype=dtype) for name, dtype in types.items()]
        store.apply(FeatureView(name=view, entities=[driver], ttl=timedelta(days=30), schema=schema, source=source))
    entities = pd.read_parquet(folder / "entities.parquet")
    features = [f"{view}:{view}_{name}" for view in views for name in FEATURES]
    return lambda: store.get_historical_features(entities, features).to_df()


def by_hand(folder: Path, views: Sequence[str]) -> Callable[[], object]:
    from jobs import sql

    connection = sql.connect()
    connection.register("entity", pd.read_parquet(folder / "entities.parquet"))
    query = f"SELECT entity.*, {', '.join(f'{view}_{name}' for view in views for name in FEATURES)} FROM entity "
    for view in views:
        query += (
            f"ASOF LEFT JOIN {sql.literal(folder / f'{view}.parquet')} {view} ON entity.driver_id = {view}.driver_id "
            f"AND entity.event_timestamp >= {view}.event_timestamp "
        )
    return lambda: connection.sql(query).df()


def run_here(join_name: str, name: str, folder: Path) -> None:
    """Run a contestant in this process. Prints seconds and MB."""
    views, created = JOINS[join_name]
    join = by_hand(folder, views) if name == "bare" else by_feast(folder, views, created, STORES[name])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        began, processor = time.perf_counter(), time.process_time()
        join()
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        json.dumps({"seconds": seconds, "processor": processor, "more": (peak - before) // 1024, "peak": peak // 1024})
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--timestamps", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--skip", action="append", default=[])
    parser.add_argument("--one", nargs=3, metavar=("JOIN", "NAME", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        return run_here(args.one[0], args.one[1], Path(args.one[2]))
    runs: dict[tuple[str, str], list[dict[str, float]]] = {
        (join, name): [] for join in JOINS for name in ("ours", "bare", "duckdb", "file") if name not in args.skip
    }
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder), args.rows, args.timestamps)
        for _ in range(args.runs):
            for (join, name), results in runs.items():
                command = [sys.executable, "-W", "ignore", __file__, "--one", join, name, folder]
                ended = subprocess.run(
                    command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
                )
                results.append(json.loads(ended.stdout.splitlines()[-1]))
    medians = {
        contestant: {key: statistics.median(result[key] for result in results) for key in results[0]}
        for contestant, results in runs.items()
    }
    print_table(
        ("join", "contestant", "s", "time, × ours", "processor, × ours", "MB beyond the start", "peak MB"),
        [
            (
                join, name, f"{m['seconds']:.2f}",
                *(f"{m[key] / medians[join, 'ours'][key]:.2f}" for key in ("seconds", "processor")),
                f"{m['more']:,.0f}", f"{m['peak']:,.0f}",
            )
            for (join, name), m in medians.items()
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
