"""Tills number their purchases and send them over a network that loses some, until the stream job has received all.

A purchase with an answer is safe on the service's disk. One without an answer may have arrived all the same. So a till
asks which of its numbers the stream job has not received, and sends those again.
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

#: How often the tills ask what is missing, and print how far they are.
ASK_SECONDS, REPORT_SECONDS = 0.25, 5.0
#: A till waits for an answer this long after the slowest message must have arrived.
PATIENCE_SECONDS = 1.0
#: A purchase that has an answer for this long, and that the stream job has not received, waits for a job that is not
#: there.
GIVE_UP_SECONDS = 30.0


class Service(Protocol):
    """As `jobs/simulate/caller.py` has it. Many threads call it."""

    def decide(self, risk: str, request: dict[str, Any]) -> dict[str, Any]:
        """The decision on one request."""

    def missing(self, stream: str, producer: str, last: int) -> list[list[int]]:
        """The ranges of numbers that the stream job has not received."""


@dataclass
class Sent:
    """A purchase that a till has sent, for the first time `at`. `deadline` is until when it waits for an answer,
    `answered` when it got one, both by `time.monotonic()`."""

    request: dict[str, Any]
    at: datetime
    attempts: int = 0
    was_lost: bool = False
    deadline: float = 0.0
    answered: float | None = None


@dataclass
class Till:
    """Its purchase with the number n is `sent[n - 1]`."""

    place: int
    name: str
    sent: list[Sent] = field(default_factory=list)


class Tills:
    """`counts` has the `messages`, how many of them were `lost`, and how many `answers` were lost."""

    def __init__(
        self, run: str, tills: int, network: Network, wire: Wire, service: Service, report: Callable[[str], object]
    ) -> None:
        self.tills = [Till(place, f"{run}-till-{place}") for place in range(1, tills + 1)]
        self.counts = Counter[str](messages=0, lost=0, answers=0)
        self._network, self._wire, self._service, self._report = network, wire, service, report
        self._began = self._reported = time.monotonic()

    @property
    def sent(self) -> Iterator[Sent]:
        """Every message of every till."""
        return (sent for till in self.tills for sent in till.sent)

    def send_all(self, purchases: Sequence[Mapping[str, Any]], per_second: float) -> None:
        """Send purchases in their order, at one till after the other, until the stream job has received all and no
        message is under way. Raises ServiceFailed."""
        began = last_check = time.monotonic()
        for n, purchase in enumerate(purchases):
            self._wire.run(began + n / per_second)
            self._sell(self.tills[n % len(self.tills)], purchase)
            if time.monotonic() > last_check + ASK_SECONDS:
                self._resend_missing()
                last_check = time.monotonic()
        while self._resend_missing():
            self._wire.run(time.monotonic() + ASK_SECONDS)
        self._wire.finish()

    def _sell(self, till: Till, purchase: Mapping[str, Any]) -> None:
        numbered = {**purchase, PRODUCER: till.name, NUMBER: len(till.sent) + 1}
        till.sent.append(Sent(numbered, datetime.now(UTC)))
        self._send(till, till.sent[-1])

    def _resend_missing(self) -> int:
        """Send the missing purchases again that got no answer in time. Returns how many are missing."""
        missing = 0
        for till in self.tills:
            for first, last in self._service.missing(PURCHASES.name, till.name, len(till.sent)):
                missing += last - first + 1
                for sent in till.sent[first - 1 : last]:
                    self._resend(till, sent)
        if time.monotonic() > self._reported + REPORT_SECONDS:
            self._reported = time.monotonic()
            self._report(
                f"{self._reported - self._began:6.1f} s  {len(list(self.sent)):,} sent, "
                f"the stream job lacks {missing:,}"
            )
        return missing

    def _resend(self, till: Till, sent: Sent) -> None:
        now = time.monotonic()
        if sent.answered is None and now > sent.deadline:
            self._send(till, sent)
        elif sent.answered is not None and now > sent.answered + GIVE_UP_SECONDS:
            raise ServiceFailed(
                f"The service has had purchase {sent.request[NUMBER]} of {till.name} for {GIVE_UP_SECONDS:.0f} s, "
                "and no stream job has received it. Start one: python -m jobs stream loyalty"
            )

    def _send(self, till: Till, sent: Sent) -> None:
        now = time.monotonic()
        sent.attempts += 1
        sent.deadline = now + self._network.delay[1] + PATIENCE_SECONDS
        copies = self._network.copies(till.place, sent.request[NUMBER], sent.attempts)
        sent.was_lost = sent.was_lost or not copies
        self.counts.update(messages=1, lost=not copies, answers=sum(copy.is_answer_lost for copy in copies))
        for copy in copies:
            self._wire.put(now + copy.seconds, partial(self._deliver, sent, copy))

    def _deliver(self, sent: Sent, copy: Copy) -> None:
        self._service.decide(LOYALTY.name, sent.request)
        if not copy.is_answer_lost and sent.answered is None:
            sent.answered = time.monotonic()
