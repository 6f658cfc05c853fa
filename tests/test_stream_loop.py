"""What a stream job does to the process that runs it."""

import gc
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from time import sleep
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from constants import override
from stream_world import STREAM, Batches, Sink, event

import settings
from errors import FeaturesNotReady
from jobs.stream import kafka, loop, process


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def thresholds() -> Iterator[tuple[int, int, int]]:
    """Those of this process's garbage collector. They are restored at the end."""
    before = gc.get_threshold()
    yield before
    gc.set_threshold(*before)


def test_a_job_in_another_process_leaves_its_garbage_collector_alone(thresholds: tuple[int, int, int]) -> None:
    source: Any = Batches([event(0, 0)])
    store: Any = Sink()
    loop.run(settings.root(), STREAM, source, store, settings.hash_key(), True, Event(), lambda line: None)
    assert gc.get_threshold() == thresholds


def test_the_process_of_the_stream_jobs_collects_rarely(
    thresholds: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    in_job: list[tuple[int, int, int]] = []
    retrieval: Any = ModuleType("serving.retrieval")
    retrieval.FeastStore = lambda *_, **__: Sink()
    monkeypatch.setitem(sys.modules, "serving.retrieval", retrieval)  # Feast takes seconds to import
    monkeypatch.setattr(loop, "run", lambda *arguments, **options: in_job.append(gc.get_threshold()))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    process.run(settings.root(), "coupon", "log", True, None)
    assert in_job == [process.GC_THRESHOLDS]
    assert thresholds < process.GC_THRESHOLDS


@pytest.mark.usefixtures("thresholds")
def test_a_worker_on_kafka_waits_for_the_disk_and_the_embedded_job_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's offsets pass what it wrote. The embedded job finds out what a power cut took."""
    waits: list[bool] = []
    retrieval: Any = ModuleType("serving.retrieval")
    retrieval.FeastStore = lambda *_, waits_for_disk=True: waits.append(waits_for_disk) or Sink()
    monkeypatch.setitem(sys.modules, "serving.retrieval", retrieval)
    monkeypatch.setattr(loop, "run", lambda *_, **__: None)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(process, "find_spec", lambda name: name)
    monkeypatch.setattr(kafka, "worker", SimpleNamespace(How=lambda *_: None, run=lambda *_: None), raising=False)
    process.run(settings.root(), "coupon", "log", True, None)
    process.run(settings.root(), "coupon", "kafka://127.0.0.1:1/attempts", True, None)
    assert waits == [False, True]


class NotApplied(Sink):
    """A store without the views, as before `feast apply`."""

    tries = 0

    def kept(self, *_: object) -> Any:
        NotApplied.tries += 1
        raise FeaturesNotReady("The feature view 'people_state' is not applied. Run: make pipeline")


def test_a_job_that_runs_once_ends_with_the_error_of_the_store() -> None:
    source: Any = Batches([event(0, 0)])
    store: Any = NotApplied()
    with pytest.raises(FeaturesNotReady, match=r"is not applied\. Run: make pipeline"):
        loop.run(settings.root(), STREAM, source, store, settings.hash_key(), True, Event(), lambda line: None)


def test_a_job_that_goes_on_says_once_what_it_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    source: Any = Batches([event(0, 0)])
    store: Any = NotApplied()
    override(monkeypatch, loop, RETRY_SECONDS=0.001)
    NotApplied.tries, stop, lines = 0, Event(), list[str]()
    running = Thread(target=loop.run, args=(settings.root(), STREAM, source, store, b"", False, stop, lines.append))
    running.start()
    while NotApplied.tries < 5 and running.is_alive():
        sleep(0.001)
    stop.set()
    running.join()
    assert sum("is not applied" in line for line in lines) <= 3  # once in each phase of the run
    assert NotApplied.tries >= 5
