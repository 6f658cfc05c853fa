"""How often somebody may ask, counted over all processes."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from constants import override
from fake import APPLICANT, Fake, shelve
from flask.testing import FlaskClient
from processes import exit_code, forked

import settings
from app import create_app
from errors import BadSetting
from web import counters, examples, throttle
from web.calls import current
from web.counters import SharedStorage

DECIDE = "/onboarding-risk-decision/"


@pytest.fixture
def limited(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a process of the service with limits. All are on one root."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    shelve("onboarding")

    def process(limits: str, caller: str = "", **settings: str) -> FlaskClient:
        for name, value in {"RISK_LIMITS": limits, **settings}.items():
            monkeypatch.setenv(name, value)
        app = create_app(fake)
        app.before_request_funcs[None].append(lambda: setattr(current(), "caller", caller))
        return app.test_client()

    return process


def statuses(client: FlaskClient, count: int, **options: Any) -> list[int]:
    return [client.post(DECIDE, json=APPLICANT, **options).status_code for _ in range(count)]


def test_too_many_decisions_are_refused_until_it_is_time(limited: Any):
    client = limited("decisions=3/hour")
    assert statuses(client, 3) == [200] * 3
    answer = client.post(DECIDE, json=APPLICANT)
    assert (answer.status_code, answer.json["error"]["name"]) == (429, "too_many")
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert "Retry-After" not in client.get("/").headers


def test_all_processes_count_together(limited: Any):
    first, second = limited("decisions=4/hour"), limited("decisions=4/hour")
    assert statuses(first, 2) + statuses(second, 3) + statuses(first, 1) == [200, 200, 200, 200, 429, 429]


def test_each_of_a_list_counts(limited: Any):
    client = limited("decisions=5/hour,events=2/hour")
    many = [APPLICANT] * 4
    path = "/api/v1/decisions/onboarding"
    assert [client.post(path, json=many).status_code for _ in range(2)] == [200, 429]
    events = f"[{examples.of_event('coupon_attempts')}, {examples.of_event('coupon_attempts')}]"
    sent = [client.post("/api/v1/events/coupon_attempts", data=events).status_code for _ in range(2)]
    assert sent == [202, 429]


def test_a_caller_is_counted_by_name_and_by_address(limited: Any):
    ann, ben = limited("decisions=2/hour", "ann"), limited("decisions=2/hour", "ben")
    elsewhere = {"REMOTE_ADDR": "10.0.0.9"}
    assert statuses(ann, 2) == [200, 200]
    assert statuses(ann, 1, environ_base=elsewhere) == [429], "the same caller, elsewhere"
    assert statuses(ben, 1) == [429], "another caller, from there"
    assert statuses(ben, 1, environ_base={"REMOTE_ADDR": "10.0.0.10"}) == [200]


def test_nobody_chooses_an_address(limited: Any):
    client = limited("decisions=1/hour")
    forwarded = [statuses(client, 1, headers={"X-Forwarded-For": f"10.0.0.{i}"})[0] for i in range(3)]
    assert forwarded == [200, 429, 429]


def test_behind_a_proxy_the_address_is_what_the_proxy_saw(limited: Any):
    client = limited("decisions=1/hour", RISK_PROXIES="1")
    chains = ("10.0.0.1", "10.0.0.2", "10.0.0.9, 10.0.0.2")
    assert [statuses(client, 1, headers={"X-Forwarded-For": chain})[0] for chain in chains] == [200, 200, 429]


def test_a_sign_in_is_limited_by_address_and_by_the_name_of_anybody(limited: Any):
    client = limited("login=6/hour,login-user=2/hour")

    def refused(email: str, address: str = "127.0.0.1") -> bool:
        body = {"email": email, "password": "wrong"}
        answer = client.post("/api/v1/auth/login", json=body, environ_base={"REMOTE_ADDR": address})
        return bool(answer.status_code == 429)

    assert [refused("Ann@example.com", f"10.0.1.{i}") for i in range(3)] == [False, False, True]
    assert [refused("nobody@example.com", f"10.0.2.{i}") for i in range(3)] == [False, False, True]
    assert [refused(f"user-{i}@example.com") for i in range(7)] == [False] * 6 + [True]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"email": 1}', b"\xff"])
def test_a_sign_in_that_names_nobody_counts_for_its_address(limited: Any, body: bytes):
    client = limited("login=1/hour")
    assert [client.post("/api/v1/auth/login", data=body).status_code == 429 for _ in range(2)] == [False, True]


def test_a_limit_can_be_off(limited: Any):
    assert set(statuses(limited("decisions=off"), 30)) == {200}


@pytest.mark.parametrize("limits", ["decisions", "decisions=0/second", "x=1/second", "events=1/week", "login=fast"])
def test_a_wrong_limit_is_named(monkeypatch: pytest.MonkeyPatch, limits: str):
    monkeypatch.setenv("RISK_LIMITS", limits)
    with pytest.raises(BadSetting, match="Set it to limits such as login=10/minute"):
        settings.limits()


def test_where_the_counters_cannot_be_shared_each_process_counts(limited: Any, tmp_path: Path):
    (tmp_path / "counters").mkdir()
    assert statuses(limited("decisions=1/hour"), 2) == [200, 429]


# The counters


def test_a_counter_ends_and_begins_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    now = time.time()
    monkeypatch.setattr(counters.time, "time", lambda: now)
    storage = SharedStorage(tmp_path / "counters")
    assert [storage.incr("a", 10, 3), storage.incr("a", 10), storage.incr("b", 10)] == [3, 4, 1]
    assert (storage.get("a"), storage.get_expiry("a")) == (4, now + 10)
    now += 11
    assert (storage.get("a"), storage.incr("a", 10)) == (0, 1)
    storage.clear("a")
    assert storage.get("a") == 0
    storage.incr("b", 10)
    storage.reset()
    assert (storage.get("b"), storage.check()) == (0, True)


def test_more_names_than_slots_make_no_limit_stricter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    override(monkeypatch, counters, SLOTS=16)
    storage = SharedStorage(tmp_path / "counters")
    assert {storage.incr(f"name {i}", 60) for i in range(500)} == {1}


@pytest.mark.slow
def test_threads_and_processes_lose_no_count(tmp_path: Path):
    path = tmp_path / "counters"

    def count() -> None:
        storage = SharedStorage(path)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: storage.incr("a", 600), range(500)))
        os._exit(0)

    with forked(count) as first, forked(count) as other:
        assert exit_code(first) == exit_code(other) == 0
    assert SharedStorage(path).get("a") == 1000


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", ""])
def test_json_names_its_user_to_the_limit_whatever_its_content_type(guarded: FlaskClient, kind: str):
    body = b'{"email": " Ann@Example.com ", "password": "correct horse battery"}'
    with guarded.application.test_request_context("/api/v1/auth/login", method="POST", data=body, content_type=kind):
        assert throttle._user_name() == "ann@example.com"
    answer = guarded.post("/api/v1/auth/login", data=body, headers={"Content-Type": kind})
    assert answer.status_code == 401
