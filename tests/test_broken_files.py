"""Each file of a root in turn is garbage, empty, a folder, or gone: an answer says what to do, nothing else changes."""

import errno
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from broken import by_name, file, garbage, gone, names
from fake import APPLICANT
from flask.testing import FlaskClient
from pydantic_core import from_json

import settings
from errors import RootBroken
from files import explained, fault
from root import Root
from serving import scores
from web import examples

DAILY = ("get", "/daily-risk-decision/1001/")
SCORES = ("get", "/daily-batch-scores/1001/")
EVENT = ("post", "/api/v1/events/coupon_attempts")
SIGN_UP = ("post", "/sign-up/")


def ask(client: FlaskClient, call: tuple[str, str], **options: Any) -> Any:
    return getattr(client, call[0])(call[1], headers={"Accept": "application/json"}, **options)


def message(answer: Any) -> str:
    """What a 503 says."""
    assert answer.status_code == 503, answer.json
    return str(answer.json["error"]["message"])


@by_name
@pytest.mark.parametrize("name", ["current", "card.json", "model.onnx"])
def test_a_broken_model_is_a_503_that_says_train_again(client: FlaskClient, damage: Callable[[Path], None], name: str):
    models = settings.root().models / "daily"
    damage(models / (name if name == "current" else f"1/{name}"))
    before = names(settings.root().path)
    assert "python -m jobs train daily" in message(ask(client, DAILY))
    assert names(settings.root().path) == before


@pytest.mark.parametrize(("module", "name"), [(os, "readlink"), (Path, "read_bytes")])
def test_a_model_that_may_not_be_read_is_not_to_be_trained_again(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, module: Any, name: str
):
    def forbidden(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied", "a file")

    monkeypatch.setattr(module, name, forbidden)
    words = message(ask(client, DAILY))
    assert "Let this process read and write it" in words
    assert "train" not in words


@by_name
def test_a_broken_file_of_scores_is_a_503_and_one_that_is_gone_is_no_scores(
    client: FlaskClient, damage: Callable[[Path], None]
):
    path = settings.root().scores_db
    with scores.new_run(path, "daily"):
        pass
    damage(path)
    before = names(settings.root().path)
    answer = ask(client, SCORES)
    if damage is gone:
        assert answer.status_code == 200
    else:
        assert "Move it away" in message(answer)
    assert names(settings.root().path) == before


@pytest.mark.parametrize(
    ("name", "call"),
    [("decisions", DAILY), ("decisions.index", DAILY), ("models", DAILY), ("policies", DAILY), ("log", EVENT),
     ("log/coupon_attempts", EVENT), ("raw", SIGN_UP), ("raw/drivers", SIGN_UP), ("sign-ups", SIGN_UP)],
)  # fmt: skip
def test_a_file_where_a_folder_is_needed_is_a_503_that_says_so(client: FlaskClient, name: str, call: tuple[str, str]):
    settings.root().sign_up_lock.touch()
    file(settings.root().path / name)
    before = names(settings.root().path)
    attempt = from_json(examples.of_event("coupon_attempts")) | {"create_time": "2026-01-31T11:00:00Z"}
    body = {EVENT: attempt, SIGN_UP: APPLICANT}.get(call)
    answer = ask(client, call, json=body)
    assert "Move it away" in message(answer)
    assert f". {name}" in message(answer)
    assert str(settings.root()) not in message(answer)
    assert ".." not in message(answer)
    made = {Path(name).parts[0] for name in names(settings.root().path) - before}
    assert made <= {"decisions", "decisions.index", "policies", "sign-ups"}, "policies has the history"


@pytest.mark.parametrize("name", ["sign-up.lock", "policies/onboarding.yaml"])
def test_a_folder_where_a_file_is_needed_is_a_503_that_says_so(client: FlaskClient, name: str):
    (settings.root().path / name).mkdir(parents=True)
    assert "this is a folder" in message(ask(client, SIGN_UP, json=APPLICANT))


def test_a_folder_in_the_place_of_a_days_log_is_a_503_that_says_so(client: FlaskClient):
    (settings.root().decisions / "2026-01-31.jsonl").mkdir(parents=True)
    assert "this is a folder" in message(ask(client, DAILY))


def test_a_root_with_the_signs_of_an_address_in_its_name_is_only_read(tmp_path: Path):
    root = Root(tmp_path / "a#b?c=1&mode=rwc%20")
    with scores.new_run(root.scores_db, "daily"):
        pass
    before = names(tmp_path)
    assert scores.runs(root.scores_db, "daily") == set()
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free space"), (errno.EACCES, "read and write"), (errno.EROFS, "for writing"),
        (errno.EIO, "Check its disk"), (errno.EISDIR, "this is a folder"), (errno.ENOENT, "Do as told."),
        (errno.ENOTDIR, "a part of the path is a file"),
    ],
)  # fmt: skip
def test_the_remedy_of_a_fault_follows_its_number(number: int, remedy: str):
    words = fault(OSError(number, os.strerror(number), "the file"), damaged="Do as told.")
    assert words.startswith(f"the file: {os.strerror(number)}. ")
    assert remedy in words


def test_a_full_disk_and_a_damaged_file_have_different_remedies_in_sqlite_too(tmp_path: Path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA max_page_count = 2")
        db.execute("CREATE TABLE t (x)")
        full = pytest.raises(RootBroken, match=r"a\.db: database or disk is full\. Free space")
        with full, explained(path, RootBroken, "Move it away."):
            db.executemany("INSERT INTO t VALUES (?)", [("x" * 4000,)] * 10)
    garbage(path)
    damaged = pytest.raises(RootBroken, match=r"not a database\. Move it away")
    with closing(sqlite3.connect(path)) as db, damaged, explained(path, RootBroken, "Move it away."):
        db.execute("SELECT * FROM t")
