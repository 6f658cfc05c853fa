"""The console over HTTP: who sees what, and what a form does."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fake import APPLICANT, NOW, Fake, shelve
from flask.testing import FlaskClient

from features.domains import risks
from model import shelf
from root import Root
from serving import audit
from serving.cases import Cases

DAILY = risks()["daily"]
PAGES = ("/console", "/console/cases", "/console/monitor", "/console/models")


def log(root: Path, nth: int, decision: str = "review", risk: str = "daily", **changes: Any) -> str:
    """Write a decision into the audit log, `nth` minutes before NOW. Its id."""
    as_of = NOW - timedelta(minutes=nth)
    record = {
        "risk": risk, "entity": {"driver_id": 1000 + nth}, "request": {}, "decision_id": f"d{nth}", "score": 0.3,
        "decision": decision, "reasons": [{"code": "x", "text": f"Reason {nth}.", "contribution": 0.5}],
        "features": {"acc_rate": 0.25, "conv_rate": None}, "model": {"name": risk, "version": "1"},
        "policy": {"name": risk, "version": "p"}, "as_of": as_of.isoformat(), "caller": "key:shop", "request_id": "r",
        "views": {"driver_yesterdays_stats": ["acc_rate"]}, "latency_us": {"retrieve": 300, "score": 700},
        "event_times": {"driver_yesterdays_stats": "2026-01-31T00:00:00+00:00"}, **changes,
    }  # fmt: skip
    audit.append(root / "decisions", NOW, [record])
    return f"d{nth}"


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("end", ["", "/"])
def test_every_page_answers_before_anything_was_decided(untrained: FlaskClient, path: str, end: str):
    answer = untrained.get(path + end, follow_redirects=True)
    assert answer.status_code == 200
    assert 'aria-current="page"' in answer.text


def test_decisions_stand_newest_first_and_link_to_their_page(client: FlaskClient, tmp_path: Path):
    for nth in (3, 1, 2):
        log(tmp_path, nth)
    text = client.get("/console").text
    assert text.index("/decisions/d1") < text.index("/decisions/d2") < text.index("/decisions/d3")
    page = client.get("/console/decisions/d2").text
    for part in ("Reason 2.", "driver_id 1002", "key:shop", "retrieve 0.30 ms", "acc_rate", "missing", "2026-01-31 00"):
        assert part in page
    assert "decisions together" not in page
    log(tmp_path, 4, batch_size=800)
    assert "for 800 decisions together" in client.get("/console/decisions/d4").text


def test_more_decisions_than_a_page_shows_are_on_the_next(client: FlaskClient, tmp_path: Path):
    for nth in range(60):
        log(tmp_path, nth)
    first = client.get("/console").text
    href = first.split('<a href="/console?cursor=')[1].split('"')[0]
    second = client.get(f"/console?cursor={href}").text
    assert (first.count("/decisions/d"), second.count("/decisions/d")) == (50, 10)
    assert "data-refresh-seconds" in first
    assert "data-refresh-seconds" not in second


def test_a_form_finds_an_identifier_and_no_url_has_it(client: FlaskClient, tmp_path: Path):
    made = client.post("/onboarding-risk-decision/", json=APPLICANT).json["decision_id"]
    log(tmp_path, 1)
    answer = client.post("/console/search", data={"key": "ssn", "value": APPLICANT["ssn"], "risk": "", "outcome": ""})
    assert answer.status_code == 303
    assert APPLICANT["ssn"] not in answer.headers["Location"]
    page = client.get(answer.headers["Location"]).text
    assert f"/decisions/{made}" in page
    assert '/decisions/d1"' not in page  # the id of the other may begin like this one


@pytest.mark.parametrize(
    ("fields", "words"),
    [({"min_score": "high"}, "min_score"), ({"since": "yesterday"}, "since"), ({"key": "ssn", "value": "1"}, "ssn"),
     ({"key": "nothing", "value": "1"}, "nothing")],
)  # fmt: skip
def test_a_wrong_filter_is_named(client: FlaskClient, fields: dict[str, str], words: str):
    answer = client.post("/console/search", data=fields, headers={"Accept": "text/html"})
    assert answer.status_code == 400
    assert words in answer.text


def test_a_wrong_filter_in_the_url_is_named_on_the_page(client: FlaskClient):
    answer = client.get("/console?outcome=perhaps")
    assert answer.status_code == 200
    assert "There is no outcome &#39;perhaps&#39;" in answer.text


def test_an_unknown_decision_is_404(client: FlaskClient):
    assert client.get("/console/decisions/none").status_code == 404


def test_the_queue_has_open_cases_the_oldest_first(client: FlaskClient, tmp_path: Path):
    for nth, decision in ((1, "review"), (2, "approve"), (3, "review"), (4, "review")):
        log(tmp_path, nth, decision)
    log(tmp_path, 31 * 24 * 60)
    Cases(tmp_path / "cases").act({"decision_id": "d3", "risk": "daily", "decision": "review"}, "mild", "", "", NOW)
    text = client.get("/console/cases").text
    assert text.index("/decisions/d4") < text.index("/decisions/d1")
    assert text.count("/console/decisions/") == 2
    assert "2 open" in text


def test_an_act_on_a_case_is_kept_and_shown(client: FlaskClient, tmp_path: Path):
    log(tmp_path, 1)
    answer = client.post("/console/cases/d1", data={"act": "mild", "note": "It was <b>me</b>"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/console/decisions/d1")
    page = client.get("/console/decisions/d1").text
    assert "Settled: approve." in page
    assert "It was &lt;b&gt;me&lt;/b&gt;" in page
    assert client.post("/console/cases/d1", data={"act": "strict"}).status_code == 400


def test_a_version_is_promoted_and_rolled_back_and_both_are_kept(untrained: FlaskClient, fake: Fake, tmp_path: Path):
    shelve("daily")
    models, cards = tmp_path / "models", []
    card, onnx, _ = shelf.take(shelf.current(models, "daily"))
    shelf.add(models, card.model_copy(update={"version": "2"}), onnx, "<p>a report</p>")
    page = untrained.get("/console/models").text
    assert 'name="version" value="2"' in page
    assert untrained.post("/console/models/daily", data={"act": "promote", "version": "2"}).status_code == 303
    assert shelf.current_version(models, "daily") == "2"
    assert untrained.post("/console/models/daily", data={"act": "rollback"}).status_code == 303
    assert shelf.current_version(models, "daily") == "1"
    for file in (tmp_path / "cases").glob("*.jsonl"):
        cards += [line["act"] for line in map(audit_line, file.read_bytes().splitlines())]
    assert cards == ["promote", "rollback"]
    assert untrained.post("/console/models/daily", data={"act": "rollback"}).status_code == 400
    assert untrained.post("/console/models/daily", data={"act": "remove"}).status_code == 400
    report = untrained.get("/console/models/daily/2/report")
    assert (report.text, report.headers["Content-Disposition"]) == (
        "<p>a report</p>", "attachment; filename=daily-2.html"
    )  # fmt: skip
    assert untrained.get("/console/models/daily/..%2F../report").status_code in (400, 404)


def audit_line(text: bytes) -> Any:
    from pydantic_core import from_json

    return from_json(text)


def test_the_monitor_counts_decisions_by_hour_and_outcome(client: FlaskClient, tmp_path: Path):
    for nth, decision in ((1, "review"), (2, "approve"), (70, "approve"), (25 * 60, "decline")):
        log(tmp_path, nth, decision)
    log(tmp_path, 3, "approve", request_id="", latency_us={"retrieve": 5_000_000})  # of a job: nobody waited for it
    text = client.get("/console/monitor").text
    assert "4 decisions in 24 hours, p50 1.00 ms, p99 1.00 ms" in text
    assert "11:00 UTC: 1 review" in text
    assert "10:00 UTC: 1 approve" in text
    assert "decline</title>" not in text


def test_a_root_of_cases_is_part_of_what_is_kept(tmp_path: Path):
    assert Root(tmp_path).cases == tmp_path / "cases"
