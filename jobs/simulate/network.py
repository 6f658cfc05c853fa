"""A network that loses, duplicates and delays messages, so that they overtake each other. What happens to a message
depends on a seed and on the message, not on the order in which threads run."""

import heapq
import itertools
import math
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import NamedTuple

#: Deliveries that are made at a time, and deliveries that wait for one of these threads.
THREADS, WAITING = 8, 8
#: The sender never waits while fewer messages than this are under way.
FEWEST_UNDER_WAY = 64
Delivery = Callable[[], None]


class Copy(NamedTuple):
    """A copy of a message, which arrives after `seconds`. The answer to it may be lost."""

    seconds: float
    is_answer_lost: bool


@dataclass(frozen=True)
class Network:
    """`loss` is the probability that a message is lost, and the same for an answer; `duplicate` that a message arrives
    twice. The delay of a copy is uniform between the two values of `delay`, in seconds."""

    loss: float
    duplicate: float
    delay: tuple[float, float]
    seed: int

    def copies(self, sender: int, number: int, attempt: int) -> list[Copy]:
        """The copies of a message that arrive: none, one or two."""
        rng = Random(f"{self.seed} {sender} {number} {attempt}")
        is_lost, is_duplicated = rng.random() < self.loss, rng.random() < self.duplicate
        both = [Copy(rng.uniform(*self.delay), rng.random() < self.loss) for _ in range(2)]
        return [] if is_lost else both[: 1 + is_duplicated]


class Wire:
    """Deliveries that are under way. A thread of a pool makes each when it is due. Only one thread may use a wire.

    A sender notices only seconds later that it sends too fast: when the messages arrive. So the number of messages that
    may be under way grows while the receiver keeps up, and shrinks while it does not.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS)
        self._due: list[tuple[float, int, Delivery]] = []
        self._count = itertools.count()
        self._running: set[Future[None]] = set()
        self._most = FEWEST_UNDER_WAY

    def __enter__(self) -> "Wire":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)

    def put(self, due: float, delivery: Delivery) -> None:
        """Add a delivery. `due` is a time of `time.monotonic()`."""
        heapq.heappush(self._due, (due, next(self._count), delivery))

    def run(self, until: float) -> None:
        """Deliver what is due until a time of `time.monotonic()`; or longer, while too many messages are under way, so
        that the sender waits for the receiver. Raises what a delivery raises."""
        while True:
            self._await(0)
            now, due = time.monotonic(), self._due[0][0] if self._due else math.inf
            if due <= now:
                self._start()
            elif now < until:
                self._await(min(due, until) - now)
            elif len(self._due) >= self._most:
                self._await(due - now)
            else:
                return

    def _start(self) -> None:
        """Start the delivery that is due; or wait, where all threads are busy and enough deliveries wait for them."""
        if len(self._running) < THREADS + WAITING:
            self._running.add(self._pool.submit(heapq.heappop(self._due)[2]))
            self._most += 1
        else:
            self._most = max(self._most - 1, FEWEST_UNDER_WAY)
            self._await(None)

    def finish(self) -> None:
        """Deliver everything that is under way. Raises what a delivery raises."""
        self.run(max((due for due, *_ in self._due), default=0.0))
        while self._running:
            self._await(None)

    def _await(self, seconds: float | None) -> None:
        """Wait until a delivery is made, for at most this time."""
        if not self._running:
            time.sleep(seconds or 0)
            return
        done, self._running = wait(self._running, seconds, FIRST_COMPLETED)
        for delivery in done:
            delivery.result()
