"""Killed at any moment and started again, a stream job ends where it would have ended: nothing is lost or twice."""

import multiprocessing
import os
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pyarrow.parquet as pq
import pytest
from pydantic_core import to_json
from stream_world import NOW, STREAM, Batches, Sink, event, result

import settings
from features.windows import events
from jobs.raw import offline_log
from jobs.raw.relations import open_rows  # noqa: F401  what a forked process needs is imported before the fork
from jobs.stream import job, loop
from jobs.stream.job import StreamJob
from jobs.stream.sources import open_source
from jobs.stream.state import StateFile


class Crash(BaseException):
    """No `except Exception` may swallow it: a killed process does nothing more."""


EVENTS = [event(n, 600 * n + (n * 7919) % 1500, producer="till", number=n + 1) for n in range(12)]
EVENTS += [EVENTS[3], EVENTS[1] | {"outcome": "2026-03-01T10:30:00Z"}, event(90, -90_000)]
NOTHING = events.row_of(STREAM.raw)({})
HISTORY = [NOTHING | event(n, 0, at=1_772_352_000_000_000 - n * 60_000_000) for n in range(50, 54)]
BATCHES = [EVENTS[:4], [b"no event", *EVENTS[4:9]], [EVENTS[9]], [b'{"producer": "till", "number": 40}', *EVENTS[10:]]]


def whole_run(sink):
    """As a process: what was killed may have left something; then the history, then the stream, then a clean end."""
    job = StreamJob(settings.root(), STREAM, Batches(*BATCHES), sink, lambda: NOW)
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
    """Crashes before the n-th of the calls that change something outside of memory."""

    def __init__(self, monkeypatch):
        self.left, self.calls = -1, 0
        places = [(Sink, "write_table"), (os, "replace"), (Path, "replace"), (Path, "unlink"), (pq, "write_table")]
        changes = (
            "put_states",
            "add_processed",
            "add_to_log",
            "set_position",
            "set_received",
            "set_meta",
            "remove_logged",
        )
        for owner, name in [*places, *((StateFile, change) for change in (*changes, "forget_processed_before"))]:
            monkeypatch.setattr(owner, name, self.wrapped(getattr(owner, name)))

    def wrapped(self, work):
        def watched(*args, **kwargs):
            self.calls += 1
            self.left -= 1
            if self.left == 0:
                raise Crash
            return work(*args, **kwargs)

        return watched


@pytest.fixture
def small_files(monkeypatch):
    monkeypatch.setattr(offline_log, "MOST_FILES", 2)
    monkeypatch.setattr(offline_log, "KEPT_SECONDS", -1)


def test_a_crash_at_any_step_changes_nothing_of_what_comes_out(tmp_path, monkeypatch, small_files):
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "whole"))
    countdown, sink = Countdown(monkeypatch), Sink()
    whole_run(sink)
    whole, steps = result(sink), countdown.calls
    assert (whole["counts"], steps > 80) == ({"events": 14, "late": 1, "duplicates": 1, "dead_letters": 2}, True)
    assert whole["waiting"] == (0,)
    for crash in range(1, steps + 1, 2):
        monkeypatch.setenv("RISK_DATA", str(tmp_path / str(crash)))
        sink, countdown.left = Sink(), crash
        with pytest.raises(Crash):
            whole_run(sink)
        whole_run(sink)
        assert result(sink) == whole, f"crashed before step {crash}"


def test_crashes_one_upon_the_other_change_nothing(tmp_path, monkeypatch, small_files):
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "whole"))
    countdown, sink, draw = Countdown(monkeypatch), Sink(), random.Random(7)
    whole_run(sink)
    whole = result(sink)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "often"))
    sink, crashes, is_done = Sink(), 0, False
    while not is_done:
        countdown.left = draw.randint(1, 45)
        try:
            whole_run(sink)
            is_done = True
        except Crash:
            crashes += 1
    assert crashes > 5
    assert result(sink) == whole


def process(root, lines, is_ready):
    """A whole stream job on a file, as a process of its own with a sink that outlives it."""
    os.environ["RISK_DATA"] = str(root)
    job.MOST_BYTES, job.LOGGED_TOGETHER, loop.HISTORY_BATCH = 3000, 40, 30
    offline_log.MOST_FILES, offline_log.KEPT_SECONDS = 2, -1
    sink, source = Sink(root / "sink.db"), open_source(settings.root(), f"jsonl:{lines}", STREAM.raw.name)
    is_ready.set()
    loop.run(settings.root(), STREAM, source, sink, True, Event(), print, clock=now)


def now():
    return datetime.now(UTC)


def history_of(root):
    import pyarrow as pa

    rows = [event(1000 + n, -20_000 + 60 * n) for n in range(300)]
    moments = pa.array([datetime.fromisoformat(row["at"]) for row in rows], pa.timestamp("us", "UTC"))
    table = pa.Table.from_pylist(rows).drop_columns("at").append_column("at", moments)
    (root / "raw").mkdir(parents=True)
    pq.write_table(table, root / "raw" / f"{STREAM.raw.name}.parquet")


def lines_of(path):
    """The file of an hour, some lines of which are late, double, told again with what became of it, or no events."""
    draw, told = random.Random(3), []
    for n in range(900):
        told.append(event(n, 20 * n - draw.choice([0, 0, 5, 900]), producer=f"till-{n % 2}", number=n // 2 + 1))
        again = draw.choice(told)
        more = {"outcome": (datetime.fromisoformat(again["at"])).isoformat()} if n % 3 else {}
        told += [again | more] if n % 5 == 0 else []
    text = [to_json(one) for one in told]
    for n in range(20, 900, 90):
        text[n] = b'{"producer": "till-0", "number": 7000, "id": "half' if n % 20 else b'{"at": "2399-01-01T00:00:00Z"}'
    path.write_bytes(b"\n".join(text) + b"\n")


def killed(root, lines, context, seconds=None):
    """Whether it was killed so many seconds after it began, before it came to its end; and how long it worked."""
    is_ready = context.Event()
    running = context.Process(target=process, args=(root, lines, is_ready))
    running.start()
    assert is_ready.wait(60)
    began = time.monotonic()
    running.join(seconds)
    running.kill()
    running.join()
    assert running.exitcode in (0, -9)
    return running.exitcode != 0, time.monotonic() - began


def test_killed_again_and_again_it_ends_where_an_uninterrupted_run_ends(tmp_path, monkeypatch):
    context, draw = multiprocessing.get_context("forkserver"), random.Random(11)
    context.set_forkserver_preload(["test_stream_crash"])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))  # Python 3.11 tells it no other way
    lines = tmp_path / "events.jsonl"
    lines_of(lines)
    for name in ("whole", "killed"):
        history_of(tmp_path / name)
    _, seconds = killed(tmp_path / "whole", lines, context)
    kills = 0
    while killed(tmp_path / "killed", lines, context, draw.uniform(0.01, 0.06) * seconds * 1.1 ** max(0, kills - 15))[
        0
    ]:
        kills += 1
    assert kills >= 10
    ends = []
    for name in ("whole", "killed"):
        monkeypatch.setenv("RISK_DATA", str(tmp_path / name))
        ends.append(result(Sink(tmp_path / name / "sink.db")))
    assert ends[1] == ends[0]
    assert ends[0]["counts"]["dead_letters"] == 10
    assert len(list(settings.root().offline_log(STREAM.raw.name).rglob("*.parquet"))) < 8
