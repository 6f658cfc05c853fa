"""Cases: what people do about decisions of the middle word, act by act."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic_core import from_json

from errors import AuditUnavailable, BadParameter
from serving.cases import ACTS, LONGEST_NOTE, Cases, is_case

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ANN, BEN = "user:ann@example.org", "user:ben@example.org"


def record(**changes: Any) -> dict[str, Any]:
    return {"decision_id": "d1", "risk": "daily", "decision": "review", **changes}


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    return Cases(tmp_path / "cases")


def act(cases: Cases, kind: str, by: str = ANN, note: str = "", **changes: Any) -> None:
    cases.act(record(**changes), kind, by, "r1", NOW, note)


@pytest.mark.parametrize(
    ("changes", "is_one"),
    [({}, True), ({"decision": "approve"}, False), ({"risk": "coupon", "decision": "review"}, True),
     ({"risk": "loyalty", "decision": "regular"}, False), ({"risk": "of an older version"}, False)],
)  # fmt: skip
def test_the_middle_word_of_a_classification_is_a_case(changes: dict[str, str], is_one: bool):
    assert is_case(record(**changes)) is is_one


def test_a_case_is_taken_released_and_settled(cases: Cases):
    assert (cases.case("d1").taken_by, cases.case("d1").settled, cases.settled()) == (None, None, set())
    act(cases, "take")
    assert cases.case("d1").taken_by == ANN
    act(cases, "release")
    assert cases.case("d1").taken_by is None
    act(cases, "strict", BEN, note=" a known face ")
    case = cases.case("d1")
    assert (case.settled, case.taken_by, case.acts[-1].note, cases.settled()) == (
        "decline",
        BEN,
        "a known face",
        {"d1"},
    )
    assert [(a.act, a.caller, a.at) for a in case.acts] == [
        ("take", ANN, NOW), ("release", ANN, NOW), ("strict", BEN, NOW)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("before", "kind", "by", "note", "message"),
    [((), "approve", ANN, "", "There is no act 'approve'. Choose one of: take, release, note, mild, strict."),
     ((), "release", ANN, "", "Nobody has taken the case. Take it first."),
     ((), "note", ANN, "  ", "The note is empty. Write what has to be said."),
     ((), "take", ANN, "x" * (LONGEST_NOTE + 1), "The note has 2,001 characters. Write up to 2,000."),
     (("take",), "mild", BEN, "", f"The case is taken by {ANN}. Ask them, or an admin, to release it."),
     (("take",), "take", BEN, "", f"The case is taken by {ANN}. Ask them, or an admin, to release it."),
     (("mild",), "strict", BEN, "", f"This case is settled: approve, by {ANN}. Add a note, if something has to be "
      "said.")],
)  # fmt: skip
def test_an_act_that_cannot_be_is_refused(
    cases: Cases, before: tuple[str], kind: str, by: str, note: str, message: str
):
    for earlier in before:
        act(cases, earlier)
    acts = cases.case("d1").acts[:]
    with pytest.raises(BadParameter) as refused:
        act(cases, kind, by, note)
    assert refused.value.message == message
    assert cases.case("d1").acts == acts


def test_a_decision_that_is_no_case_is_refused(cases: Cases):
    with pytest.raises(BadParameter, match="The decision is approve: there is nothing to decide"):
        act(cases, "take", decision="approve")


def test_an_admin_releases_a_case_that_another_person_has_taken(cases: Cases):
    act(cases, "take")
    with pytest.raises(BadParameter, match="taken by"):
        cases.act(record(), "mild", BEN, "r1", NOW, is_admin=True)
    cases.act(record(), "release", BEN, "r1", NOW, is_admin=True)
    act(cases, "take", BEN)
    assert cases.case("d1").taken_by == BEN


def test_a_note_may_follow_on_a_settled_case(cases: Cases):
    act(cases, "mild")
    act(cases, "note", BEN, "it was the neighbour")
    assert (cases.case("d1").settled, cases.case("d1").acts[-1].caller) == ("approve", BEN)


def test_another_process_sees_each_act(cases: Cases, tmp_path: Path):
    other = Cases(tmp_path / "cases")
    for kind in ("take", "note", "mild"):
        act(cases, kind, note="n")
        assert other.case("d1") == cases.case("d1")
    assert len(other.case("d1").acts) == 3


def test_of_two_who_take_a_case_at_once_one_gets_it(tmp_path: Path):
    refused: list[str] = []

    def take(by: str) -> None:
        try:
            act(Cases(tmp_path / "cases"), "take", by)
        except BadParameter:
            refused.append(by)

    threads = [Thread(target=take, args=(f"user:{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7
    assert len(Cases(tmp_path / "cases").case("d1").acts) == 1


def test_an_act_of_a_later_day_and_a_cut_line_lose_nothing(cases: Cases, tmp_path: Path):
    act(cases, "take")
    cases.act(record(), "mild", ANN, "r2", NOW + timedelta(days=1), "")
    newest = max((tmp_path / "cases").glob("*.jsonl"))
    with newest.open("ab") as log:
        log.write(b'{"decision_id": "d1", "act": "str')
    assert [a.act for a in Cases(tmp_path / "cases").case("d1").acts] == ["take", "mild"]
    cases.act(record(), "note", ANN, "r3", NOW + timedelta(days=1), "after the crash")
    assert [a.act for a in Cases(tmp_path / "cases").case("d1").acts] == ["take", "mild", "note"]


def test_a_line_has_who_did_what_when_and_in_which_request(cases: Cases, tmp_path: Path):
    act(cases, "mild", note="fine")
    (line,) = [
        from_json(text) for file in (tmp_path / "cases").glob("*.jsonl") for text in file.read_bytes().splitlines()
    ]
    assert {"decision_id": "d1", "act": "mild", "word": "approve", "caller": ANN, "request_id": "r1",
            "at": NOW.isoformat(), "note": "fine"}.items() <= line.items()  # fmt: skip
    assert set(ACTS) == {"take", "release", "note", "mild", "strict"}


def test_an_act_is_on_the_disk_before_it_returns(cases: Cases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fails(file: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fails)
        with pytest.raises(AuditUnavailable):
            act(cases, "take")
    synced: list[int] = []
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda file: synced.append(os.fstat(file).st_size))
        act(cases, "note", note="seen")
    (file,) = (tmp_path / "cases").glob("*.jsonl")
    assert file.stat().st_size in synced
