"""Tills and a lossy network, with a service and a stream job that are played by a few lines: every purchase arrives,
and without asking again it would not."""

import time
from collections import Counter
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import pytest

from errors import ServiceFailed
from features.windows import numbering
from jobs.simulate.loyalty import tills
from jobs.simulate.loyalty.tills import Tills
from jobs.simulate.network import Network, Wire

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LOSSY = Network(loss=0.3, duplicate=0.2, delay=(0.0, 0.02), seed=7)
PURCHASES = [
    {"purchase_id": f"p{n}", "customer_id": "c1", "purchase_value": 5.0, "purchase_timestamp": NOON.isoformat()}
    for n in range(60)
]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tills, "ASK_SECONDS", 0.02)
    monkeypatch.setattr(tills, "PATIENCE_SECONDS", 0.15)
    monkeypatch.setattr(tills, "GIVE_UP_SECONDS", 0.5)


class Service:
    """Takes purchases, and a stream job with it that takes in each after so many seconds."""

    def __init__(self, takes_in_after: float = 0.0) -> None:
        self.came: list[tuple[str, int]] = []
        self._at: dict[tuple[str, int], float] = {}
        self._takes_in_after, self._lock = takes_in_after, Lock()

    def decide(self, risk: str, request: dict[str, Any]) -> dict[str, Any]:
        key = request["producer"], request["number"]
        with self._lock:
            self.came.append(key)
            self._at.setdefault(key, time.monotonic())
        return {}

    def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
        ranges: list[list[int]] = []
        with self._lock:
            for (name, number), at in self._at.items():
                if name == producer and time.monotonic() >= at + self._takes_in_after:
                    numbering.add(ranges, number)
        return numbering.missing(ranges, last)


def sent(service: Service, network: Network = LOSSY, count: int = 60, run: str = "run") -> Tills:
    with Wire() as wire:
        made = Tills(run, 3, network, wire, service, lambda _: None)
        made.send_all(PURCHASES[:count], per_second=2000)
    return made


def test_every_purchase_arrives_though_messages_and_answers_are_lost():
    service = Service()
    made = sent(service)
    assert set(service.came) == {(f"run-till-{t}", n) for t in (1, 2, 3) for n in range(1, 21)}
    assert made.counts["lost"] > 5
    assert made.counts["answers"] > 5
    assert any(s.was_lost for s in made.sent)


def test_without_asking_again_purchases_are_lost_for_good():
    class Lying(Service):
        def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
            return []

    service = Lying()
    made = sent(service)
    lost = {s.request["purchase_id"] for s in made.sent if s.was_lost}
    assert len(lost) == made.counts["lost"] > 5
    assert len(set(service.came)) == 60 - len(lost)


def test_the_same_seed_loses_doubles_and_delays_the_same_messages_whatever_the_run_is_called():
    services = Service(), Service()
    first, second = (sent(service, run=run) for service, run in zip(services, ("one", "two"), strict=True))
    assert first.counts == second.counts
    came = [Counter((name[-1], number) for name, number in service.came) for service in services]
    assert came[0] == came[1]


def test_what_was_answered_is_not_sent_again_however_slow_the_stream_job_is():
    service = Service(takes_in_after=0.4)
    made = sent(service, Network(0, 0, (0, 0), 1))
    assert made.counts == {"messages": 60, "lost": 0, "answers": 0}
    assert len(service.came) == 60


def test_a_purchase_of_which_only_the_answer_got_lost_is_not_sent_again():
    network = Network(0.5, 0, (0, 0.01), seed=3)
    service = Service()
    made = sent(service, network)
    assert made.counts["answers"] > 5
    assert len(service.came) == 60


def test_without_a_stream_job_the_run_ends_and_says_how_to_start_one():
    with pytest.raises(
        ServiceFailed, match=r"no stream job has taken it in\. Start one: python -m jobs stream loyalty"
    ):
        sent(Service(takes_in_after=1000), count=6)


def test_each_till_counts_its_purchases_from_1_and_leaves_no_number_out():
    made = sent(Service(), count=10)
    numbers = {till.name: [s.request["number"] for s in till.sent] for till in made.tills}
    assert numbers == {"run-till-1": [1, 2, 3, 4], "run-till-2": [1, 2, 3], "run-till-3": [1, 2, 3]}
    assert sorted(s.request["purchase_id"] for s in made.sent) == sorted(p["purchase_id"] for p in PURCHASES[:10])
