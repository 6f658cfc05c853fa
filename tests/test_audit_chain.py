"""The chain of the audit log: whatever is changed in it is named, whoever appends to it continues it."""

import json
import shutil
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import hypothesis.strategies as st
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as examples
from processes import started, wait_until

from jobs.commands import jobs
from serving import audit
from serving.audit import heads
from serving.audit.verify import verify

NOON, DAY = datetime(2026, 1, 31, 12, tzinfo=UTC), timedelta(days=1)
#: Records of each of three days.
A_DAY = 6
ALL = 3 * A_DAY


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of three days. The day after them has begun, so that the head of each is published."""
    folder = tmp_path_factory.mktemp("chain") / "decisions"
    for day in range(3):
        for n in range(0, A_DAY, 2):
            records = [{"risk": "daily", "decision_id": f"d{day}-{m}", "score": m} for m in (n, n + 1)]
            audit.append(folder, NOON + day * DAY, records)()
    return folder


def contents(folder: Path) -> list[bytes]:
    return [line for file in sorted(folder.glob("*.jsonl")) for line in file.read_bytes().splitlines()]


def write(folder: Path, lines: list[bytes]) -> None:
    """The lines as files of three days."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for day in range(3):
        part = lines[day * A_DAY : (day + 1) * A_DAY if day < 2 else None]
        (folder / f"{(NOON + day * DAY).date()}.jsonl").write_bytes(b"".join(line + b"\n" for line in part))


def names(faults: list[str], line: bytes) -> bool:
    return any(json.loads(line)["decision_id"] in fault for fault in faults)


def test_a_log_that_nobody_touched_is_whole(whole: Path):
    verified = verify(whole, heads.read(heads.published(whole)))
    assert (verified.faults, verified.cut, verified.unlinked) == ([], [], 0)
    assert (verified.records, verified.days, verified.head.number) == (ALL, 3, ALL)
    assert [head["records"] for head in heads.read(heads.published(whole))] == [A_DAY, 2 * A_DAY]


def test_the_command_checks_both_logs_and_names_the_one_at_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    for name in ("decisions", "cases"):
        for day in range(2):
            audit.append(tmp_path / name, NOON + day * DAY, [{"n": 1}, {"n": 2}])()
    good = CliRunner().invoke(jobs, ["audit", "verify"])
    assert good.exit_code == 0, good.output
    assert [line.partition(", from")[0] for line in good.output.splitlines()] == [
        "decisions: 4 records of 2 days are chained",
        "cases: 4 records of 2 days are chained",
    ]
    file = tmp_path / "cases" / "2026-01-31.jsonl"
    file.chmod(0o640)
    file.write_bytes(file.read_bytes().replace(b'"n":1', b'"n":3'))
    bad = CliRunner().invoke(jobs, ["audit", "verify"])
    assert bad.exit_code == 1
    assert "cases: 2026-01-31.jsonl:1 was edited" in bad.output
    assert "The chain has faults: 1 in cases." in bad.stderr


def edited(lines: list[bytes], at: int, other: int) -> list[bytes]:
    return [line.replace(b'"score":', b'"score":9') if n == at else line for n, line in enumerate(lines)]


def edited_in_its_link(lines: list[bytes], at: int, other: int) -> list[bytes]:
    wrong = lines[at].replace(json.loads(lines[at])["previous"].encode(), b"ab" * 32)
    return [*lines[:at], wrong, *lines[at + 1 :]]


def edited_in_its_number(lines: list[bytes], at: int, other: int) -> list[bytes]:
    wrong = lines[at].replace(b'"number":%d,' % (at + 1), b'"number":%d,' % (at + 50))
    return [*lines[:at], wrong, *lines[at + 1 :]]


def without_its_link(lines: list[bytes], at: int, other: int) -> list[bytes]:
    return [*lines[:at], lines[at][: lines[at].index(b',"number"')] + b"}", *lines[at + 1 :]]


def moved(lines: list[bytes], at: int, other: int) -> list[bytes]:
    rest = [*lines[:at], *lines[at + 1 :]]
    return [*rest[:other], lines[at], *rest[other:]]


def copied(lines: list[bytes], at: int, other: int) -> list[bytes]:
    return [*lines[: other + 1], lines[at], *lines[other + 1 :]]


TAMPERINGS = [edited, edited_in_its_link, edited_in_its_number, without_its_link, moved, copied]


@pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda t: t.__name__)
@given(at=st.integers(0, ALL - 2), other=st.integers(0, ALL - 2))
@examples(max_examples=60)
def test_a_record_that_was_tampered_with_is_named(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, tamper: Callable, at: int, other: int
):
    lines = contents(whole)
    changed = tamper(lines, at, other)
    if changed == lines:
        return
    copy = tmp_path_factory.getbasetemp() / "tampered" / "decisions"
    copy.parent.mkdir(exist_ok=True)
    write(copy, changed)
    faults = verify(copy).faults
    assert names(faults, lines[at]), faults
    assert len(faults) <= 4, faults  # one fault does not drag all records after it along


@given(first=st.integers(0, ALL - 2), count=st.integers(1, ALL))
@examples(max_examples=60)
def test_missing_records_are_named_by_their_numbers(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, first: int, count: int
):
    lines, last = contents(whole), min(first + count, ALL - 1)
    copy = tmp_path_factory.getbasetemp() / "missing" / "decisions"
    copy.parent.mkdir(exist_ok=True)
    write(copy, [*lines[:first], *lines[last:]])
    (fault,) = verify(copy).faults
    numbers = f"Record {last} is" if last - first == 1 else f"Records {first + 1} to {last} are"
    assert numbers in fault
    assert names([fault], lines[last])


def test_a_missing_day_and_a_cut_end_are_found(whole: Path, tmp_path: Path):
    copy = Path(shutil.copytree(whole, tmp_path / "decisions"))
    (copy / "2026-02-01.jsonl").unlink()
    (fault,) = verify(copy).faults
    assert "Records 7 to 12 are missing" in fault
    shutil.rmtree(copy)
    write(copy, contents(whole)[: A_DAY + 2])
    assert verify(copy).faults == []
    (fault,) = verify(copy, heads.read(heads.published(whole))).faults
    assert "The log ends at record 8" in fault


def test_a_chain_that_was_written_again_does_not_have_the_published_heads(whole: Path, tmp_path: Path):
    for day in range(2):
        audit.append(tmp_path / "decisions", NOON + day * DAY, [{"decision_id": f"x{n}"} for n in range(A_DAY)])()
    assert verify(tmp_path / "decisions").faults == []
    first, second = verify(tmp_path / "decisions", heads.read(heads.published(whole))).faults
    assert "(decision x5) is not the record 6" in first
    assert "(decision x5) is not the record 12" in second


def test_pruned_days_are_missing_unless_a_head_names_their_end(whole: Path, tmp_path: Path):
    copy = Path(shutil.copytree(whole, tmp_path / "decisions"))
    (copy / "2026-01-31.jsonl").unlink()
    assert verify(copy, heads.read(heads.published(whole))).faults == []
    (fault,) = verify(copy).faults
    assert "Records 1 to 6 are missing" in fault


def test_records_of_an_older_version_come_before_the_chain(tmp_path: Path):
    tmp_path.joinpath("2026-01-30.jsonl").write_text('{"decision_id":"old1"}\n{"decision_id":"old2"}\n')
    audit.append(tmp_path, NOON, [{"decision_id": "a"}, {"decision_id": "b"}])()
    verified = verify(tmp_path)
    assert (verified.faults, verified.unlinked, verified.first) == ([], 2, "2026-01-31.jsonl:1")
    tmp_path.joinpath("2026-01-30.jsonl").chmod(0o640)
    tmp_path.joinpath("2026-01-30.jsonl").write_text('{"decision_id":"old1"}\n')
    assert "does not hold the digest" in verify(tmp_path).faults[0]


@pytest.mark.parametrize("rest", [b'{"decision_id":"cut","sc', b"\0\0\0\0", b'{"decision_id":"n"}'])
def test_a_line_that_a_crash_cut_is_reported_and_no_fault(tmp_path: Path, rest: bytes):
    audit.append(tmp_path, NOON, [{"decision_id": "a"}])()
    with open(tmp_path / "2026-01-31.jsonl", "ab") as file:
        file.write(rest)
    assert verify(tmp_path).cut == ["2026-01-31.jsonl:2"]
    audit.append(tmp_path, NOON, [{"decision_id": "b"}])()
    verified = verify(tmp_path)
    if rest.endswith(b"}"):  # a record without a link, which no version of ours leaves
        assert len(verified.faults) == 1
    else:
        assert (verified.faults, verified.cut) == ([], ["2026-01-31.jsonl:2"])
    assert verified.records == 2


def test_a_job_that_decides_about_a_day_of_before_appends_to_the_newest_file(tmp_path: Path):
    audit.append(tmp_path / "log", NOON, [{"n": 1}])()
    audit.append(tmp_path / "log", NOON - 9 * DAY, [{"n": 2}])()
    assert [file.name for file in (tmp_path / "log").iterdir()] == ["2026-01-31.jsonl"]
    assert verify(tmp_path / "log").records == 2


def test_a_log_that_was_moved_away_begins_again(tmp_path: Path):
    audit.append(tmp_path / "log", NOON, [{"n": 1}])()
    (tmp_path / "log").rename(tmp_path / "old")
    audit.append(tmp_path / "log", NOON, [{"n": 2}])()
    assert (verify(tmp_path / "log").records, verify(tmp_path / "old").records) == (1, 1)


#: Appends until it is killed, on days that go by quickly. Prints once it has begun.
WRITE = """
import pathlib, sys
from datetime import datetime, timedelta
from itertools import count
from serving import audit

noon = datetime.fromisoformat("2026-01-31T12:00:00+00:00")
for n in count() if sys.argv[3] == "ever" else range(int(sys.argv[3])):
    records = [{"decision_id": f"{sys.argv[2]}-{n}-{half}", "text": "x" * 3000} for half in (1, 2)]
    audit.append(pathlib.Path(sys.argv[1]), noon + timedelta(days=n // 20), records)()
    if n == 5:
        print("begun", flush=True)
"""


@pytest.mark.slow
def test_processes_that_append_at_once_and_a_kill_leave_one_chain(tmp_path: Path):
    log = tmp_path / "decisions"
    command = [sys.executable, "-c", WRITE, str(log)]
    with started([*command, "killed", "ever"]) as victim, started([*command, "other", "60"]) as other:
        wait_until(lambda: "begun" in victim.stdout, what="the first appends")
        victim.send(signal.SIGKILL)
        other.ended()
    verified = verify(log, heads.read(heads.published(log)))
    assert verified.faults == []
    texts = b"\n".join(contents(log)).decode()
    assert all(f'"other-{n}-{half}"' in texts for n in range(60) for half in (1, 2))
    assert '"killed-5-2"' in texts  # it was on the disk before it was reported
    assert audit.append(log, NOON, [{"n": 1}])() is None
    assert verify(log).records == verified.records + 1
