"""Kills work in the middle of what it writes, and tells where that was.

The work runs in a process of its own, which notes in shared memory the phase that it is in. To be killed in a phase, it
sets an alarm on entering it: the kernel ends the process then as SIGKILL does, however busy the machine is.
"""

import itertools
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import pytest
from processes import RUN_SECONDS, WAIT_SECONDS, die_with_parent

#: Imported once, by the process from which all others are forked.
PRELOAD = ["kill", "stream_world", "jobs.batch.table", "jobs.raw.relations", "jobs.stream.loop"]
CONTEXT = multiprocessing.get_context("forkserver")
BETWEEN = "between phases"


class Plan(NamedTuple):
    """To be killed some seconds after it enters a phase for the n-th time, from 1 on."""

    phase: str
    entry: int
    seconds: float


class Watch:
    """The work's side: notes the phases that its threads are in."""

    def __init__(self, phases: Sequence[str], plan: Plan | None, memory: "Memory") -> None:
        self._phases, self._plan, self._memory = [BETWEEN, *phases], plan, memory
        self._places: dict[int, int] = {}

    @contextmanager
    def inside(self, phase: str) -> Iterator[None]:
        thread, place = threading.get_ident(), self._phases.index(phase)
        before = self._places.get(thread, 0)
        self._move(thread, before, place)
        self._memory.entries[place] += 1
        if self._plan and self._plan[:2] == (phase, self._memory.entries[place]):
            signal.setitimer(signal.ITIMER_REAL, max(self._plan.seconds, 1e-6))
        began = time.perf_counter()
        try:
            yield
        finally:
            self._memory.seconds[place] += time.perf_counter() - began
            self._move(thread, place, before)

    def _move(self, thread: int, before: int, place: int) -> None:
        self._places[thread] = place
        self._memory.threads[before] -= 1
        self._memory.threads[place] += 1

    def calls(self, patch: pytest.MonkeyPatch, owner: object, name: str, phase: str) -> None:
        """Every call of `owner.name` is in a phase."""
        work = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            with self.inside(phase):
                return work(*args, **kwargs)

        patch.setattr(owner, name, watched)

    def blocks(self, patch: pytest.MonkeyPatch, owner: object, name: str, phase: str) -> None:
        """Every `with` block that `owner.name` makes is in a phase, its beginning and its end too."""
        make: Callable[..., AbstractContextManager[Any]] = getattr(owner, name)

        @contextmanager
        def watched(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with self.inside(phase), make(*args, **kwargs) as value:
                yield value

        patch.setattr(owner, name, watched)


class Memory:
    """What both sides share: for each phase the threads that are in it, its entries, and their seconds."""

    def __init__(self, phases: int) -> None:
        self.threads = CONTEXT.RawArray("i", phases + 1)
        self.entries = CONTEXT.RawArray("i", phases + 1)
        self.seconds = CONTEXT.RawArray("d", phases + 1)


class Work:
    """`function(watch, *arguments)`, which must be a function of a module."""

    def __init__(self, function: Callable[..., None], *arguments: object, phases: Sequence[str]) -> None:
        self._function, self._arguments, self._phases = function, arguments, phases

    def whole(self) -> dict[str, float]:
        """Work to the end. The mean seconds of each phase, and those of all under BETWEEN."""
        memory, began = Memory(len(self._phases)), time.perf_counter()
        assert self._death(memory, None, None) is None
        assert all(memory.entries[1:]), dict(zip(self._phases, memory.entries[1:], strict=True))
        means = [seconds / count for seconds, count in zip(memory.seconds[1:], memory.entries[1:], strict=True)]
        return {BETWEEN: time.perf_counter() - began, **dict(zip(self._phases, means, strict=True))}

    def killed(self, plan: Plan) -> str | None:
        """The phase in which it was killed, that of the plan if a thread was in it; None if it came to its end
        before."""
        return self._death(Memory(len(self._phases)), plan, None)

    def killed_after(self, seconds: float) -> str | None:
        """The same, some seconds after it began to work."""
        return self._death(Memory(len(self._phases)), None, seconds)

    def _death(self, memory: Memory, plan: Plan | None, seconds: float | None) -> str | None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # Python 3.11 tells it no other way
            CONTEXT.set_forkserver_preload(PRELOAD)
            begins = CONTEXT.Event()
            watch = Watch(self._phases, plan, memory)
            process = CONTEXT.Process(target=_work, args=(begins, self._function, watch, self._arguments), daemon=True)
            process.start()
        try:
            assert begins.wait(WAIT_SECONDS)
            process.join(RUN_SECONDS if seconds is None else seconds)
        finally:
            process.kill()
            process.join()
        assert process.exitcode in (0, -signal.SIGALRM, -signal.SIGKILL), f"it failed with {process.exitcode}"
        if not process.exitcode:
            return None
        phases = [phase for phase, threads in zip(self._phases, memory.threads[1:], strict=True) if threads > 0]
        return plan.phase if plan and plan.phase in phases else [BETWEEN, *phases][-1]


def _work(begins: Any, function: Callable[..., None], watch: Watch, arguments: tuple[object, ...]) -> None:
    die_with_parent()
    begins.set()
    function(watch, *arguments)


def at_call(number: int, owner: object, name: str, act: Callable[[], object]) -> None:
    """Do something as `owner.name` is called for the n-th time, from now on. For a fork, which never takes it back. A
    test that waited for a state of the fork, and acted then, would come too late where it stands still meanwhile."""
    work, calls = getattr(owner, name), itertools.count(1)

    def watched(*args: Any, **kwargs: Any) -> Any:
        if next(calls) == number:
            act()
        return work(*args, **kwargs)

    setattr(owner, name, watched)


def die_soon() -> None:
    """Let the kernel end this process in a hundredth of a second, as SIGKILL does."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def die_at_size(most_bytes: int) -> None:
    """Let the kernel end this process as it writes more than so many bytes to a file."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
