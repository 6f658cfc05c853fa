"""An answered decision survives a power cut, and a disk that refuses it is an answer of its own."""

import os
import resource
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake import APPLICANT
from flask.testing import FlaskClient
from processes import started, wait_until

from errors import AuditUnavailable
from serving import audit
from serving.audit.verify import verify
from serving.commit import GroupCommit

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
FULL = OSError(28, "No space left on device")


def test_whoever_waits_gets_a_sync_that_began_after_its_append():
    """Threads append to a list; a sync is slow, and takes what was there when it began."""
    appended, on_disk = list[int](), set[int]()

    def sync() -> None:
        taken = list(appended)
        threading.Event().wait(0.002)
        on_disk.update(taken)

    commit, missing = GroupCommit(sync), list[int]()

    def work(thread: int) -> None:
        for n in range(50):
            number = thread * 1000 + n
            appended.append(number)
            commit.ticket()()
            if number not in on_disk:
                missing.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert len(on_disk) == 600


def test_those_who_come_during_a_sync_share_the_next() -> None:
    began, go, syncs = threading.Event(), threading.Event(), list[int]()

    def sync() -> None:
        syncs.append(len(tickets))
        began.set()
        go.wait(60)

    commit, tickets = GroupCommit(sync), list[object]()

    def work() -> None:
        ticket = commit.ticket()
        tickets.append(ticket)
        ticket()

    threads = [threading.Thread(target=work) for _ in range(12)]
    threads[0].start()
    began.wait(60)
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: len(tickets), lambda count: count == 12, what="all have come")
    go.set()
    for thread in threads:
        thread.join()
    assert syncs == [1, 12]


def test_a_failed_sync_fails_all_that_it_was_for_and_nobody_else():
    results, begun, go = list[str](), threading.Event(), threading.Event()

    def sync() -> None:
        if not begun.is_set():
            begun.set()
            go.wait(60)
            raise FULL

    commit = GroupCommit(sync)
    early = [commit.ticket() for _ in range(3)]

    def wait(ticket, name: str) -> None:
        try:
            ticket()
            results.append(f"{name} is on the disk")
        except OSError:
            results.append(f"{name} failed")

    threads = [threading.Thread(target=wait, args=(ticket, "early")) for ticket in early]
    for thread in threads:
        thread.start()
    assert begun.wait(60)
    late = threading.Thread(target=wait, args=(commit.ticket(), "late"))
    late.start()
    go.set()
    for thread in [*threads, late]:
        thread.join()
    assert sorted(results) == ["early failed"] * 3 + ["late is on the disk"]


def test_a_decision_is_answered_after_its_line_was_synced(
    client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    synced, real = list[bytes](), os.fsync

    def fsync(file: int) -> None:
        real(file)
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        # Opening a log may close that of an earlier test, whose file is gone.
        synced.append(path.read_bytes() if path.is_file() else path.name.encode())

    monkeypatch.setattr(os, "fsync", fsync)
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT).json
    assert answer["decision_id"].encode() in synced[-1]
    assert b"decisions" in synced  # the folder, which has the name of the new file
    assert synced.index(b"decisions") < len(synced) - 1


def test_a_decision_that_cannot_be_synced_is_not_given(client: FlaskClient, monkeypatch: pytest.MonkeyPatch):
    client.post("/onboarding-risk-decision/", json=APPLICANT)
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(FULL))
        answer = client.post("/onboarding-risk-decision/", json=APPLICANT)
        assert (answer.status_code, answer.json["error"]["name"]) == (503, "audit_unavailable")
        assert "Free space" in answer.json["error"]["message"]
    assert client.post("/onboarding-risk-decision/", json=APPLICANT).status_code == 200


#: Appends until the system allows no larger file; then it allows it, and appends once more.
FILL = """
import pathlib, resource, sys
from datetime import datetime
from errors import AuditUnavailable
from serving import audit

folder, noon = pathlib.Path(sys.argv[1]), datetime.fromisoformat("2026-01-31T12:00:00+00:00")
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
written = 0
try:
    while written < 100:
        audit.append(folder, noon, [{"decision_id": f"d{written}-{half}", "text": "x" * 700} for half in (1, 2)])()
        written += 1
except AuditUnavailable as error:
    print(written, error.message)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
audit.append(folder, noon, [{"decision_id": "last"}])()
"""


@pytest.mark.slow
def test_a_file_that_may_not_grow_keeps_whole_records_and_one_chain(tmp_path: Path):
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    with started([sys.executable, "-c", FILL, str(tmp_path / "log")]) as child:
        output = child.ended().stdout
    written = int(output.split()[0])
    assert 0 < written < 20
    assert "could not be logged" in output
    verified = verify(tmp_path / "log")
    assert (verified.faults, verified.cut, verified.records) == ([], [], 2 * written + 1)


def test_a_wait_for_another_process_raises_what_the_disk_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    audit.append(tmp_path / "log", NOON, [{"n": 1}])
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(FULL))
    with pytest.raises(AuditUnavailable, match="No space left"):
        audit.on_disk(tmp_path / "log")()
