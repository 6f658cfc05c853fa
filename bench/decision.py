"""What does a whole decision cost, beside the feature read that it contains?

    python bench/decision.py            (after make pipeline)

A: one logged decision of this service: retrieval with TTL, on-demand features, model, reasons, audit line.
B: stock Feast's `get_online_features(service).to_dict()` alone: same store and entity, the service object at hand.

Run in turns of 200, A B A B …, in one process; printed are the medians of the turns and of their ratios.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feast import FeatureStore

import settings
from features.catalogue import risks
from features.declaration import Risk, RiskRequest
from serving.retrieval import FeastSource
from serving.service import RiskService

TURNS, REQUESTS = 15, 200


def microseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(REQUESTS):
        work()
    return (time.perf_counter() - began) / REQUESTS * 1e6


def compare(risk: Risk, request: RiskRequest, service: RiskService, stock: FeatureStore) -> None:
    now = datetime.now(UTC)
    row = {**request.row(now, settings.hash_key()), "as_of": now}

    def ours() -> object:
        return service.decision(risk, request, now)

    features = stock.get_feature_service(risk.name)

    def theirs() -> object:
        return stock.get_online_features(features, [row]).to_dict()

    ours(), theirs()
    turns = [(microseconds(ours), microseconds(theirs)) for _ in range(TURNS)]
    a, b = (statistics.median(column) for column in zip(*turns, strict=True))
    ratio = statistics.median(x / y for x, y in turns)
    print(f"{risk.name:<12} decision {a:7.0f} µs   stock feature read {b:7.0f} µs   ratio {ratio:.2f}")


def main() -> None:
    with tempfile.TemporaryDirectory() as decisions:
        source = FeastSource(settings.FEATURE_REPO)
        service = RiskService(source, settings.models(), Path(decisions), settings.hash_key())
        stock = FeatureStore(str(settings.FEATURE_REPO))
        requests = {
            "onboarding": {"state": "CA", "ssn": "123-45-6789", "dl": "D1234567", "dob": "1990-05-17"},
            "daily": {"driver_id": 1001},
        }
        for name, body in requests.items():
            compare(risks()[name], risks()[name].request.model_validate(body), service, stock)


if __name__ == "__main__":
    main()
