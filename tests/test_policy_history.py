"""Policies that are applied, edited by hand and rolled back: what is kept, and what is in force afterwards."""

import codecs
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from fake import NOW, Fake, unlogged
from policy_changes import MILD, ONBOARDING, STRICT, Changes

from errors import BadParameter, PolicyBroken
from serving import policy_change, policy_history
from serving.policies import Policies
from serving.policy_change import Change
from serving.policy_history import History


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "policies"


@pytest.fixture
def changes(folder: Path) -> Changes:
    return Changes(folder)


def test_an_applied_file_is_in_force_and_the_default_is_kept(changes):
    default = changes.version()
    strict = changes.apply(STRICT, "fewer\nfrauds")
    assert (changes.version(), changes.file.read_bytes()) == (strict, STRICT)
    assert changes.kept() == [("found", default), ("applied", strict)]
    newest = changes.history.entries()[-1]
    assert (newest.by, newest.note, newest.at) == ("ada", "fewer\nfrauds", NOW + timedelta(seconds=1, microseconds=1))
    assert changes.history.content(newest) == STRICT


def test_roll_backs_go_further_back_each_time_down_to_the_default(changes):
    default, strict, mild = changes.version(), changes.apply(STRICT), changes.apply(MILD)
    assert [changes.rollback(), changes.version()] == [strict] * 2
    assert [changes.rollback(), changes.version()] == [default] * 2
    assert not changes.file.exists()
    with pytest.raises(BadParameter, match="No policy of onboarding was in force before"):
        changes.rollback()
    assert [changes.rollback(mild), changes.version()] == [mild] * 2
    assert [changes.rollback("default"), changes.version()] == [default] * 2
    with pytest.raises(BadParameter, match="f00"):
        changes.rollback("f00")


@pytest.mark.parametrize(
    "content", [MILD, b"thresholds: {", b"", b"\xff\xfe\x00"], ids=["right", "YAML", "none", "bytes"]
)
def test_what_was_written_by_hand_is_kept_before_it_is_replaced(changes, content):
    changes.apply(STRICT)
    changes.edit(content)
    again = changes.apply(STRICT)
    act, version = changes.kept()[-2]
    assert (act, version == policy_history.BROKEN) == ("found", content != MILD)
    assert changes.history.content(changes.history.entries()[-2]) == content
    assert changes.version() == again
    assert changes.rollback() == (version if content == MILD else again)


def test_a_file_removed_by_hand_is_the_default_that_was_in_force(changes):
    default, strict = changes.version(), changes.apply(STRICT)
    changes.file.unlink()
    changes.apply(MILD)
    assert [version for _, version in changes.kept()][:3] == [default, strict, default]
    assert changes.rollback() == default


def test_a_wrong_file_changes_nothing(changes):
    strict = changes.apply(STRICT)
    with pytest.raises(PolicyBroken, match=r"new\.yaml, line 1"):
        changes.apply(b"thresholds: {low: 2, high: 3}")
    assert (changes.version(), len(changes.kept())) == (strict, 2)


def test_a_crash_before_the_file_is_replaced_loses_nothing(changes, monkeypatch):
    strict = changes.apply(STRICT)
    replacing = policy_change.files.replacing

    def dying(target):
        if target == changes.file:
            raise KeyboardInterrupt
        return replacing(target)

    with monkeypatch.context() as patch:
        patch.setattr(policy_change.files, "replacing", dying)
        with pytest.raises(KeyboardInterrupt):
            changes.apply(MILD)
    assert changes.version() == strict
    mild = changes.apply(MILD)
    assert (changes.version(), changes.rollback()) == (mild, strict)


def test_many_who_apply_at_once_leave_one_whole_policy_and_all_entries(changes, tmp_path):
    contents = [f"thresholds: {{low: 0.{number}, high: 0.9}}\n".encode() for number in range(1, 9)]
    for number, content in enumerate(contents):
        (tmp_path / f"{number}.yaml").write_bytes(content)

    def apply(number: int) -> None:
        policies, history = Policies(changes.folder, Fake()), History(changes.folder, "onboarding")
        policy_change.apply(history, policies, ONBOARDING, tmp_path / f"{number}.yaml", Change(NOW, "eve"), unlogged)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(apply, range(8)))
    entries = changes.history.entries()
    assert [entry.act for entry in entries] == ["found"] + ["applied"] * 8
    assert sorted(changes.history.content(entry) for entry in entries[1:]) == sorted(contents)
    assert changes.file.read_bytes() == changes.history.content(entries[-1])


def test_a_byte_order_mark_survives_the_history(changes):
    changes.edit(codecs.BOM_UTF8 + MILD)
    mild = changes.version()
    changes.apply(STRICT)
    assert changes.rollback() == mild == changes.version()
    assert len(changes.kept()) == 3


def test_files_of_others_in_the_history_are_passed_over(changes):
    strict = changes.apply(STRICT)
    folder = changes.folder / "history/onboarding"
    for name in ("notes.yaml", "20269999T000000.000000Z-abc.yaml"):
        (folder / name).write_text("anything")
    (folder / "20200101T000000.000000Z-abc.yaml").write_bytes(MILD)
    assert changes.kept()[0] == ("unknown", "abc")
    assert changes.rollback("abc") != strict
    assert changes.file.read_bytes() == MILD
