"""Tills on a lossy network, with a service and a stream job of a few lines: every purchase arrives. Without asking what
is missing, some would be lost."""

import time
from collections import Counter
from datetime import UTC, datetime
from threading import Lock
from typing import Any

import pytest
from constants import override

from errors import ServiceFailed
from features.windows import events
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
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    override(monkeypatch, tills, ASK_SECONDS=0.02, PATIENCE_SECONDS=0.15, GIVE_UP_SECONDS=0.5)


class Service:
    """Accepts purchases. Its stream job receives each some seconds later."""

    def __init__(self, job_delay_seconds: float = 0.0) -> None:
        self.accepted: list[tuple[str, int]] = []
        self._accepted_at: dict[tuple[str, int], float] = {}
        self._job_delay_seconds, self._lock = job_delay_seconds, Lock()

    def decide(self, risk: str, request: dict[str, Any]) -> dict[str, Any]:
        key = request["producer"], request["number"]
        with self._lock:
            self.accepted.append(key)
            self._accepted_at.setdefault(key, time.monotonic())
        return {}

    def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
        ranges: list[list[int]] = []
        with self._lock:
            for (name, number), at in self._accepted_at.items():
                if name == producer and time.monotonic() >= at + self._job_delay_seconds:
                    events.add_number(ranges, number)
        return events.missing_numbers(ranges, last)


def send(service: Service, network: Network = LOSSY, count: int = 60, run: str = "run") -> Tills:
    """Send purchases at three tills. Returns when the service's stream job has received all."""
    with Wire() as wire:
        sender = Tills(run, 3, network, wire, service, lambda _: None)
        sender.send_all(PURCHASES[:count], per_second=2000)
    return sender


def test_every_purchase_arrives_though_messages_and_answers_are_lost() -> None:
    service = Service()
    sender = send(service)
    assert set(service.accepted) == {(f"run-till-{t}", n) for t in (1, 2, 3) for n in range(1, 21)}
    assert sender.counts["lost"] > 5
    assert sender.counts["answers"] > 5
    assert any(sent.was_lost for sent in sender.sent)


def test_without_asking_again_purchases_are_lost_for_good() -> None:
    class Complacent(Service):
        def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
            return []

    service = Complacent()
    sender = send(service)
    lost = {sent.request["purchase_id"] for sent in sender.sent if sent.was_lost}
    assert len(lost) == sender.counts["lost"] > 5
    assert len(set(service.accepted)) == 60 - len(lost)


def test_the_same_seed_gives_each_message_the_same_fate_in_any_run() -> None:
    services = Service(), Service()
    first, second = (send(service, run=run) for service, run in zip(services, ("first", "second"), strict=True))
    assert first.counts == second.counts
    accepted = [Counter((name[-1], number) for name, number in service.accepted) for service in services]
    assert accepted[0] == accepted[1]


def test_a_purchase_with_an_answer_is_not_sent_again_to_a_slow_job() -> None:
    service = Service(job_delay_seconds=0.4)
    sender = send(service, Network(0, 0, (0, 0), 1))
    assert sender.counts == {"messages": 60, "lost": 0, "answers": 0}
    assert len(service.accepted) == 60


def test_a_purchase_whose_answer_alone_is_lost_is_not_sent_again() -> None:
    service = Service()
    sender = send(service, Network(0.5, 0, (0, 0.01), seed=3))
    assert sender.counts["answers"] > 5
    assert len(service.accepted) == 60


def test_without_a_stream_job_the_run_ends_and_says_how_to_start_one() -> None:
    message = r"no stream job has received it\. Start one: python -m jobs stream loyalty"
    with pytest.raises(ServiceFailed, match=message):
        send(Service(job_delay_seconds=1000), count=6)


def test_each_till_numbers_its_purchases_from_1_without_a_gap() -> None:
    sender = send(Service(), count=10)
    numbers = {till.name: [sent.request["number"] for sent in till.sent] for till in sender.tills}
    assert numbers == {"run-till-1": [1, 2, 3, 4], "run-till-2": [1, 2, 3], "run-till-3": [1, 2, 3]}
    sent_ids = sorted(sent.request["purchase_id"] for sent in sender.sent)
    assert sent_ids == sorted(purchase["purchase_id"] for purchase in PURCHASES[:10])
