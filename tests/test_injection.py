"""Attacks on a guarded service, by OWASP's ten risks of APIs, from the seventh on: requests to others, configuration,
inventory, and what is sent to break storage, headers and pages."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from attacks import LEAKS, OUTCOMES, SEARCH, case, refused
from fake import APPLICANT, Fake
from flask.testing import FlaskClient
from gates import BROWSER, add_user, csrf_of, key, sign_in

from web.openapi import document

META = (
    "' OR '1'='1", "1; DROP TABLE positions--", "%' UNION SELECT 1,2,3--", "a\0b", "a\r\nX-Evil: 1", "../../access.db",
    "..%2f..%2faccess.db", "{{7*7}}", "${jndi:ldap://x}", "<script>alert(1)</script>", "\N{FULLWIDTH APOSTROPHE}",
    "-1e309",
)  # fmt: skip


# 7. Requests to others


def test_no_value_is_taken_for_an_address_to_fetch(
    guarded: FlaskClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("The service opened a connection."))
    case(tmp_path)
    admin = key(tmp_path, "admin")
    for url in ("http://169.254.169.254/latest/", "file:///etc/passwd", "//127.0.0.1:1/"):
        note = {"decision_id": "d1", "outcome": 1, "source": url, "note": url}
        assert guarded.post(OUTCOMES, json=note, headers=admin).status_code == 200
        assert refused(guarded.post(SEARCH, json={"cursor": url}, headers=admin), 400)
        assert refused(guarded.get(f"/historical-features/?service={url}", headers=admin), 400)
        assert url not in guarded.get(f"/sign-in/?next={url}").text


# 8. Configuration


def test_every_path_has_the_headers_and_no_answer_a_trace(guarded: FlaskClient, tmp_path: Path):
    admin = {**key(tmp_path, "admin"), "Accept": "application/json"}
    for rule in guarded.application.url_map.iter_rules():
        path = re.sub(r"<[^>]*>", "1", rule.rule)
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"):
            answer = guarded.open(path, method=method, headers=admin)
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"], path
            assert answer.headers["X-Content-Type-Options"] == "nosniff", path
            assert "Access-Control-Allow-Origin" not in answer.headers, path
            if answer.status_code >= 400:
                assert not LEAKS.search(answer.text), path
                assert str(tmp_path) not in answer.text, path


def test_a_bug_shows_neither_trace_nor_folder(guarded: FlaskClient, fake: Fake, tmp_path: Path, monkeypatch: Any):
    def fails(*_: Any) -> None:
        raise RuntimeError(f"secret of {tmp_path}")

    monkeypatch.setattr(fake, "online_many", fails)
    monkeypatch.setattr(fake, "online", fails)
    for accept in ("application/json", "text/html"):
        headers = {**key(tmp_path, "admin", name=accept[-4:]), "Accept": accept}
        answer = guarded.get("/daily-risk-features/1001/", headers=headers)
        assert refused(answer, 500)
        assert "secret" not in answer.text


# 9. Inventory


def test_every_path_is_in_the_document_or_is_a_page(guarded: FlaskClient):
    described = set(document()["paths"])
    rules = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule) for rule in guarded.application.url_map.iter_rules()}
    assert described <= rules
    pages = {
        "/", "/home/{driver_id}", "/coupon/", "/coupon/live", "/overview/", "/sign-in/", "/sign-out/", "/apidocs/",
        "/apidocs/index.html", "/openapi.json", "/oauth2-redirect.html", "/static/{filename}",
        "/flasgger_static/{filename}", "/console", "/console/search", "/console/cases", "/console/cases/{decision_id}",
        "/console/decisions/{decision_id}", "/console/monitor", "/console/models", "/console/models/{name}",
        "/console/models/{name}/{version}/report",
    }  # fmt: skip
    assert rules - described == pages


# 10. What is taken from others: injection into storage, headers and pages


def test_meta_characters_find_nothing_and_break_nothing(guarded: FlaskClient, tmp_path: Path):
    made, admin = case(tmp_path), key(tmp_path, "admin")
    for text in META:
        for name in ("caller", "ssn", "driver_id", "risk", "outcome", "cursor", "since"):
            answer = guarded.get("/api/v1/decisions", query_string={name: text}, headers=admin)
            assert (answer.status_code == 200 and answer.json["decisions"] == []) or refused(answer, 400, 404), name
        assert refused(guarded.get("/console", query_string={"caller": text}, headers={**admin, **BROWSER}), 200)
        part = quote(text, safe="")
        for path in (
            f"/api/v1/decisions/{part}", f"/api/v1/decisions/{part}/why", f"/console/decisions/{part}",
            f"/console/models/{part}/1/report", f"/console/models/daily/{part}/report", f"/daily-risk-features/{part}/",
            f"/home/{part}", f"/api/v1/events/orders/missing?producer={part}&last={part}",
            f"/historical-features/?service={part}", f"/historical-features/?driver_id={part}",
        ):  # fmt: skip
            assert refused(guarded.get(path, headers=admin), 400, 404), path
        for act in ("promote", "rollback", text):
            form = {"act": act, "version": text}
            assert refused(guarded.post("/console/models/daily", data=form, headers=admin), 400), act
    assert guarded.get(f"/api/v1/decisions/{made}", headers=admin).status_code == 200


def test_a_value_that_splits_headers_reaches_none(guarded: FlaskClient):
    for value in ("a\r\nX-Evil: 1", "a\nSet-Cookie: session=1", "a\0b", "é" * 70):
        for name in ("HTTP_X_REQUEST_ID", "HTTP_IDEMPOTENCY_KEY"):
            answer = guarded.get("/api/health-check", environ_overrides={name: value})
            assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])
        answer = guarded.get("/overview/", query_string={"x": value}, headers=BROWSER)
        form = {"next": f"/{value}", "email": value, "password": value}
        page = guarded.post("/sign-in/", data=form, environ_overrides={"REMOTE_ADDR": f"10.0.0.{len(value)}"})
        for sent in (answer, page):
            assert not {"X-Evil", "Set-Cookie"} & set(sent.headers.keys())
            assert not any("\n" in text or "\r" in text for text in sent.headers.values())


def test_markup_in_a_decision_and_a_note_is_text_on_every_page(guarded: FlaskClient, tmp_path: Path):
    markup = "<img src=x onerror=alert(1)>\"'</script>"
    made = case(tmp_path, text=markup)
    add_user(tmp_path, "admin")
    token = sign_in(guarded)
    form = {"act": "note", "note": markup, "csrf_token": token}
    assert guarded.post(f"/console/cases/{made}", data=form).status_code == 303
    outcome = {"decision_id": made, "outcome": 1, "note": markup, "source": markup}
    guarded.post(OUTCOMES, json=outcome, headers={"X-CSRF-Token": token})
    for path in (f"/console/decisions/{made}", "/console", "/console/cases", "/console/monitor"):
        assert "<img src=x" not in guarded.get(path, headers=BROWSER).text, path
    query = {"caller": markup, "min_score": markup, "risk": markup}
    assert "<img src=x" not in guarded.get("/console", query_string=query, headers=BROWSER).text


def test_no_note_keeps_a_social_security_number(guarded: FlaskClient, tmp_path: Path):
    made = case(tmp_path)
    add_user(tmp_path, "admin")
    form = {"act": "note", "note": f"She is {APPLICANT['ssn']}.", "csrf_token": sign_in(guarded)}
    answer = guarded.post(f"/console/cases/{made}", data=form)
    assert refused(answer, 400)
    assert APPLICANT["ssn"] not in answer.text
    assert not (tmp_path / "cases").exists()


# Forms of other sites


def test_a_form_without_the_token_of_the_session_does_nothing(guarded: FlaskClient, tmp_path: Path):
    case(tmp_path)
    add_user(tmp_path, "admin")
    sign_in(guarded)
    for content in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
        for path in ("/console/cases/d1", "/console/models/daily", "/console/search", "/sign-out/"):
            for data in ("act=mild", "act=mild&csrf_token=", "act=mild&csrf_token=" + "0" * 64):
                assert refused(guarded.post(path, data=data, content_type=content), 403), (path, content, data)
    assert csrf_of(guarded)  # the session goes on
    assert not (tmp_path / "cases").exists()
