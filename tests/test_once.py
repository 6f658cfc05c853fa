"""A request that is sent again, with the key of the first: one decision, one answer."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from constants import override
from fake import APPLICANT, NOW, Fake
from flask.testing import FlaskClient

import settings
from app import create_app
from serving import answers, service
from web.calls import current

PATHS = ("/onboarding-risk-decision/", "/api/v1/decisions/onboarding", "/sign-up/")
OTHER = {**APPLICANT, "ssn": "512-34-8766", "dl": "D7654321"}


def ask(client: FlaskClient, path: str, body: Any = APPLICANT, key: str = "k1") -> Any:
    return client.post(path, json=body, headers={"Idempotency-Key": key})


def logged(root: Path) -> list[str]:
    """The ids of the audit log."""
    files = sorted((root / "decisions").glob("*.jsonl"))
    return [json.loads(line)["decision_id"] for file in files for line in file.read_text().splitlines()]


def again(fake: Fake, clock: Callable[[], datetime] = lambda: NOW) -> FlaskClient:
    """Another process on the same root, or the same one after a restart."""
    return create_app(fake, clock=clock).test_client()


def ids(answer: Any) -> list[str]:
    body = answer.json if isinstance(answer.json, list) else [answer.json.get("decision", answer.json)]
    return [item["decision_id"] if isinstance(item, dict) else answer.json["decision_id"] for item in body]


@pytest.mark.parametrize("path", PATHS)
def test_the_same_key_and_body_get_the_same_answer(client: FlaskClient, fake: Fake, tmp_path: Path, path: str):
    first = ask(client, path)
    fake.seen = 1  # another decision would be another one
    for process in (client, again(fake)):
        second = ask(process, path)
        assert (second.status_code, second.data, second.mimetype) == (200, first.data, first.mimetype)
        assert second.headers["Idempotent-Replayed"] == "true"
    assert logged(tmp_path) == ids(first)
    assert "Idempotent-Replayed" not in first.headers


def test_a_list_is_decided_once(client: FlaskClient, tmp_path: Path):
    first, second = (ask(client, PATHS[1], [APPLICANT, OTHER]) for _ in range(2))
    assert first.data == second.data
    assert logged(tmp_path) == ids(first)
    assert len(set(ids(first))) == 2


def test_a_key_is_of_its_path_and_its_caller(client: FlaskClient, tmp_path: Path):
    caller = ""
    client.application.before_request(lambda: setattr(current(), "caller", caller))
    decided = [ids(ask(client, path))[0] for path in PATHS[:2]]
    caller = "ann"
    decided += ids(ask(client, PATHS[0])) + ids(ask(client, PATHS[0], key="k2"))
    assert len(set(decided)) == 4
    assert logged(tmp_path) == decided


def test_another_body_is_refused(client: FlaskClient, tmp_path: Path):
    first = ask(client, PATHS[0])
    for body in (OTHER, [APPLICANT]):
        answer = ask(client, PATHS[0], body)
        assert (answer.status_code, answer.json["error"]["name"]) == (409, "key_reused")
    assert ask(client, PATHS[0]).data == first.data
    assert logged(tmp_path) == ids(first)


def test_an_answer_is_kept_for_a_day(client: FlaskClient, fake: Fake, tmp_path: Path):
    first = ask(client, PATHS[0])
    day = timedelta(hours=24)
    assert ask(again(fake, lambda: NOW + day - timedelta(seconds=1)), PATHS[0]).data == first.data
    later = again(fake, lambda: NOW + day + timedelta(seconds=1))
    assert ids(ask(later, PATHS[0], OTHER)) != ids(first)


def test_old_answers_are_removed_as_new_ones_come(client: FlaskClient, fake: Fake, tmp_path: Path):
    for number in range(5):
        ask(client, PATHS[0], key=f"old-{number}")
    ask(again(fake, lambda: NOW + timedelta(hours=25)), PATHS[0], key="new")
    with sqlite3.connect(tmp_path / "answers" / "answers.db") as db:
        assert db.execute("SELECT count(*) FROM answers").fetchone() == (1,)


def test_a_request_that_was_wrong_may_be_corrected_under_its_key(client: FlaskClient, tmp_path: Path):
    assert ask(client, PATHS[0], {**APPLICANT, "ssn": "1"}).status_code == 400
    first = ask(client, PATHS[0])
    assert first.status_code == 200
    assert ask(client, PATHS[0]).data == first.data


@pytest.mark.parametrize("key", ["", "a" * 256, "a b", "é", "\x7f"])
def test_a_key_is_visible_ascii(client: FlaskClient, tmp_path: Path, key: str):
    answer = client.post(PATHS[0], json=APPLICANT, headers={"Idempotency-Key": key.encode().decode("latin-1")})
    assert (answer.status_code, answer.json["error"]["field"]) == (400, "Idempotency-Key")
    assert not logged(tmp_path)
    assert ask(client, PATHS[0], key="a" * 255).status_code == 200


def test_without_a_key_nothing_is_kept(client: FlaskClient, tmp_path: Path):
    client.post(PATHS[0], json=APPLICANT)
    client.get("/daily-risk-decision/1001/", headers={"Idempotency-Key": "k"})
    client.post("/onboarding-risk-score/", json=APPLICANT, headers={"Idempotency-Key": "k"})
    assert not (tmp_path / "answers").exists()


def test_no_identifier_is_kept(client: FlaskClient, tmp_path: Path):
    ask(client, PATHS[2])
    kept = b"".join(path.read_bytes() for path in (tmp_path / "answers").iterdir())
    assert b"decision_id" in kept
    for secret in (APPLICANT["ssn"], APPLICANT["ssn"].replace("-", ""), APPLICANT["dl"]):
        assert secret.encode() not in kept


# Two at once, and crashes


@pytest.mark.parametrize("path", PATHS)
def test_of_requests_at_once_one_decides(client: FlaskClient, fake: Fake, tmp_path: Path, path: str):
    processes = [client, again(fake), again(fake)]
    with ThreadPoolExecutor(12) as pool:
        texts = list(pool.map(lambda i: ask(processes[i % 3], path).data, range(24)))
    assert len(set(texts)) == 1
    assert len(logged(tmp_path)) == 1


@pytest.fixture(params=["before the answer is kept", "before the decision is logged"])
def crash(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """The process dies at that point."""

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        if "kept" in request.param:
            patch.setattr(answers.Answers, "_write", die)
        else:
            patch.setattr(service.audit, "append", die)
        yield patch


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("many", [False, True])
def test_after_a_crash_there_is_one_decision_and_its_answer(
    client: FlaskClient, fake: Fake, tmp_path: Path, crash: pytest.MonkeyPatch, path: str, many: bool
):
    body = [APPLICANT, OTHER] if many and path == PATHS[1] else APPLICANT
    with pytest.raises(SystemExit):
        ask(client, path, body)
    before = logged(tmp_path)
    crash.undo()
    fake.seen = 1
    answer = ask(again(fake, lambda: NOW + timedelta(hours=1)), path, body)
    assert answer.status_code == 200
    assert logged(tmp_path) == ids(answer)
    if before:
        assert before == ids(answer)
        assert answer.json != ask(client, path, body, key="k2").json
    assert ask(client, path, body).data == answer.data


def test_what_is_found_in_the_log_after_a_crash_is_the_answer_byte_for_byte(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
):
    first = ask(client, PATHS[1], [APPLICANT, OTHER])
    with sqlite3.connect(settings.root().answers / "answers.db") as db:
        db.execute("UPDATE answers SET answer = NULL")
    assert ask(client, PATHS[1], [APPLICANT, OTHER]).data == first.data


def test_a_folder_that_cannot_be_written_is_no_reason_to_decide_twice(client: FlaskClient, tmp_path: Path):
    (tmp_path / "answers").write_text("")
    answer = ask(client, PATHS[0])
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
    assert not logged(tmp_path)


def test_many_keys_share_few_locks(client: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    override(monkeypatch, answers, LOCKS=2)
    for number in range(20):
        ask(client, PATHS[0], key=f"k{number}")
    assert len(list((tmp_path / "answers").glob("*.lock"))) <= 2
