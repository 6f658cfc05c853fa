"""A stream job writes the offline log in a thread: batches go on meanwhile, and an error there ends the job."""

import errno
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from constants import override
from stream_world import STREAM, Batches, Sink, dead_letters, event, logged, new_job

import settings
from errors import RootBroken
from jobs.raw import offline_log
from jobs.stream import loop, offline
from jobs.stream.job import StreamJob

WAIT_SECONDS = 300
BATCHES = [[event(n, n)] for n in range(3)]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A disk that writes no file of the offline log until this is set."""
    is_free, write = threading.Event(), offline_log.write

    def slow(*args: Any) -> None:
        assert is_free.wait(WAIT_SECONDS)
        write(*args)

    monkeypatch.setattr(offline_log, "write", slow)
    yield is_free
    is_free.set()


def writing_job() -> StreamJob:
    """A job that has processed a batch and has begun to write it to the offline log."""
    job = new_job(BATCHES, Sink())
    assert job.step()
    while job._offline._writing is None:
        job.flush_part()
    return job


def ids() -> set[str]:
    """Those in the offline log."""
    return {row["id"] for row in logged()}


def writers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("offline-log")]


def test_batches_go_on_while_a_file_of_the_offline_log_is_written(disk: threading.Event) -> None:
    job = writing_job()
    assert not job.is_flush_due()
    assert job.step()
    assert job.step()
    assert not ids()
    assert job.state.waiting() == 3
    disk.set()
    job.close()
    assert ids() == {"e0", "e1", "e2"}


def test_a_job_waits_for_the_disk_once_too_many_events_wait(
    disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    override(monkeypatch, offline, FLUSH_EVENTS=1)
    job = writing_job()
    assert job.step()
    assert not job.is_flush_due()
    assert job.step()
    assert job.is_flush_due()
    threading.Timer(0.1, disk.set).start()
    job.flush_part()
    assert job.state.waiting() == 2
    assert ids() == {"e0"}
    job.close()


def test_a_file_has_no_batch_that_a_power_cut_could_take_from_the_state_file() -> None:
    job = new_job([[event(0, 0), b"first"], [event(1, 1), b"second"]], Sink())
    assert job.step()
    job.flush_part()  # begins a flush
    job.flush_part()  # waits until the disk holds the batches
    assert job.step()
    job._offline.finish()
    assert ids() == {"e0"}
    assert len(dead_letters()) == 1
    assert job.state.waiting() == 2
    job.close()
    assert ids() == {"e0", "e1"}
    assert len(dead_letters()) == 2


def test_a_full_disk_in_the_thread_ends_the_job_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "log.parquet")

    monkeypatch.setattr(offline_log, "write", full)
    before = writers()
    arguments: Any = (settings.root(), STREAM, Batches(*BATCHES), Sink(), b"")
    with pytest.raises(RootBroken, match=r"log\.parquet: No space left on device\. Free space"):
        loop.run(*arguments, True, threading.Event(), lambda line: None)
    assert set(writers()) <= set(before)  # those of other tests may have ended by now
    monkeypatch.undo()


def test_a_job_that_is_interrupted_waits_for_the_file_that_it_writes(
    disk: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    job = writing_job()
    monkeypatch.setattr(job._offline, "finish", interrupted)
    threading.Timer(0.1, disk.set).start()
    with pytest.raises(KeyboardInterrupt):
        job.close()
    assert ids() == {"e0"}


def test_a_job_after_a_crash_writes_the_same_file_before_any_other(disk: threading.Event) -> None:
    """The files may be part of merged ones. A file with other batches as well would have their rows once more."""
    job, folder = writing_job(), settings.root().offline_log(STREAM.raw.name)
    assert job.step()
    disk.set()
    job._offline.close()
    job.state.close()
    (written,) = folder.rglob("*.parquet")
    written.rename(written.with_name(f"0-{written.name.partition('-')[2]}"))
    again = new_job(BATCHES, Sink())
    again.recover()
    assert ids() == {"e0", "e1"}
    assert len(logged()) == 2
    again.close()
