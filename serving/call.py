"""One call of the service: who asks, and how long each step of the answer takes."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime


def _stopped() -> int:
    """A timer for those who measure nothing."""
    return 0


@dataclass(frozen=True)
class Begun:
    """A request that has a key: the ids of its decisions follow from `seed`. With `is_again`, it was begun at `since`
    before, and its decisions may be in the audit log."""

    seed: str
    since: datetime
    is_again: bool

    def ids(self, count: int) -> list[str]:
        """The ids of its decisions, in order."""
        return [str(uuid.uuid5(uuid.UUID(self.seed), str(i))) for i in range(count)]


@dataclass
class Call:
    """`caller` is the user or key that asks, "" where nobody has to sign in. `timer` gives nanoseconds, and gave
    `arrived` when the request arrived. `steps` gets (name, begin, end) of each step, in the order in which they end.
    `decided` gets (risk, outcome) of each decision. `error` is the name of the error that was answered. `begun` is
    there if the caller may send the request again. `waits` are functions that wait until the disk has what was written.

    Whoever makes a call settles it before the answer is given."""

    caller: str = ""
    request_id: str = ""
    timer: Callable[[], int] = _stopped
    arrived: int = 0
    steps: list[tuple[str, int, int]] = field(default_factory=list)
    decided: list[tuple[str, str]] = field(default_factory=list)
    error: str = ""
    begun: Begun | None = None
    waits: list[Callable[[], None]] = field(default_factory=list)

    def settle(self) -> None:
        """Wait for all that must be on the disk before the answer is given. Raises what a wait raises."""
        if self.waits:
            with self.step("commit"):
                while self.waits:
                    self.waits.pop(0)()

    def latency_us(self) -> dict[str, int]:
        """The µs of each step that has ended. Nothing without a timer."""
        if self.timer is _stopped:
            return {}
        return {name: (end - begin) // 1000 for name, begin, end in self.steps}

    def step(self, name: str) -> "_Step":
        """Measure what happens inside: `with call.step("score"):`."""
        return _Step(self, name)


class _Step:
    """A class, because a generator takes four times as long, and a decision has six steps."""

    def __init__(self, call: Call, name: str) -> None:
        self._call, self._name = call, name

    def __enter__(self) -> None:
        self._begin = self._call.timer()

    def __exit__(self, *_: object) -> None:
        self._call.steps.append((self._name, self._begin, self._call.timer()))
