"""Attacks on a guarded service, by OWASP's ten risks of APIs, the first six: `test_injection.py` has the others. What
one part alone refuses is in its own tests: tokens in `test_access.py`, hosts and pages of other sites in
`test_door.py`, sessions in `test_sign_in.py`."""

import gzip
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from attacks import DECIDE, OUTCOMES, SEARCH, case, refused
from fake import APPLICANT, NOW, Fake
from flask.testing import FlaskClient
from gates import SECRET, add_user, bearer, gate, key, login, sign_in

from app import create_app
from web.turns import LARGEST_REQUEST_BYTES

# 1. Objects of others


def test_a_caller_who_decides_reads_no_decision_not_even_its_own(guarded: FlaskClient, tmp_path: Path):
    till = key(tmp_path, "decisions:write", "features:read", "events:write")
    made = guarded.post(DECIDE, json=APPLICANT, headers=till).json["decision_id"]
    paths = [f"/api/v1/decisions/{made}", f"/api/v1/decisions/{made}/why", f"/console/decisions/{made}", "/home/1001"]
    assert {guarded.get(path, headers=till).status_code for path in paths} == {403}
    assert guarded.post(SEARCH, json={"caller": "key:other"}, headers=till).status_code == 403


def test_the_idempotency_key_of_another_caller_gives_no_answer_away(guarded: FlaskClient, tmp_path: Path):
    mine, other = key(tmp_path, "decisions:write"), key(tmp_path, "decisions:write", name="other")
    first = guarded.post(DECIDE, json=APPLICANT, headers={**mine, "Idempotency-Key": "k"})
    second = guarded.post(DECIDE, json=APPLICANT, headers={**other, "Idempotency-Key": "k"})
    assert first.json["decision_id"] != second.json["decision_id"]
    assert "Idempotent-Replayed" not in second.headers
    nobody = guarded.post(DECIDE, json=APPLICANT, headers={"Idempotency-Key": "k"})
    assert nobody.status_code == 401


# 2. Who it is


#: None: without the field.
FORGED: tuple[dict[str, Any], ...] = (
    {"aud": "another-api"}, {"iss": "another-service"}, {"gen": 99}, {"sub": "another user"}, {"exp": "never"},
    {"exp": NOW.timestamp() - 1}, {"scope": None}, {"aud": None},
)  # fmt: skip


def test_a_token_that_is_signed_and_says_something_else_is_refused(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "features:read")
    token = login(guarded)["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    path = "/daily-risk-features/1001/"
    assert guarded.get(path, headers=bearer(jwt.encode(claims, SECRET, "HS256"))).status_code == 200
    for changes in FORGED:
        forged = {name: value for name, value in (claims | changes).items() if value is not None}
        assert refused(guarded.get(path, headers=bearer(jwt.encode(forged, SECRET, "HS256"))), 401), changes


def test_a_token_gives_no_scope_that_its_user_has_not(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "features:read")
    claims = jwt.decode(login(guarded)["access_token"], options={"verify_signature": False})
    forged = bearer(jwt.encode(claims | {"scope": "admin audit:read"}, SECRET, "HS256"))
    assert guarded.get("/api/v1/decisions", headers=forged).status_code == 403


def test_a_refresh_token_and_the_secret_of_a_session_are_no_bearer(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "features:read")
    refresh = login(guarded)["refresh_token"]
    sign_in(guarded)
    cookie = guarded.get_cookie("session")
    assert cookie is not None
    guarded.delete_cookie("session")
    for credential in (refresh, cookie.value):
        assert guarded.get("/daily-risk-features/1001/", headers=bearer(credential)).status_code == 401


# 3. Fields of objects


NOT_THE_CALLERS: tuple[tuple[str, Any], ...] = (
    ("/api/v1/auth/login", {"email": "ann@example.com", "password": "x", "scopes": ["admin"]}),
    ("/api/v1/auth/refresh", {"refresh_token": "x", "user": "ann"}),
    (DECIDE, {**APPLICANT, "decision": "approve"}),
    (DECIDE, {**APPLICANT, "score": 0}),
    (DECIDE, [{**APPLICANT, "caller": "user:boss"}]),
    ("/sign-up/", {**APPLICANT, "driver_id": 1001}),
    (SEARCH, {"limit": 1, "hash_keys": []}),
    (OUTCOMES, {"decision_id": "d1", "outcome": 1, "caller": "user:boss"}),
    (OUTCOMES, [{"decision_id": "d1", "outcome": 1, "received_at": "2020-01-01T00:00:00Z"}]),
    (DECIDE, {**APPLICANT, "__proto__": {"admin": True}}),
)


def test_a_field_that_is_not_the_callers_to_set_is_refused(guarded: FlaskClient, tmp_path: Path):
    case(tmp_path)
    admin = key(tmp_path, "admin")
    for path, body in NOT_THE_CALLERS:
        answer = guarded.post(path, json=body, headers=admin)
        assert (answer.status_code, answer.json["error"]["name"]) == (400, "unknown_field"), body


# 4. Resources


def test_a_list_of_1001_is_refused_before_any_of_it_is_done(guarded: FlaskClient, tmp_path: Path):
    admin = key(tmp_path, "admin")
    for path in (DECIDE, "/api/v1/events/orders", OUTCOMES):
        answer = guarded.post(path, json=[APPLICANT] * 1001, headers=admin)
        assert refused(answer, 400)
        assert "1001" in answer.json["error"]["message"]
    assert guarded.get("/api/v1/decisions", headers=admin).json["decisions"] == []


def test_deep_json_and_a_large_body_are_refused(guarded: FlaskClient, tmp_path: Path):
    sent: dict[str, Any] = {"content_type": "application/json", "headers": key(tmp_path, "admin")}
    for path in (DECIDE, SEARCH, OUTCOMES, "/api/v1/auth/login", "/api/v1/events/orders", "/sign-in/"):
        for deep in ("[" * 100_000, "[" * 200 + "]" * 200, '{"a":' * 50_000):
            assert refused(guarded.post(path, data=deep, **sent), 400, 401)  # 401: a sign-in by no name
        assert refused(guarded.post(path, data=b" " * (LARGEST_REQUEST_BYTES + 1), **sent), 413)


def test_a_gzip_bomb_is_not_inflated(guarded: FlaskClient, tmp_path: Path):
    bomb = gzip.compress(b"[" + b" " * 50_000_000 + json.dumps(APPLICANT).encode() + b"]")
    assert len(bomb) < LARGEST_REQUEST_BYTES
    headers = {**key(tmp_path, "decisions:write"), "Content-Encoding": "gzip"}
    answer = guarded.post(DECIDE, data=bomb, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json["error"]["name"]) == (400, "not_json")


def test_a_search_answers_no_more_than_a_page(guarded: FlaskClient, tmp_path: Path):
    admin = key(tmp_path, "admin")
    for limit in ("0", "501", "-1", "9" * 400, "1e3", "NaN"):
        assert refused(guarded.get(f"/api/v1/decisions?limit={limit}", headers=admin), 400)


def test_a_password_of_half_a_megabyte_is_no_more_work(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "features:read")
    answer = guarded.post("/api/v1/auth/login", json={"email": "ann@example.com", "password": "x" * 500_000})
    assert refused(answer, 400, 401)


# 5. Functions


def test_a_reader_and_a_machine_decide_no_case_and_change_no_model(guarded: FlaskClient, tmp_path: Path):
    made, reader, till = case(tmp_path), key(tmp_path, "audit:read"), key(tmp_path, "decisions:write", name="till2")
    assert guarded.post(f"/console/cases/{made}", data={"act": "mild"}, headers=reader).status_code == 403
    answer = guarded.post(f"/console/cases/{made}", data={"act": "mild"}, headers=till)
    assert refused(answer, 403)
    assert "A case is for a person" in answer.text
    for header in (reader, till):
        assert guarded.post("/console/models/daily", data={"act": "rollback"}, headers=header).status_code == 403
    assert not (tmp_path / "cases").exists()


def test_no_header_changes_the_method_or_the_path(guarded: FlaskClient):
    for name in ("X-HTTP-Method-Override", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL"):
        answer = guarded.get("/api/health-check", headers={name: "/console" if "URL" in name else "POST"})
        assert answer.json == {"status": "alive"}


# 6. Flows: a sign-up is decided once for its key, which `test_once.py` proves


def test_a_limit_of_sign_ins_has_no_way_around_it(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    monkeypatch.setenv("RISK_LIMITS", "login-user=2/hour")
    client = create_app(fake, clock=lambda: NOW, gate=gate(tmp_path)).test_client()
    ways = [" ANN@example.com", "ann@example.com ", "Ann@Example.com", "ann@EXAMPLE.com"]
    statuses = [
        client.post("/api/v1/auth/login", json={"email": email, "password": "x"},
                    headers={"X-Forwarded-For": f"10.0.0.{nth}"}).status_code
        for nth, email in enumerate(ways)
    ]  # fmt: skip
    assert statuses == [401, 401, 429, 429]
    assert client.post("/sign-in/", data={"email": "ann@example.com", "password": "x"}).status_code == 429
