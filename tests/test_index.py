"""The overview links everything there is, and is the front page where no domain has one."""

import re

import pytest
from constants import override
from fake import NOW, Fake
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from app import create_app
from features.domains import NO_RISK, risks, streams
from web import domains, events, historical, index, openapi, risk, vectors


def links(page: str) -> list[str]:
    return re.findall(r'href="(/[^"]*)"', page)


@pytest.fixture
def without_pages(fake: Fake, tmp_path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """The service of a repository whose domains have no pages of their own."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    override(monkeypatch, domains, DOMAINS=())
    return create_app(fake, clock=lambda: NOW).test_client()


def without_risks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the domains declared neither a risk nor a stream."""
    override(monkeypatch, domains, DOMAINS=())
    for module in (openapi, historical, index, risk):
        override(monkeypatch, module, risks=dict)
    for module in (events, index):
        override(monkeypatch, module, streams=dict)


def test_the_front_page_stays_the_sign_up_form(client: FlaskClient):
    assert "Drive with us" in client.get("/").text


def test_the_front_page_is_the_overview_where_no_domain_has_one(without_pages: FlaskClient):
    assert without_pages.get("/").text == without_pages.get("/overview/").text
    assert "Drive with us" not in without_pages.get("/").text


def test_every_link_of_the_overview_works(client: FlaskClient):
    paths = links(client.get("/overview/").text)
    assert {"/", "/home/1001", "/coupon/", "/apidocs/", "/daily-risk-decision/1001/"} <= set(paths)
    assert {path: client.get(path).status_code for path in paths} == dict.fromkeys(paths, 200)


def test_the_overview_names_every_risk_and_every_stream(client: FlaskClient):
    page = client.get("/overview/").text
    assert [r.name for r in risks().values() if f"/api/v1/decisions/{r.name}<" not in page] == []
    assert [name for name in streams() if f"/api/v1/events/{name}<" not in page] == []


def test_every_page_has_the_links_of_all_pages_in_its_head(client: FlaskClient):
    expected = [link.path for link in domains.links()]
    for path in ("/", "/overview/", "/coupon/", "/home/1001"):
        head = client.get(path).text.split("<nav>")[1].split("</nav>")[0]
        assert links(head) == expected
    assert [link.path for link in domains.COMMON] == expected[-len(domains.COMMON) :]


def test_a_page_that_is_gone_is_linked_by_no_other(without_pages: FlaskClient):
    page = without_pages.get("/nowhere", headers={"Accept": "text/html"}).text
    assert "/home/1001" not in page
    assert "/coupon/" not in page
    assert without_pages.get("/home/1001").status_code == 404


def test_without_any_risk_the_overview_says_how_to_add_one(fake: Fake, tmp_path, monkeypatch: pytest.MonkeyPatch):
    without_risks(monkeypatch)
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    client = create_app(fake, clock=lambda: NOW).test_client()
    page = client.get("/").text
    assert NO_RISK in page
    assert "Streams" not in page
    validate(client.get("/openapi.json").json)
    answer = client.get("/historical-features/").json["error"]
    assert answer["message"].endswith(NO_RISK)
    assert vectors.openapi_paths().keys() <= client.get("/openapi.json").json["paths"].keys()
