"""The index of the audit log: removed, damaged or behind, it gives what a look at every line finds."""

import fcntl
import json
import sqlite3
import sys
import time
from contextlib import ExitStack
from datetime import timedelta
from threading import Event, Thread
from typing import Any

import pytest
from constants import override
from decision_log import ids, log, newest_first, record
from fake import NOW
from processes import started

import settings
from serving import audit
from serving.audit import log_files, positions, search, tables
from serving.audit.positions import Positions


@pytest.fixture
def records(untrained: Any) -> list[dict[str, Any]]:
    return log(120)


@pytest.fixture
def index(records: list[dict[str, Any]]) -> Positions:
    root = settings.root()
    made = Positions(root.decisions, root.outcomes)
    search.page(made, search.Search(), 1)
    return made


@pytest.mark.parametrize("content", [b"", b"no database, and more than a page of it. " * 300])
def test_a_damaged_index_is_named_and_built_again(records, untrained, index, content, caplog):
    index.path.write_bytes(content)
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first(records)
    assert (str(index.path) in caplog.text) == bool(content)


def test_an_index_that_breaks_in_the_middle_is_built_again(records, untrained, index):
    pages = index.path.read_bytes()
    index.path.write_bytes(pages[:4096] + b"\xff" * (len(pages) - 4096))
    assert ids(untrained.get("/api/v1/decisions?limit=500&outcome=review"))


@pytest.mark.parametrize("suffixes", [[""], ["", "-wal", "-shm"]])
def test_a_removed_index_is_built_again(records, untrained, index, suffixes):
    with sqlite3.connect(index.path) as writer:  # keeps the -wal
        for suffix in suffixes:
            index.path.with_name(index.path.name + suffix).unlink(missing_ok=True)
        assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first(records)
        writer.rollback()
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first(records)


def test_an_index_of_another_version_is_built_again(records, untrained, index):
    with sqlite3.connect(index.path) as db:
        db.execute("DELETE FROM decision")
        db.execute("PRAGMA user_version = 0")
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first(records)


def test_many_small_chunks_give_the_same_index(records, untrained, monkeypatch):
    override(monkeypatch, log_files, CHUNK_BYTES=100)
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first(records)
    more = [record(n, NOW + timedelta(minutes=n)) for n in range(200, 210)]
    audit.append(settings.root().decisions, NOW, more)
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first([*records, *more])


def test_lines_that_are_no_decisions_are_passed_over(records, untrained, index):
    file = settings.root().decisions / "2026-01-31.jsonl"
    other_day = record(500, NOW + timedelta(days=1))
    with file.open("ab") as lines:
        lines.write(b'\n[]\n{"risk": 7}\n\xff\xfe\n' + json.dumps(other_day).encode() + b'\n{"risk": "cut')
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first(records)
    whole = record(501, NOW + timedelta(seconds=1))
    audit.append(settings.root().decisions, NOW, [whole])
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first([*records, whole])


@pytest.mark.parametrize("change", ["removed", "shorter", "replaced", "edited"])
def test_a_file_of_the_log_that_changes_is_read_again(records, untrained, index, change):
    file = settings.root().decisions / "2026-01-30.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    in_file = {json.loads(line)["decision_id"] for line in lines}
    of_day = [made for made in records if made["decision_id"] in in_file]
    assert len(lines) == len(of_day) > 5
    left = {"removed": [], "shorter": lines[:3], "replaced": lines[::-1], "edited": [b" " + lines[0], *lines[1:]]}[
        change
    ]
    if change == "removed":
        file.unlink()
    else:
        file.write_bytes(b"".join(left))
    remaining = [json.loads(line) for line in left]
    others = [made for made in records if made not in of_day]
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first([*others, *remaining])
    if gone := in_file - {made["decision_id"] for made in remaining}:
        assert untrained.get(f"/api/v1/decisions/{gone.pop()}").status_code == 404


def test_an_index_of_removed_days_is_built_again(records, untrained, index, monkeypatch):
    override(monkeypatch, tables, MOST_ORPHANS=10)
    for day in ("2026-01-28", "2026-01-29", "2026-01-30"):
        (settings.root().decisions / f"{day}.jsonl").unlink()
    in_file = (settings.root().decisions / "2026-01-31.jsonl").read_text()
    left = [made for made in records if f'"{made["decision_id"]}"' in in_file]
    assert ids(untrained.get("/api/v1/decisions?limit=500")) == newest_first(left)
    with sqlite3.connect(index.path) as db:
        (postings,) = db.execute("SELECT count(DISTINCT as_of || ' ' || offset) FROM posting").fetchone()
    assert postings == len(left)


def test_a_long_log_is_indexed_by_a_thread_and_not_by_a_request(records, untrained, monkeypatch):
    override(monkeypatch, positions, INLINE_BYTES=1000)
    answer = untrained.get("/api/v1/decisions")
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "index_behind")
    deadline = time.monotonic() + 120
    while (answer := untrained.get("/api/v1/decisions?limit=500")).status_code == 503:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert ids(answer) == newest_first(records)


def test_lines_that_a_failing_writer_takes_back_are_never_found(records, untrained, index, monkeypatch):
    file = settings.root().decisions / "2026-01-31.jsonl"
    flock, is_waiting, answers = fcntl.flock, Event(), []

    def watched(log, operation):
        if operation == fcntl.LOCK_SH:
            is_waiting.set()
        flock(log, operation)

    monkeypatch.setattr(fcntl, "flock", watched)
    with file.open("ab") as log:
        size = log.tell()
        flock(log, fcntl.LOCK_EX)
        log.write(json.dumps(record(900, NOW + timedelta(seconds=1))).encode() + b"\n")
        log.flush()
        search_while_writing = Thread(target=lambda: answers.append(untrained.get("/api/v1/decisions?limit=500")))
        search_while_writing.start()
        assert is_waiting.wait(120)
        log.truncate(size)  # as after a full disk
    search_while_writing.join(120)
    assert ids(answers[0]) == newest_first(records)


#: Searches again and again until a record is found that is appended last.
FIND = """
import pathlib, sys
from serving.audit import search
from serving.audit.positions import Positions

root, highest = pathlib.Path(sys.argv[1]), 0
positions = Positions(root / "decisions", root / "outcomes")
while True:
    found, _ = search.page(positions, search.Search(risk="daily"), 500)
    numbers = [int(record["decision_id"].split("-")[1]) for record in found]
    assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1)) if numbers else True, numbers
    if numbers and numbers[0] == 299:
        break
print(len(numbers))
"""


@pytest.mark.slow
def test_processes_that_search_while_others_append_find_whole_prefixes(tmp_path):
    with ExitStack() as stack:
        command = [sys.executable, "-c", FIND, tmp_path]
        children = [stack.enter_context(started(command)) for _ in range(3)]
        for n in range(300):
            as_of = NOW + timedelta(seconds=n)
            audit.append(tmp_path / "decisions", as_of, [record(n, as_of, "daily")])
        assert [child.ended().stdout.strip() for child in children] == ["300"] * 3
