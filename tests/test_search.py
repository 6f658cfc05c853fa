"""Searching the audit log over HTTP: the same decisions as a look at every line, newest first, page by page."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from decision_log import ids, log, newest_first, record
from fake import APPLICANT, NOW

import settings
from features.identifiers import keyed_hash
from serving import audit

SSN, OTHER_SSN = "512-34-8765", "512-34-8766"


@pytest.fixture
def records(untrained: Any) -> list[dict[str, Any]]:
    return log(120)


def test_a_decision_that_was_just_given_is_found_by_its_id(client):
    given = client.post("/onboarding-risk-decision/", json=APPLICANT).json
    answer = client.get(f"/api/v1/decisions/{given['decision_id']}")
    line = json.loads(next(settings.root().decisions.glob("*.jsonl")).read_text())
    assert answer.json == line | {"outcomes": []}
    assert answer.json["entity"]["ssn"] == keyed_hash("ssn", "512348765", settings.hash_key())


def test_an_unknown_id_is_not_found(records, untrained):
    answer = untrained.get("/api/v1/decisions/nothing")
    assert (answer.status_code, answer.json["error"]["name"]) == (404, "unknown_decision")


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ("", lambda r: True),
        ("risk=daily", lambda r: r["risk"] == "daily"),
        ("outcome=review", lambda r: r["decision"] == "review"),
        ("risk=onboarding&outcome=decline", lambda r: (r["risk"], r["decision"]) == ("onboarding", "decline")),
        ("min_score=0.5", lambda r: r["score"] >= 0.5),
        ("max_score=0.25", lambda r: r["score"] <= 0.25),
        ("min_score=0.4&max_score=0.6&risk=daily", lambda r: 0.4 <= r["score"] <= 0.6 and r["risk"] == "daily"),
        ("driver_id=1001", lambda r: r["entity"].get("driver_id") == 1001),
        ("driver_id=1001&outcome=approve", lambda r: "1001approve" in f"{r['entity'].get('driver_id')}{r['decision']}"),
        ("caller=caller+1&min_score=0.9", lambda r: r["caller"] == "caller 1" and r["score"] >= 0.9),
        ("since=2026-01-30&until=2026-01-31T03:00:00Z", lambda r: "2026-01-30" <= r["as_of"] < "2026-01-31T03"),
        ("since=2026-01-30&outcome=review", lambda r: r["as_of"] >= "2026-01-30" and r["decision"] == "review"),
    ],
)  # fmt: skip
def test_a_search_finds_what_a_look_at_every_line_finds(
    records: list[dict[str, Any]], untrained: Any, query: str, holds: Callable[[dict[str, Any]], bool]
):
    expected = newest_first([made for made in records if holds(made)])
    assert len(expected) > 0
    assert ids(untrained.get(f"/api/v1/decisions?limit=500&{query}")) == expected


def pages(client: Any, query: str) -> Iterator[list[str]]:
    cursor = ""
    while cursor is not None:
        answer = client.get(f"/api/v1/decisions?{query}{cursor and f'&cursor={cursor}'}")
        yield ids(answer)
        cursor = answer.json["next"]


@pytest.mark.parametrize("query", ["", "outcome=review", "max_score=0.7", "caller=caller+0"])
def test_pages_are_the_whole_in_order_whatever_arrives_meanwhile(records, untrained, query):
    (whole,) = pages(untrained, f"limit=500&{query}")
    paged = []
    for number, page in enumerate(pages(untrained, f"limit=7&{query}")):
        paged += page
        later = NOW + timedelta(seconds=number)
        new = [record(1000 + 6 * number + n, later) for n in range(6)]
        audit.append(settings.root().decisions, later, new)
    assert paged == whole
    assert len(ids(untrained.get(f"/api/v1/decisions?limit=500&{query}"))) > len(whole)


def test_a_raw_identifier_and_its_hash_find_the_same(client):
    given = client.post("/onboarding-risk-decision/", json=APPLICANT).json["decision_id"]
    client.post("/onboarding-risk-decision/", json=APPLICANT | {"ssn": OTHER_SSN})
    hashed = keyed_hash("ssn", "512348765", settings.hash_key())
    for written in (SSN, " 512348765 ", hashed):
        answer = client.post("/api/v1/decisions/search", json={"entity": {"ssn": written}})
        assert ids(answer) == [given]
        assert "512348765" not in answer.text.replace("-", "")
    assert ids(client.get(f"/api/v1/decisions?ssn={SSN}")) == [given]
    assert ids(client.get(f"/api/v1/decisions?ssn={SSN}&dl=d123-4567")) == [given]
    assert ids(client.get(f"/api/v1/decisions?ssn={SSN}&dl=X1234")) == []


@pytest.mark.parametrize(
    ("query", "field", "words"),
    [
        ("risk=onbording", None, "Did you mean 'onboarding'?"),
        ("outcome=aprove", "outcome", "Did you mean 'approve'?"),
        ("risk=coupon&outcome=approve", "outcome", "Choose one of: allow, review, block"),
        ("driver=7", "driver", "Did you mean 'driver_id'?"),
        ("driver_id=abc", "driver_id", "driver_id is invalid"),
        ("risk=daily&ssn=512-34-8765", "ssn", "There is no entity key 'ssn'"),
        ("ssn=000-11-2222", "ssn", "ssn does not exist"),
        ("since=yesterday", "since", "write it as 2026-01-31"),
        ("since=9999-01-01", "since", "is not in the years 1970 to 2199"),
        ("min_score=high", "min_score", "min_score has the wrong type"),
        ("min_score=nan", "min_score", "min_score is invalid"),
        ("limit=0", "limit", "limit is invalid"),
        ("limit=501", "limit", "limit is invalid"),
        ("cursor=abc", "cursor", "cursor is none of ours"),
        ("cursor=%C3%A4", "cursor", "cursor is none of ours"),
        ("risk=daily&risk=coupon", "risk", "risk stands twice"),
    ],
)
def test_a_wrong_parameter_is_named(untrained, query, field, words):
    answer = untrained.get(f"/api/v1/decisions?{query}")
    error = answer.json["error"]
    assert (answer.status_code, error.get("field")) == (400, field)
    assert words in error["message"]
    assert "512" not in error["message"]
    assert "2222" not in error["message"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        ({"risc": "daily"}, "unknown_field"),
        ({"limit": "5"}, "wrong_type"),
        ({"entity": {"driver_id": 1.5}}, "wrong_type"),
        ([], "wrong_type"),
        ({"since": 7}, "wrong_type"),
    ],
)
def test_a_wrong_body_of_a_search_is_named(untrained, body, name):
    answer = untrained.post("/api/v1/decisions/search", json=body)
    assert (answer.status_code, answer.json["error"]["name"]) == (400, name)


def test_a_cursor_of_another_search_is_refused(records, untrained):
    cursor = untrained.get("/api/v1/decisions?limit=5&outcome=review").json["next"]
    answer = untrained.get(f"/api/v1/decisions?limit=5&outcome=decline&cursor={cursor}")
    assert (answer.status_code, answer.json["error"]["field"]) == (400, "cursor")
    assert ids(untrained.get(f"/api/v1/decisions?limit=9&outcome=review&cursor={cursor}"))


def test_an_empty_log_finds_nothing(untrained):
    assert untrained.get("/api/v1/decisions").json == {"decisions": [], "next": None}


def test_a_search_holds_no_turn(untrained):
    functions = untrained.application.view_functions
    views = {name: view for name, view in functions.items() if name.startswith("audit.")}
    assert len(views) == 3
    assert all(hasattr(view, "takes_no_turn") for view in views.values())
