"""Browsers sign in: the page, the cookie, the CSRF token, and where a sign-in leads."""

from pathlib import Path
from urllib.parse import quote

import pytest
from fake import APPLICANT
from flask.testing import FlaskClient
from gates import ANN, BROWSER, DRIVER, add_user, bearer, csrf_of, key, sign_in

from web.access import local_path

DECIDE = "/onboarding-risk-decision/"


@pytest.fixture(autouse=True)
def hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service has names on a network too."""
    monkeypatch.setenv("RISK_HOSTS", "risk.example.com,10.0.0.7")


def test_a_page_leads_to_the_sign_in_and_back(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "audit:read")
    answer = guarded.get("/home/1001?a=b&c", headers=BROWSER)
    assert (answer.status_code, answer.location) == (303, "/sign-in/?next=/home/1001%3Fa%3Db%26c")
    page = guarded.get(answer.location, headers=BROWSER).text
    assert 'name="next" value="/home/1001?a=b&amp;c"' in page
    sent = {"email": ANN, "password": "correct horse battery", "next": "/home/1001?a=b&c"}
    answer = guarded.post("/sign-in/", data=sent, headers=BROWSER)
    assert (answer.status_code, answer.location) == (303, "/home/1001?a=b&c")
    page = guarded.get("/home/1001", headers=BROWSER)
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    assert ANN in page.text


def test_what_asks_for_json_is_not_led_to_a_page(guarded: FlaskClient):
    for headers in ({"Accept": "application/json"}, {}, BROWSER | bearer("x")):
        assert guarded.get("/home/1001", headers=headers).status_code == 401
    assert guarded.post("/sign-up/", headers=BROWSER).status_code == 401


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:5000", "[::1]:5000"])
def test_a_cookie_on_this_machine_is_for_no_script_and_no_other_site(guarded: FlaskClient, tmp_path: Path, host: str):
    cookie = cookie_set(guarded, tmp_path, host)
    assert cookie.startswith("session=")
    assert {"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=43200"} <= set(cookie.split("; "))
    assert "Secure" not in cookie


@pytest.mark.parametrize("host", ["risk.example.com", "10.0.0.7:5000"])
def test_a_cookie_on_a_network_goes_over_tls_only(guarded: FlaskClient, tmp_path: Path, host: str):
    cookie = cookie_set(guarded, tmp_path, host)
    assert cookie.startswith("__Host-session=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie


def cookie_set(client: FlaskClient, tmp_path: Path, host: str) -> str:
    add_user(tmp_path, "admin")
    sent = {"email": ANN, "password": "correct horse battery"}
    return client.post("/sign-in/", data=sent, headers={"Host": host}).headers["Set-Cookie"]


def test_a_wrong_sign_in_shows_the_form_again_without_the_password(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "admin")
    sent = {"email": '"><script>', "password": "my secret text", "next": "//evil.example/"}
    answer = guarded.post("/sign-in/", data=sent, headers=BROWSER)
    assert answer.status_code == 401
    assert "The e-mail address or the password is wrong" in answer.text
    assert "<script>" not in answer.text
    assert "my secret text" not in answer.text
    assert "evil.example" not in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "evil.example",
     "/\t/evil.example",
     "/%0d%0aSet-Cookie:x=y\r\n", "javascript:alert(1)", "", "/a\\b", " /x", "/é", "///evil.example"],
)  # fmt: skip
def test_a_sign_in_leads_to_no_other_site(guarded: FlaskClient, tmp_path: Path, target: str):
    add_user(tmp_path, "admin")
    sent = {"email": ANN, "password": "correct horse battery", "next": target}
    assert guarded.post("/sign-in/", data=sent).location == "/overview/"
    assert 'value="/overview/"' in guarded.get(f"/sign-in/?next={quote(target)}").text


@pytest.mark.parametrize("target", ["/", "/home/1001", "/coupon/?a=b%20c&d", "/x/./y"])
def test_a_path_of_ours_is_followed(target: str):
    assert local_path(target) == target


def test_what_a_session_changes_needs_its_csrf_token(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "decisions:write")
    token = sign_in(guarded)
    wrong = ["", "x", "é", token[:-1] + ("0" if token[-1] != "0" else "1"), token.upper()]
    for sent in wrong:
        answer = guarded.post("/sign-up/", json=APPLICANT, headers={"X-CSRF-Token": sent.encode().decode("latin-1")})
        assert (answer.status_code, "CSRF" in answer.json["error"]["message"]) == (403, True)
    assert guarded.post("/sign-up/", json=APPLICANT).status_code == 403
    assert guarded.post(DECIDE, json=APPLICANT, headers={"X-CSRF-Token": token}).status_code == 200
    assert guarded.get(DRIVER).status_code == 200


def test_a_csrf_token_is_of_one_session_alone(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "decisions:write")
    add_user(tmp_path, "decisions:write", email="bob@example.com")
    other = sign_in(guarded.application.test_client(), "bob@example.com")
    sign_in(guarded)
    assert guarded.post(DECIDE, json=APPLICANT, headers={"X-CSRF-Token": other}).status_code == 403


def test_a_token_needs_no_csrf_token_and_wins_over_a_cookie(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "features:read")
    sign_in(guarded)
    header = key(tmp_path, "decisions:write")
    assert guarded.post(DECIDE, json=APPLICANT, headers=header).status_code == 200
    assert guarded.post(DECIDE, json=APPLICANT, headers=bearer("x")).status_code == 401


def test_a_form_sends_the_csrf_token_as_a_field_and_signs_out(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "features:read")
    sign_in(guarded)
    cookie = guarded.get_cookie("session")
    assert cookie
    assert guarded.post("/sign-out/", data={"csrf_token": "x"}).status_code == 403
    answer = guarded.post("/sign-out/", data={"csrf_token": csrf_of(guarded)})
    assert (answer.status_code, answer.location) == (303, "/sign-in/")
    assert guarded.get_cookie("session") is None
    guarded.set_cookie("session", cookie.value)
    assert guarded.get("/overview/").status_code == 401


def test_a_caller_without_the_scope_gets_a_page_that_says_so(guarded: FlaskClient, tmp_path: Path):
    add_user(tmp_path, "features:read")
    sign_in(guarded)
    answer = guarded.get("/home/1001", headers=BROWSER)
    assert (answer.status_code, "lacks the scope audit:read" in answer.text) == (403, True)
