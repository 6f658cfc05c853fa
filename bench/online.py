"""What does a feature vector cost, and a whole decision, beside Feast's own read on Feast's own store?

    python bench/online.py            (after make pipeline)

ours      `FeastStore.vectors`: the plan of the service `onboarding` on our online store, values, dates and statuses
stock     `get_online_features(service).to_dict()` on the stock SQLite store, the service object at hand, same rows
SELECT    the same keys asked of our file by plain sqlite3: nothing is decoded or computed
decision  a whole logged decision of ours: retrieval, on-demand features, model, reasons, audit line

In turns in one process, for one entity and for a hundred; p50 and p99 of all calls. What was loaded is frozen for the
garbage collector, as in a worker of `serve.py`, for all of them alike.
"""

import gc
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pandas as pd
from stock import stock_repository

import settings
from features.domains import risks
from features.onboarding import NOBODY
from root import Root
from serving.retrieval import FeastStore
from serving.service import RiskService

TURNS = 20


def applicants(count: int, as_of: datetime) -> list[dict[str, Any]]:
    """Rows of the service, of people whose identifiers are stored."""
    files = sorted(settings.root().raw_table("drivers").glob("*.parquet"))
    people = pd.read_parquet(files[0]).tail(count)
    return [
        {"ssn": p.ssn, "dl": p.dl, "state": "CA", "dob": as_of, "applicant_driver_id": NOBODY, "as_of": as_of}
        for p in people.itertuples()
    ]


def selects(source: FeastStore, rows: list[dict[str, Any]]) -> Callable[[], object]:
    store = source._store
    online = store._get_provider().online_store
    connection = sqlite3.connect(settings.root().path / "online.db")
    asked = []
    for name, key in (("driver_ssn_entities", "ssn"), ("driver_dl_entities", "dl")):
        view = store.get_feature_view(name)
        reader, entity_key = online.reader(store.config, view, [f.name for f in view.features]), online.entity_key(view)
        keys = [entity_key(row[key]) for row in rows]
        asked.append((f"{reader._select} entity_key IN ({', '.join('?' * len(keys))})", keys))
    return lambda: [connection.execute(sql, keys).fetchall() for sql, keys in asked]


def measure(ways: dict[str, Callable[[], object]], calls: int) -> dict[str, tuple[float, float]]:
    """Way → its p50 and p99, µs."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for work in ways.values():
        work()
    gc.collect()
    gc.freeze()
    for _ in range(TURNS):
        for name, work in ways.items():
            for _ in range(calls):
                began = time.perf_counter()
                work()
                times[name].append((time.perf_counter() - began) * 1e6)
    return {name: (cut[49], cut[98]) for name, of in times.items() if (cut := quantiles(of, n=100))}


def show(what: str, found: dict[str, tuple[float, float]]) -> None:
    p50, p99 = found["stock"]
    for name, (half, most) in found.items():
        ratio = "" if name == "stock" else f"   stock takes {p50 / half:5.1f} × (p50), {p99 / most:5.1f} × (p99)"
        print(f"{what:<13} {name:<9} p50 {half:7.0f} µs   p99 {most:7.0f} µs{ratio}")


def deciding(source: FeastStore, scratch: Path, now: datetime) -> Callable[[], object]:
    risk = risks()["onboarding"]
    asked = risk.request.model_validate({"state": "CA", "ssn": "123-45-6789", "dl": "D1234567", "dob": "1990-05-17"})
    (scratch / "models").symlink_to(settings.root().models)
    service = RiskService(source, Root(scratch), settings.hash_key())
    return lambda: service.decision(risk, asked, now)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        now = datetime.now(UTC)
        stock, source = stock_repository(Path(scratch), "onboarding"), FeastStore(settings.FEATURE_REPO)
        service = stock.get_feature_service("onboarding")
        for count, calls in ((1, 50), (100, 10)):
            rows = applicants(count, now)
            ways: dict[str, Callable[[], object]] = {
                "ours": partial(source.vectors, "onboarding", rows, now),
                "stock": lambda rows=rows: stock.get_online_features(service, rows).to_dict(),  # type: ignore[misc]
                "SELECT": selects(source, rows),
            }
            if count == 1:
                ways["decision"] = deciding(source, Path(scratch), now)
            show(f"{count} {'entity' if count == 1 else 'entities'}", measure(ways, calls))


if __name__ == "__main__":
    main()
