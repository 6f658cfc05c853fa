"""Wherever a stream job crashes, it ends after a restart where it would have ended: nothing is lost or twice."""

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from constants import override
from stream_world import STREAM, Sink, event, new_job, result

from features.windows import events
from jobs.raw import offline_log
from jobs.stream.online import states
from jobs.stream.state import StateFile
from jobs.stream.states import States


class Crash(BaseException):
    """No `except Exception` may swallow it: a killed process does nothing more."""


EVENTS = [event(n, 600 * n + (n * 7919) % 1500, producer="till", number=n + 1) for n in range(12)]
EVENTS += [EVENTS[3], EVENTS[1] | {"outcome": "2026-03-01T10:30:00Z"}, event(90, -90_000)]
NOTHING = events.row_of(STREAM.raw)({})
HISTORY = [NOTHING | event(n, 0, at=1_772_352_000_000_000 - n * 60_000_000) for n in range(50, 54)]
BATCHES = [EVENTS[:4], [b"no event", *EVENTS[4:9]], [EVENTS[9]], [b'{"producer": "till", "number": 40}', *EVENTS[10:]]]
#: The calls that change something outside of memory.
CHANGES: list[tuple[Any, str]] = [
    (States, "put"), (Sink, "write_table"), (os, "replace"), (Path, "unlink"), (pq, "write_table"),
    *((StateFile, name) for name in (
        "put_events", "forget_events_before", "add_to_log", "set_position", "set_received", "set_meta",
        "remove_logged",
    )),
]  # fmt: skip


def run(sink: Sink) -> None:
    """As a process does: recover, then take in the history, then the stream, then end in order."""
    job = new_job(BATCHES, sink)
    try:
        job.recover()
        if job.state.meta("history") != "done":
            job.seed([HISTORY[:2], HISTORY[2:]])
            job.flush()
            job.state.set_meta({"history": "done"})
        while job.step(final=True):
            job.flush()
        job.close()
    finally:
        job.state.close()


class Countdown:
    """Crashes before the n-th change. `changes` are the names of those before."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left, self.changes = -1, list[str]()
        for owner, name in CHANGES:
            patch.setattr(owner, name, self._counted(getattr(owner, name), name))

    def _counted(self, work: Callable[..., Any], name: str) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.changes.append(name)
            self.left -= 1
            if self.left == 0:
                raise Crash
            return work(*args, **kwargs)

        return counted


@pytest.fixture
def countdown(monkeypatch: pytest.MonkeyPatch) -> Countdown:
    """With small files, so that some are merged and removed. A crash is no power cut, so nothing waits for the disk."""
    monkeypatch.setattr(os, "fsync", lambda file: None)
    override(monkeypatch, offline_log, MOST_FILES=2, KEPT_SECONDS=-1)
    override(monkeypatch, states, CHECK_SECONDS=3600)  # a slow run would look once more, and so change more
    return Countdown(monkeypatch)


def whole_run(path: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a run without a crash ends with."""
    patch.setenv("RISK_DATA", str(path))
    sink = Sink()
    run(sink)
    return result(sink)


@pytest.mark.slow
def test_a_crash_before_any_change_changes_nothing_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, countdown: Countdown
):
    whole = whole_run(tmp_path / "whole", monkeypatch)
    changes = list(countdown.changes)
    assert set(changes) == {name for _, name in CHANGES}
    assert whole["counts"] == {"events": 14, "late": 1, "duplicates": 1, "dead_letters": 2}
    assert whole["waiting"] == (0,)
    crashes = range(3, len(changes) + 1, 3)
    assert {changes[crash - 1] for crash in crashes} == set(changes)
    for crash in crashes:
        monkeypatch.setenv("RISK_DATA", str(tmp_path / str(crash)))
        sink, countdown.left = Sink(), crash
        with pytest.raises(Crash):
            run(sink)
        run(sink)
        assert result(sink) == whole, f"crashed before change {crash}, {changes[crash - 1]}"


@pytest.mark.parametrize("failure", range(1, 5))
def test_a_write_that_fails_once_leaves_everything_to_the_next_job(
    failure: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = whole_run(tmp_path / "whole", monkeypatch)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "full"))
    write, calls, sink = offline_log.write, list[int](), Sink()

    def failing(*args: Any) -> None:
        calls.append(len(calls) + 1)
        if calls[-1] == failure:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*args)

    monkeypatch.setattr(offline_log, "write", failing)
    job = new_job(BATCHES, sink)
    job.seed([HISTORY[:2], HISTORY[2:]])
    while job.step(final=True):
        pass
    with pytest.raises(OSError, match="No space left"):
        job.flush()
    job.close()
    run(sink)
    assert result(sink) == whole


def test_one_crash_after_another_changes_nothing_in_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, countdown: Countdown
):
    whole, draw = whole_run(tmp_path / "whole", monkeypatch), random.Random(7)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "often"))
    sink, crashes, is_done = Sink(), 0, False
    while not is_done:
        countdown.left = draw.randint(1, 45)
        try:
            run(sink)
            is_done = True
        except Crash:
            crashes += 1
    assert crashes > 5
    assert result(sink) == whole
