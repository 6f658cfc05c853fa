"""The audit log: one whole line for every decision."""

import json
import os
import sys
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from processes import started

from errors import AuditUnavailable
from features.domains import risks
from serving import audit

DAILY, NOON = risks()["daily"], datetime(2026, 1, 31, 12, tzinfo=UTC)


def logged(directory, day="2026-01-31"):
    """The records of a day without their links."""
    return [unlinked(line) for line in (directory / f"{day}.jsonl").read_text().splitlines()]


def unlinked(line):
    return {name: value for name, value in json.loads(line).items() if name not in ("number", "previous")}


def test_the_log_keeps_every_decision_in_the_file_of_its_day(tmp_path):
    record = audit.record(DAILY, {"driver_id": 7, "asked_at": NOON}, {"decision": "approve"})
    audit.append(tmp_path / "log", NOON, [record])
    audit.append(tmp_path / "log", NOON, [{"n": 1}, {"n": 2}])
    audit.append(tmp_path / "log", NOON + timedelta(days=1), [{"n": 3}])
    first, *others = logged(tmp_path / "log")
    row = {"entity": {"driver_id": 7}, "request": {"asked_at": "2026-01-31T12:00:00Z"}}
    assert first == {"risk": "daily", **row, "decision": "approve"}
    assert others == [{"n": 1}, {"n": 2}]
    assert logged(tmp_path / "log", "2026-02-01") == [{"n": 3}]


#: Two threads append, once three processes are ready. Prints how many writes that took.
WRITE = """
import os, pathlib, sys, threading, time
from datetime import datetime
from serving import audit

writes = []
def write_some(log, lines, write=os.write):  # as a full disk or a signal would
    writes.append(len(lines))
    return write(log, lines[:1000])

os.write = write_some
directory, noon = pathlib.Path(sys.argv[1]), datetime.fromisoformat("2026-01-31T12:00:00+00:00")
def append(thread):
    for n in range(100):
        records = [{"by": sys.argv[2] + thread, "n": n, "half": half, "text": "x" * 5000} for half in (1, 2)]
        audit.append(directory, noon, records)

(directory / ("ready-" + sys.argv[2])).touch()
while len(list(directory.glob("ready-*"))) < 3:
    time.sleep(0.001)
threads = [threading.Thread(target=append, args=[thread]) for thread in "ab"]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(writes))
"""


@pytest.mark.slow
def test_threads_and_processes_that_append_at_once_lose_and_tear_nothing(tmp_path: Path):
    command = [sys.executable, "-c", WRITE, tmp_path]
    with ExitStack() as stack:
        children = [stack.enter_context(started([*command, number])) for number in "123"]
        writes = [int(child.ended().stdout) for child in children]
    assert min(writes) > 10 * 200  # each of the 200 lists of records took many
    lines = [(r["by"], r["n"], r["half"]) for r in logged(tmp_path)]
    assert sorted(lines) == list(product(["1a", "1b", "2a", "2b", "3a", "3b"], range(100), (1, 2)))
    pairs = zip(lines[::2], lines[1::2], strict=True)
    assert all(first[:2] == second[:2] for first, second in pairs)


def test_a_decision_that_cannot_be_logged_is_an_error(tmp_path):
    (tmp_path / "log").write_text("a file, where the directory should be")
    with pytest.raises(AuditUnavailable, match="could not be logged"):
        audit.append(tmp_path / "log", NOON, [{"n": 1}])


def test_a_full_disk_leaves_whole_lines(tmp_path, monkeypatch):
    audit.append(tmp_path, NOON, [{"n": 1}])
    write = os.write

    def half(log, lines):
        if len(lines) < 10:
            raise OSError(28, "No space left on device")
        return write(log, lines[: len(lines) // 2])

    with monkeypatch.context() as full:
        full.setattr(os, "write", half)
        with pytest.raises(AuditUnavailable, match="No space left"):
            audit.append(tmp_path, NOON, [{"n": 2}, {"n": 3}, {"n": 4}])
    audit.append(tmp_path, NOON, [{"n": 5}])
    assert logged(tmp_path) == [{"n": 1}, {"n": 5}]


def test_a_line_that_a_crash_cut_spoils_no_other_line(tmp_path):
    (tmp_path / "2026-01-31.jsonl").write_text('{"n": 1}\n{"n": 2, "sco')
    audit.append(tmp_path, NOON, [{"n": 3}])
    lines = (tmp_path / "2026-01-31.jsonl").read_text().splitlines()
    assert [unlinked(line) for line in (lines[0], lines[2])] == [{"n": 1}, {"n": 3}]
