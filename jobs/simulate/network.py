"""A network that loses messages, doubles and delays them, so that they overtake each other. What becomes of a message
rests on a seed and on the message, and not on which thread was first."""

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

#: Deliveries at a time, and how many of them may wait for a thread.
THREADS, WAITING = 8, 8
#: So many messages may always be under way.
FEWEST_UNDER_WAY = 64
Delivery = Callable[[], None]


class Copy(NamedTuple):
    """One of a message, as it arrives after so many seconds; its answer may get lost."""

    seconds: float
    is_answer_lost: bool


@dataclass(frozen=True)
class Network:
    """`loss`, of a message as of an answer, and `duplicate`: how probable. `delay`: the least and the most, in seconds;
    all between are as probable."""

    loss: float
    duplicate: float
    delay: tuple[float, float]
    seed: int

    def copies(self, sender: int, number: int, attempt: int) -> list[Copy]:
        """Those that arrive of a message: none, one or two."""
        rng = Random(f"{self.seed} {sender} {number} {attempt}")
        is_lost, is_doubled = rng.random() < self.loss, rng.random() < self.duplicate
        both = [Copy(rng.uniform(*self.delay), rng.random() < self.loss) for _ in range(2)]
        return [] if is_lost else both[: 1 + is_doubled]


class Wire:
    """Deliveries that are under way, each made when it is due, by a thread of its pool. One thread alone calls it.

    How many may be under way grows as long as who receives keeps up, and shrinks when not: that something is sent too
    fast is known only when it arrives, seconds later.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS)
        self._due: list[tuple[float, int, Delivery]] = []
        self._count = itertools.count()
        self._running: set[Future[None]] = set()
        self._most = FEWEST_UNDER_WAY

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, of: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._pool.shutdown(cancel_futures=True)

    def put(self, due: float, delivery: Delivery) -> None:
        """`due`: on the steady clock."""
        heapq.heappush(self._due, (due, next(self._count), delivery))

    def run(self, until: float) -> None:
        """Deliver what is due, up to a moment; longer where too much is under way, so that who sends waits for who
        receives. Raises what a delivery raised."""
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
        """The delivery that is due, or where there is no room for it, wait for room."""
        if len(self._running) < THREADS + WAITING:
            self._running.add(self._pool.submit(heapq.heappop(self._due)[2]))
            self._most += 1
        else:
            self._most = max(self._most - 1, FEWEST_UNDER_WAY)
            self._await(None)

    def finish(self) -> None:
        """Deliver all."""
        self.run(max((due for due, *_ in self._due), default=0.0))
        while self._running:
            self._await(None)

    def _await(self, seconds: float | None) -> None:
        """Wait until a delivery is made, for so long at most."""
        if not self._running:
            time.sleep(seconds or 0)
            return
        done, self._running = wait(self._running, seconds, FIRST_COMPLETED)
        for delivery in done:
            delivery.result()
