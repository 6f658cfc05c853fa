"""Tills that number their purchases and send them over a network that loses some, until the stream job has all.

What was answered lies safe on the service's disk. What was not may have come all the same: a till asks which of its
numbers the stream job lacks, and sends those again.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from errors import ServiceFailed
from features.loyalty import LOYALTY, PURCHASES
from features.windows.events import NUMBER, PRODUCER
from jobs.simulate.network import Copy, Network, Wire

ASK_SECONDS, TELL_SECONDS = 0.25, 5.0
#: So long after the slowest message its answer may still come.
PATIENCE_SECONDS = 1.0
#: What lies on the service's disk for so long waits for a stream job that is not there.
GIVE_UP_SECONDS = 30.0


class Service(Protocol):
    """As `jobs/simulate/caller.py` has it; many threads call it."""

    def decide(self, risk: str, request: dict[str, Any]) -> dict[str, Any]: ...

    def missing(self, stream: str, producer: str, last: int) -> list[list[int]]: ...


@dataclass
class Sent:
    """A purchase as it is sent, first `at` a moment. On the steady clock: an answer may come `until`; when it did."""

    request: dict[str, Any]
    at: datetime
    attempts: int = 0
    was_lost: bool = False
    until: float = 0.0
    answered: float | None = None


@dataclass
class Till:
    """Its purchase of number n stands at n − 1."""

    place: int
    name: str
    sent: list[Sent] = field(default_factory=list)


class Tills:
    """`counts`: of all `messages` those that were `lost`, and the lost `answers`."""

    def __init__(
        self, run: str, tills: int, network: Network, wire: Wire, service: Service, tell: Callable[[str], object]
    ) -> None:
        self.tills = [Till(place, f"{run}-till-{place}") for place in range(1, tills + 1)]
        self.counts = Counter[str](messages=0, lost=0, answers=0)
        self._network, self._wire, self._service, self._tell = network, wire, service, tell
        self._began = self._told = time.monotonic()

    @property
    def sent(self) -> Iterator[Sent]:
        return (sent for till in self.tills for sent in till.sent)

    def send_all(self, purchases: Sequence[Mapping[str, Any]], per_second: float) -> None:
        """Each in its turn, at one till after the other, until the stream job has all of them and nothing is under way
        any more. Raises ServiceFailed."""
        began = asked = time.monotonic()
        for n, purchase in enumerate(purchases):
            self._wire.run(began + n / per_second)
            self._sell(self.tills[n % len(self.tills)], purchase)
            if time.monotonic() > asked + ASK_SECONDS:
                self._ask()
                asked = time.monotonic()
        while self._ask():
            self._wire.run(time.monotonic() + ASK_SECONDS)
        self._wire.finish()

    def _sell(self, till: Till, purchase: Mapping[str, Any]) -> None:
        numbered = {**purchase, PRODUCER: till.name, NUMBER: len(till.sent) + 1}
        till.sent.append(Sent(numbered, datetime.now(UTC)))
        self._send(till, till.sent[-1])

    def _ask(self) -> int:
        """Send again what is missing and was not answered in time. How many are missing."""
        missing = 0
        for till in self.tills:
            for first, last in self._service.missing(PURCHASES.name, till.name, len(till.sent)):
                missing += last - first + 1
                for sent in till.sent[first - 1 : last]:
                    self._look_after(till, sent)
        if time.monotonic() > self._told + TELL_SECONDS:
            self._told = time.monotonic()
            self._tell(
                f"{self._told - self._began:6.1f} s  {len(list(self.sent)):,} sent, the stream job lacks {missing:,}"
            )
        return missing

    def _look_after(self, till: Till, sent: Sent) -> None:
        now = time.monotonic()
        if sent.answered is None and now > sent.until:
            self._send(till, sent)
        elif sent.answered is not None and now > sent.answered + GIVE_UP_SECONDS:
            raise ServiceFailed(
                f"The service has had purchase {sent.request[NUMBER]} of {till.name} for {GIVE_UP_SECONDS:.0f} s, "
                "and no stream job has taken it in. Start one: python -m jobs stream loyalty"
            )

    def _send(self, till: Till, sent: Sent) -> None:
        now = time.monotonic()
        sent.attempts += 1
        sent.until = now + self._network.delay[1] + PATIENCE_SECONDS
        copies = self._network.copies(till.place, sent.request[NUMBER], sent.attempts)
        sent.was_lost = sent.was_lost or not copies
        self.counts.update(messages=1, lost=not copies, answers=sum(copy.is_answer_lost for copy in copies))
        for copy in copies:
            self._wire.put(now + copy.seconds, partial(self._deliver, sent, copy))

    def _deliver(self, sent: Sent, copy: Copy) -> None:
        self._service.decide(LOYALTY.name, sent.request)
        if not copy.is_answer_lost and sent.answered is None:
            sent.answered = time.monotonic()
