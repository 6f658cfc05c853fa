"""Tills on a lossy network, with a service and a stream job of a few lines, by a clock that the test moves: every
purchase arrives. Without asking what is missing, some would be lost."""

import heapq
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from errors import ServiceFailed
from features import numbers
from jobs.simulate.loyalty import tills
from jobs.simulate.loyalty.tills import Tills
from jobs.simulate.network import Delivery, Network, Wire

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR_SECONDS = 3600
LOSSY = Network(loss=0.3, duplicate=0.2, delay=(0.0, 0.02), seed=7)
PURCHASES = [
    {"purchase_id": f"p{n}", "customer_id": "c1", "purchase_value": 5.0, "purchase_timestamp": NOON.isoformat()}
    for n in range(60)
]


class Clock:
    """Stands still until a wire moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class InstantWire(Wire):
    """Moves the clock to each delivery, and makes it."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._deliveries = clock, list[tuple[float, int, Delivery]]()

    def put(self, due: float, delivery: Delivery) -> None:
        heapq.heappush(self._deliveries, (due, len(self._deliveries), delivery))

    def run(self, until: float) -> None:
        while self._deliveries and self._deliveries[0][0] <= until:
            due, _, delivery = heapq.heappop(self._deliveries)
            self._clock.now = max(self._clock.now, due)
            delivery()
        self._clock.now = max(self._clock.now, until)
        assert self._clock.now < HOUR_SECONDS, "the tills send and ask for ever"

    def finish(self) -> None:
        self.run(max((due for due, *_ in self._deliveries), default=self._clock.now))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tills, "time", clock)
    return clock


class Service:
    """Accepts purchases. Its stream job receives each some seconds later."""

    def __init__(self, clock: Clock, job_delay_seconds: float = 0.0) -> None:
        self.accepted: list[tuple[str, int]] = []
        self.clock, self._accepted_at = clock, dict[tuple[str, int], float]()
        self._job_delay_seconds = job_delay_seconds

    def decide(self, risk: str, request: dict[str, Any]) -> dict[str, Any]:
        key = request["producer"], request["number"]
        self.accepted.append(key)
        self._accepted_at.setdefault(key, self.clock.now)
        return {}

    def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
        ranges: list[list[int]] = []
        for (name, number), at in self._accepted_at.items():
            if name == producer and self.clock.now >= at + self._job_delay_seconds:
                numbers.add_number(ranges, number)
        return numbers.missing_numbers(ranges, last)


def send(service: Service, network: Network = LOSSY, count: int = 60, run: str = "run") -> Tills:
    """Send purchases at three tills. Returns when the service's stream job has received all."""
    sender = Tills(run, 3, network, InstantWire(service.clock), service, lambda _: None)
    sender.send_all(PURCHASES[:count], per_second=2000)
    return sender


def test_every_purchase_arrives_though_messages_and_answers_are_lost(clock: Clock) -> None:
    service = Service(clock)
    sender = send(service)
    assert set(service.accepted) == {(f"run-till-{t}", n) for t in (1, 2, 3) for n in range(1, 21)}
    assert sender.counts["lost"] > 5
    assert sender.counts["answers"] > 5
    assert any(sent.was_lost for sent in sender.sent)


def test_without_asking_again_purchases_are_lost_for_good(clock: Clock) -> None:
    class Complacent(Service):
        def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
            return []

    service = Complacent(clock)
    sender = send(service)
    lost = {sent.request["purchase_id"] for sent in sender.sent if sent.was_lost}
    assert len(lost) == sender.counts["lost"] > 5
    assert len(set(service.accepted)) == 60 - len(lost)


def test_the_same_seed_gives_each_message_the_same_fate_in_any_run(clock: Clock) -> None:
    services = Service(clock), Service(clock)
    first, second = (send(service, run=run) for service, run in zip(services, ("first", "second"), strict=True))
    assert first.counts == second.counts
    accepted = [Counter((name[-1], number) for name, number in service.accepted) for service in services]
    assert accepted[0] == accepted[1]


def test_a_purchase_with_an_answer_is_not_sent_again_to_a_slow_job(clock: Clock) -> None:
    service = Service(clock, job_delay_seconds=tills.GIVE_UP_SECONDS - 1)
    sender = send(service, Network(0, 0, (0, 0), 1))
    assert sender.counts == {"messages": 60, "lost": 0, "answers": 0}
    assert len(service.accepted) == 60


def test_a_purchase_whose_answer_alone_is_lost_is_not_sent_again(clock: Clock) -> None:
    service = Service(clock)
    sender = send(service, Network(0.5, 0, (0, 0.01), seed=3))
    assert sender.counts["answers"] > 5
    assert len(service.accepted) == 60


def test_without_a_stream_job_the_run_ends_and_says_how_to_start_one(clock: Clock) -> None:
    message = r"no stream job has received it\. Start one: python -m jobs stream loyalty"
    with pytest.raises(ServiceFailed, match=message):
        send(Service(clock, job_delay_seconds=tills.GIVE_UP_SECONDS + 1), count=6)


def test_each_till_numbers_its_purchases_from_1_without_a_gap(clock: Clock) -> None:
    sender = send(Service(clock), count=10)
    numbers = {till.name: [sent.request["number"] for sent in till.sent] for till in sender.tills}
    assert numbers == {"run-till-1": [1, 2, 3, 4], "run-till-2": [1, 2, 3], "run-till-3": [1, 2, 3]}
    sent_ids = sorted(sent.request["purchase_id"] for sent in sender.sent)
    assert sent_ids == sorted(purchase["purchase_id"] for purchase in PURCHASES[:10])
