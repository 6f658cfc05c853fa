"""Who may come in: our own names, no page of another site; and the headers of every answer."""

import re
from pathlib import Path
from typing import Any

import pytest
from fake import APPLICANT, Fake
from flask.testing import FlaskClient

import settings
from app import create_app
from errors import BadSetting
from setting_values import LOOPBACK
from web import turns

DECIDE = "/onboarding-risk-decision/"
#: What a browser sends with a request that a page of another site makes, newest first; the last one is a form.
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Origin": "null"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://localhost:3000"},
    {"Origin": "null"},
    {"Origin": "http://[::1"},
    {"Referer": "https://evil.example/page"},
    {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded"},
]
OWN = [
    {},
    {"Content-Type": "text/plain"},
    {"Origin": "http://localhost"},
    {"Origin": "http://LOCALHOST:80"},
    {"Origin": "https://localhost:443"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"},
    {"Referer": "http://localhost/sign-up"},
]
ANSWERS = [
    ("GET", "/", 200), ("GET", "/overview", 308), ("GET", "/static/style.css", 200), ("GET", "/nowhere", 404),
    ("PUT", "/", 405), ("POST", DECIDE, 400), ("GET", "/apidocs/", 200), ("GET", "/openapi.json", 200),
    ("GET", "/flasgger_static/swagger-ui.css", 200), ("OPTIONS", "/", 200), ("HEAD", "/", 200),
]  # fmt: skip

#: Their style has pictures inside.
API_DOCS = ("/apidocs/", "/flasgger_static/swagger-ui.css")


def names(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]["name"]


# Headers


@pytest.mark.parametrize(("method", "path", "status"), ANSWERS)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_every_answer_tells_a_browser_to_run_only_what_is_ours(
    untrained: FlaskClient, method: str, path: str, status: int, accept: str
):
    answer = untrained.open(path, method=method, headers={"Accept": accept})
    assert answer.status_code == status
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Referrer-Policy"] == "same-origin"
    for name in ("Opener-Policy", "Resource-Policy"):
        assert answer.headers[f"Cross-Origin-{name}"] == "same-origin"
    directives = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert {directives[f"{kind}-src"] for kind in ("script", "style", "connect", "font")} == {"'self'"}
    assert directives["img-src"] == ("'self' data:" if path in API_DOCS else "'self'")
    assert directives["form-action"] == "'self'"


def test_the_answers_of_failures_have_the_headers_too(client: FlaskClient, fake: Fake, monkeypatch: pytest.MonkeyPatch):
    too_large = client.post(DECIDE, data=b" " * (turns.LARGEST_REQUEST_BYTES + 1))
    monkeypatch.setattr(fake, "online_many", lambda *_: 1 / 0)
    bug = client.post(DECIDE, json=APPLICANT)
    foreign = client.get("/", headers={"Host": "evil.example"})
    assert [a.status_code for a in (too_large, bug, foreign)] == [413, 500, 400]
    for answer in (too_large, bug, foreign):
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_no_cache_keeps_what_is_about_a_person(client: FlaskClient):
    for answer in (client.post(DECIDE, json=APPLICANT), client.get("/home/1001"), client.post(DECIDE, data=b"x")):
        assert answer.headers["Cache-Control"] == "no-store"
    assert client.get("/static/style.css").headers["Cache-Control"] == "no-cache", "it may be kept, and asked for again"


@pytest.mark.parametrize("path", ["/", "/home/1001", "/coupon/", "/overview/", "/apidocs/", "/nowhere"])
def test_no_page_has_a_script_or_style_inside(client: FlaskClient, path: str):
    page = client.get(path, headers={"Accept": "text/html"}).text
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", page)
    scripts = re.findall(r"<script[^>]*>", page)
    assert all("src=" in script or 'type="application/json"' in script for script in scripts), scripts


# Host


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "a b", "[::2]"])
@pytest.mark.parametrize("path", ["/", "/overview", "/nowhere", "/static/style.css"])
def test_a_foreign_host_gets_no_redirect_and_no_page(untrained: FlaskClient, host: str, path: str):
    answer = untrained.get(path, headers={"Host": host})
    assert names(answer) == (400, "bad_host")
    assert "Location" not in answer.headers
    assert host not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LocalHost:5000", "127.0.0.1:80", "[::1]:5000", "localhost."])
def test_the_names_of_this_machine_for_itself_are_ours(untrained: FlaskClient, host: str):
    assert untrained.get("/", headers={"Host": host}).status_code == 200


def test_a_forwarded_host_changes_nothing(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    for proxies in ("0", "1"):
        monkeypatch.setenv("RISK_PROXIES", proxies)
        client = create_app(fake).test_client()
        forwarded = {"X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
        assert client.get("/overview", headers=forwarded).headers["Location"] == "http://localhost/overview/"


def test_the_health_check_answers_by_any_name(untrained: FlaskClient):
    """A load balancer asks by address. The check links nowhere."""
    assert untrained.get("/api/health-check", headers={"Host": "10.1.2.3"}).status_code != 400


def test_a_service_is_reached_by_the_names_that_are_set(fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    monkeypatch.setenv("RISK_HOSTS", "Risk.example.org, .internal.example")
    client = create_app(fake).test_client()
    hosts = {"risk.example.org": 200, "a.internal.example:8080": 200, "internal.example": 400, "example.org": 400}
    assert {host: client.get("/", headers={"Host": host}).status_code for host in hosts} == hosts


@pytest.mark.parametrize("hosts", ["http://risk.example.org", "risk.example.org:80", "risk/x", "*", "a b"])
def test_what_is_no_name_of_a_host_is_refused(monkeypatch: pytest.MonkeyPatch, hosts: str):
    monkeypatch.setenv("RISK_HOSTS", hosts)
    with pytest.raises(BadSetting, match="Set it to names without scheme, port and path"):
        settings.hosts()


def test_a_service_that_others_reach_has_to_know_its_names(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOST", "0.0.0.0")
    with pytest.raises(BadSetting, match="RISK_HOSTS does not say under which names"):
        settings.hosts()
    monkeypatch.setenv("RISK_HOSTS", "10.0.0.7")
    assert settings.hosts() == {"10.0.0.7", *LOOPBACK}


def test_the_address_that_the_service_listens_on_is_a_name(monkeypatch: pytest.MonkeyPatch):
    for host, name in (("10.0.0.7", "10.0.0.7"), ("::1", "[::1]"), ("Box.example", "box.example")):
        monkeypatch.setenv("HOST", host)
        assert settings.hosts() == {name, *LOOPBACK}


@pytest.mark.parametrize("number", ["-1", "x", "10", ""])
def test_a_wrong_number_of_proxies_is_refused(monkeypatch: pytest.MonkeyPatch, number: str):
    monkeypatch.setenv("RISK_PROXIES", number)
    with pytest.raises(BadSetting, match="number of proxies"):
        settings.proxies()


# Pages of other sites


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    "path", ["/sign-up/", DECIDE, "/api/v1/events/coupon_attempts", "/api/v1/decisions/onboarding"]
)
def test_a_page_of_another_site_changes_nothing(
    client: FlaskClient, tmp_path: Path, path: str, headers: dict[str, str]
):
    before = sorted(tmp_path.rglob("*"))
    answer = client.post(path, json=APPLICANT, headers={"Content-Type": "text/plain", **headers})
    assert names(answer) == (403, "not_allowed")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("headers", OWN)
def test_a_page_of_ours_and_a_program_may_send(client: FlaskClient, headers: dict[str, str]):
    assert client.post(DECIDE, json=APPLICANT, headers=headers).status_code == 200


def test_a_page_of_another_site_may_link_and_not_embed(client: FlaskClient):
    """A GET of a decision is logged, so no image of another page may ask for one."""
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert names(client.get("/daily-risk-decision/1001/", headers=image)) == (403, "not_allowed")
