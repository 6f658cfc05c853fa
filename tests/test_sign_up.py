"""A sign-up is whole, or is finished by the next one: on a real store, with a materialization under way or killed, and
with a process that dies between any two writes."""

import json
import os
import shutil
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import onboarding_root
import pandas as pd
import pytest
from fake import APPLICANT, NOW, Fake, shelve
from feast import FeatureStore
from feast.feature_view import FeatureViewState
from flask.testing import FlaskClient
from processes import exit_code, forked

import files
import settings
from app import create_app
from errors import FeaturesNotReady
from features.domains import risks
from serving import audit, onboarding
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow

OTHER = APPLICANT | {"ssn": "513-34-8765", "dl": "E1234567"}
#: The writes of a sign-up after its decision is logged.
WRITES = ("note", "raw", "driver_profile", "driver_ssn_entities", "driver_dl_entities", "end")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("onboarding")
    onboarding_root.make(root)
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "root", symlinks=True)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


class Time:
    """A clock that moves on by a second at each look."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC) - timedelta(hours=1)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def client(root: Path) -> FlaskClient:
    return create_app(clock=Time()).test_client()


def sign_up(client: FlaskClient, person: dict[str, str] = APPLICANT) -> dict[str, Any]:
    answer = client.post("/sign-up/", json=person)
    assert answer.status_code == 200, answer.text
    return answer.json


def drivers(root: Path) -> list[int]:
    return sorted(pd.read_parquet(root / "raw" / "drivers")["driver_id"])


def row(person: dict[str, str] = APPLICANT) -> dict[str, Any]:
    return risks()["onboarding"].request.model_validate(person).row(datetime.now(UTC), settings.hash_key())


def last_two(key: str) -> list[int | None]:
    """The last and the previous driver with an identifier of the applicant, as they are stored online."""
    return list(FeastStore(settings.FEATURE_REPO).stored(f"driver_{key}_entities", {key: row()[key]}).values())


def check_whole(root: Path, answer: dict[str, Any]) -> None:
    """One person signed up, with all that belongs to it."""
    (driver,) = drivers(root)
    assert (answer["decision"]["decision"], answer["home"]) == ("approve", f"/home/{driver}")
    assert [last_two(key) for key in ("ssn", "dl")] == [[driver, None], [driver, None]]
    assert FeastStore(settings.FEATURE_REPO).stored("driver_profile", {"driver_id": driver}) == {"state": "CA"}
    assert list((root / "sign-ups").iterdir()) == []


@pytest.mark.parametrize("state", ["STATE_UNSPECIFIED", "MATERIALIZING", "AVAILABLE_ONLINE"])
def test_somebody_signs_up_while_a_view_is_materialized_or_after_a_kill(root: Path, state: str):
    store = FeatureStore(str(settings.FEATURE_REPO))
    for view in store.list_batch_feature_views():
        view.state = FeatureViewState[state]
        store.registry.apply_feature_view(view, store.project)
    client = create_app(clock=Time()).test_client()
    check_whole(root, sign_up(client))
    again = sign_up(client)
    assert (again["decision"]["decision"], again["home"]) == ("decline", "")
    assert again["decision"]["features"]["is_previously_seen_ssn"] == 1
    assert len(drivers(root)) == 1


class Died(Exception):
    """A process that dies does nothing more."""


def dying(patch: pytest.MonkeyPatch, write: str, die: Any) -> None:
    """Let a process die just before a write, or at the `end` before the note is removed."""
    put, write_file, unlink, replacing = FeastStore.write, onboarding._write, Path.unlink, onboarding.replacing

    def store_write(self: FeastStore, view: str, row: Any) -> None:
        if view == write:
            die()
        put(self, view, row)

    def raw_write(path: Path, row: Any) -> None:
        if write == "raw":
            die()
        write_file(path, row)

    def note_write(path: Path) -> Any:
        if write == "note" and path.suffix == ".json":
            die()
        return replacing(path)

    def remove(path: Path, missing_ok: bool = False) -> None:
        if write == "end" and path.suffix == ".json":
            die()
        unlink(path, missing_ok)

    patch.setattr(FeastStore, "write", store_write)
    patch.setattr(onboarding, "_write", raw_write)
    patch.setattr(onboarding, "replacing", note_write)
    patch.setattr(Path, "unlink", remove)


def fail() -> None:
    raise Died


@pytest.mark.parametrize("write", WRITES)
def test_a_sign_up_that_failed_between_two_writes_is_repeated_with_the_same_end(
    client: FlaskClient, root: Path, monkeypatch: pytest.MonkeyPatch, write: str
):
    with monkeypatch.context() as patch:
        dying(patch, write, fail)
        assert client.post("/sign-up/", json=APPLICANT).status_code == 500
    answer = sign_up(client)
    check_whole(root, answer)
    logged = [record["decision_id"] for record in audit.latest(root / "decisions", risks()["onboarding"], Time()(), 9)]
    assert answer["decision"]["decision_id"] in logged
    assert len(logged) == (2 if write == "note" else 1), "the decision of a noted sign-up is not taken again"
    assert sign_up(client)["decision"]["decision"] == "decline"


@pytest.mark.parametrize("write", WRITES)
def test_a_sign_up_of_a_killed_process_is_finished_by_the_next_one_of_anybody(
    client: FlaskClient, root: Path, monkeypatch: pytest.MonkeyPatch, write: str
):
    def die_there() -> None:
        with pytest.MonkeyPatch.context() as patch:
            dying(patch, write, lambda: os.kill(os.getpid(), signal.SIGKILL))
            client.post("/sign-up/", json=APPLICANT)

    with forked(die_there) as child:
        assert exit_code(child) == -signal.SIGKILL
    other = sign_up(client, OTHER)
    assert other["decision"]["decision"] == "approve"
    enrolled = drivers(root)
    assert len(enrolled) == (1 if write == "note" else 2)
    seen = sign_up(client, APPLICANT)["decision"]
    assert seen["decision"] == ("approve" if write == "note" else "decline")
    assert len(drivers(root)) == 2


def test_who_changes_a_fact_after_a_failure_is_no_new_person(
    client: FlaskClient, root: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        dying(patch, "driver_dl_entities", fail)
        client.post("/sign-up/", json=APPLICANT)
    answer = sign_up(client, APPLICANT | {"state": "MI"})
    assert answer["decision"]["features"]["is_previously_seen_dl"] == 1
    assert answer["home"] == ""
    assert len(drivers(root)) == 1


@pytest.mark.parametrize("place", ["raw", "online"])
def test_a_number_that_another_driver_has_is_not_given_away(client: FlaskClient, root: Path, place: str):
    numbers = onboarding._numbers(row(), settings.hash_key())
    first, second = next(numbers), next(numbers)
    profile = {"driver_id": first, "state": "NY", "event_timestamp": Time()(), "created": Time()()}
    if place == "raw":
        onboarding._write(root / "raw" / "drivers" / f"signed-up-{first}.parquet", profile | row(OTHER))
    else:
        FeastStore(settings.FEATURE_REPO).write("driver_profile", profile)
    assert sign_up(client)["home"] == f"/home/{second}"
    assert second in drivers(root)


@pytest.mark.parametrize("path", ["raw", "sign-ups"])
def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(client: FlaskClient, root: Path, path: str):
    shutil.rmtree(root / path, ignore_errors=True)
    (root / path).write_text("in the way")
    answer = client.post("/sign-up/", json=APPLICANT)
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
    message = answer.json["error"]["message"]
    assert f" {path}: File exists." in message
    assert str(root) not in message
    (root / path).unlink()
    check_whole(root, sign_up(client))


def test_a_note_that_is_no_note_is_named(client: FlaskClient, root: Path):
    files.make_folder(root / "sign-ups")
    for text in ("", "garbage", "{}", "[]", json.dumps({"facts": {}, "answer": {}, "drivers": {}})):
        (root / "sign-ups" / "1.json").write_text(text)
        answer = client.post("/sign-up/", json=APPLICANT)
        assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
        assert "sign-ups/1.json is no note of a sign-up" in answer.json["error"]["message"]
    (root / "sign-ups" / "1.json").unlink()
    check_whole(root, sign_up(client))


def test_nothing_is_written_where_something_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def unreadable(*_: Any) -> Any:
        raise FeaturesNotReady("The online store cannot be read. Run: make pipeline")

    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    store = Fake()
    client = create_app(store, clock=lambda: NOW).test_client()
    shelve("onboarding")
    with monkeypatch.context() as patch:
        patch.setattr(store, "stored", unreadable)
        assert client.post("/sign-up/", json=APPLICANT).status_code == 503
    assert store.written == []
    assert {path.name for path in tmp_path.iterdir()} <= {"models", "sign-up.lock", "hash-key", "counters"}
