"""Does steps of the pipeline in processes beside each other."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context, parent_process
from multiprocessing.queues import SimpleQueue

from errors import StepKilled
from jobs.build.steps import Step

#: More processes do not end sooner: the longest steps come one after the other. Each takes up to a gigabyte of memory.
MOST = 4

#: In a worker: what it tells of its parts, as (step, part); None ends what listens.
_Parts = SimpleQueue[tuple[str, str] | None]
_parts: _Parts


class Workers:
    """Steps at work. An instance belongs to one thread."""

    def __init__(self, pool: ProcessPoolExecutor, processes: int) -> None:
        #: How many steps can be at work.
        self.processes = processes
        self._pool = pool
        self._steps: dict[Future[tuple[str, float]], Step] = {}
        self._is_prepared = False

    def prepare(self) -> None:
        """Let a process that has no step yet import what most steps need. Only the first call does."""
        if not self._is_prepared:
            self._is_prepared = True
            self._pool.submit(_import)

    def begin(self, step: Step) -> None:
        """Let a process do a step, once one is free."""
        self._steps[self._pool.submit(_do, step.name, step.work)] = step

    def ended(self) -> Iterator[tuple[Step, str, float]]:
        """Wait until a step has ended. The steps that have, each with its summary and how many seconds it took; none
        if none is at work. Raises what a step raises."""
        for future in wait(self._steps, return_when=FIRST_COMPLETED).done if self._steps else ():
            summary, seconds = future.result()
            yield self._steps.pop(future), summary, seconds

    @property
    def names(self) -> list[str]:
        """The names of the steps that have begun and not ended."""
        return [step.name for step in self._steps.values()]


@contextmanager
def started(on_part: Callable[[str, str], object]) -> Iterator[Workers]:
    """Workers, until the block ends. `on_part` is called in a thread, with the names of a step and of its part. After
    an error, steps that are at work are finished, and no other is begun. Raises StepKilled."""
    spawn, cores = get_context("spawn"), len(os.sched_getaffinity(0))
    parts = spawn.SimpleQueue()
    listener = threading.Thread(target=_listen, args=(parts, on_part))
    processes = min(cores, MOST)
    pool = ProcessPoolExecutor(processes, spawn, _begin, (parts,))
    at_work = Workers(pool, processes)
    listener.start()
    try:
        yield at_work
    except BrokenProcessPool:
        names = ", ".join(at_work.names)
        raise StepKilled(f"One of these steps was killed: {names}. Most often, memory ran out.") from None
    finally:
        pool.shutdown(cancel_futures=True)
        parts.put(None)
        listener.join()


def _listen(parts: _Parts, on_part: Callable[[str, str], object]) -> None:
    while part := parts.get():
        on_part(*part)


def _begin(parts: _Parts) -> None:
    """What a worker does first."""
    global _parts
    _parts = parts
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the process that started it says that it was interrupted
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for another step for ever."""
    parent = parent_process()
    assert parent is not None, "a worker has one"
    parent.join()
    os._exit(1)


def _import() -> None:
    """Feast, and what a training needs: three seconds of processor time."""
    import jobs.train.champion  # noqa: F401
    import serving.retrieval  # noqa: F401


def _do(step: str, work: "partial[str]") -> tuple[str, float]:
    began = time.perf_counter()
    summary = work(lambda part: _parts.put((step, part)))
    return summary, time.perf_counter() - began
