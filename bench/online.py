"""What does a feature vector cost, and a whole decision, beside Feast's own read of Feast's own store?

    python bench/online.py            (after make pipeline)

ours      `FeastStore.vectors`: the feature service `onboarding` on our online store, with values, dates and statuses
stock     `get_online_features(service).to_dict()` on Feast's SQLite store: the same rows, the service object at hand
SELECT    plain sqlite3 selects the same keys from our file. It decodes and computes nothing: the limit
decision  a whole logged decision of ours: retrieval, on-demand features, model, reasons, audit line

All run in turns in one process, for one entity and for a hundred. Printed are p50 and p99 of all calls. As in a worker
of `serve.py`, what was loaded before is frozen for the garbage collector.
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
from printing import print_table
from stock import stock_repository

import settings
from features.domains import risks
from features.onboarding import NOBODY
from root import Root
from serving.retrieval import FeastStore
from serving.service import RiskService

TURNS = 20


def applicants(count: int, as_of: datetime) -> list[dict[str, Any]]:
    """Rows of the feature service, of people whose identifiers are stored."""
    files = sorted(settings.root().raw_table("drivers").glob("*.parquet"))
    people = pd.read_parquet(files[0]).tail(count)
    return [
        {"ssn": p.ssn, "dl": p.dl, "state": "CA", "dob": as_of, "applicant_driver_id": NOBODY, "as_of": as_of}
        for p in people.itertuples()
    ]


def plain_selects(source: FeastStore, rows: list[dict[str, Any]]) -> Callable[[], object]:
    store = source._store
    online = store._get_provider().online_store
    connection = sqlite3.connect(settings.root().online_db)
    queries = []
    for name, key in (("driver_ssn_entities", "ssn"), ("driver_dl_entities", "dl")):
        view = store.get_feature_view(name)
        reader, entity_key = online.reader(store.config, view, [f.name for f in view.features]), online.entity_key(view)
        keys = [entity_key(row[key]) for row in rows]
        queries.append((f"{reader._select} entity_key IN ({', '.join('?' * len(keys))})", keys))
    return lambda: [connection.execute(query, keys).fetchall() for query, keys in queries]


def decisions(source: FeastStore, scratch: Path, now: datetime) -> Callable[[], object]:
    risk = risks()["onboarding"]
    request = risk.request.model_validate({"state": "CA", "ssn": "123-45-6789", "dl": "D1234567", "dob": "1990-05-17"})
    (scratch / "models").symlink_to(settings.root().models)
    service = RiskService(source, Root(scratch), settings.hash_key())
    return lambda: service.decision(risk, request, now)


def measure(contestants: dict[str, Callable[[], object]], calls: int) -> dict[str, tuple[float, float]]:
    """Contestant → p50 and p99 of its calls, in µs."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for work in contestants.values():
        work()
    gc.collect()
    gc.freeze()
    for _ in range(TURNS):
        for name, work in contestants.items():
            for _ in range(calls):
                began = time.perf_counter()
                work()
                times[name].append((time.perf_counter() - began) * 1e6)
    return {name: (cuts[49], cuts[98]) for name, durations in times.items() if (cuts := quantiles(durations, n=100))}


def report(entities: str, results: dict[str, tuple[float, float]]) -> None:
    stock_p50, stock_p99 = results["stock"]
    print_table(
        (entities, "p50 µs", "p99 µs", "stock's p50, × this", "stock's p99, × this"),
        [
            (name, f"{p50:,.0f}", f"{p99:,.0f}", f"{stock_p50 / p50:.1f}", f"{stock_p99 / p99:.1f}")
            for name, (p50, p99) in results.items()
        ],
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        now = datetime.now(UTC)
        stock, source = stock_repository(Path(scratch), "onboarding"), FeastStore(settings.FEATURE_REPO)
        service = stock.get_feature_service("onboarding")
        for count, calls in ((1, 50), (100, 10)):
            rows = applicants(count, now)
            contestants: dict[str, Callable[[], object]] = {
                "ours": partial(source.vectors, "onboarding", rows, now, now),
                "stock": lambda rows=rows: stock.get_online_features(service, rows).to_dict(),  # type: ignore[misc]
                "SELECT": plain_selects(source, rows),
            }
            if count == 1:
                contestants["decision"] = decisions(source, Path(scratch), now)
            report(f"{count} {'entity' if count == 1 else 'entities'}", measure(contestants, calls))


if __name__ == "__main__":
    main()
