"""The page one watches attacks on: what it says before anything happens, and where it takes what it shows from."""

import json
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from chance import without_chance
from fake import NOW, Fake
from flask.testing import FlaskClient
from playwright.sync_api import Page, expect
from servers import in_thread
from werkzeug.serving import make_server

from errors import AuditUnavailable, FeaturesNotReady
from features.coupon import COUPON
from features.onboarding import DAILY
from jobs.stream.state import StateFile
from serving import audit, lines
from serving.intake import oldest_waiting
from serving.store import Row, Vector

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.fixture
def decisions(tmp_path: Path) -> Path:
    return tmp_path / "decisions"


def record(n: int, at: datetime = NOW, **changes: Any) -> dict[str, Any]:
    """A line of the audit log, as a decision leaves it."""
    row = {"msg_id": f"m{n}", "device_id": f"d{n}", "location_code": "L1", "coupon_prefix": "1234-5678-9012-"}
    decision = {"decision": "allow", "score": 0.1, "reasons": [], "as_of": at.isoformat()}
    return audit.record(COUPON, {**row, "coupon_code": "1234-5678-9012-3456", **changes}, decision | changes)


class SevenAttempts(Fake):
    """A store in which every location has 7 attempts, 3 of them invalid."""

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        self.rows.append((service, rows, as_of))
        return [Vector({"attempts_5m": 7, "failures_5m": 3}, {}, {}) for _ in rows]


@pytest.fixture
def fake() -> Fake:
    return SevenAttempts()


# What the page gets


def test_the_newest_decisions_come_first_without_the_last_digits(untrained: FlaskClient, decisions: Path):
    reason = {"code": "neighbours_many", "text": "Neighbouring numbers were just tried here.", "contribution": 2.0}
    audit.append(decisions, NOW, [record(1), record(2, decision="block", score=0.9, reasons=[reason])])
    answer = untrained.get("/coupon/live")
    block, allow = answer.json["decisions"]
    assert block == {
        "as_of": NOW.isoformat(), "location": "L1", "device": "d2", "coupon": "1234-5678-9012-••••", "score": 0.9,
        "reason": reason["text"], "decision": "block", "look": "decline",
    }  # fmt: skip
    assert (allow["device"], allow["reason"], allow["look"]) == ("d1", "", "approve")
    assert "3456" not in without_chance(answer.text)


def test_a_recent_location_is_shown_once_with_its_newest_decision(untrained: FlaskClient, decisions: Path, fake: Fake):
    places = ["L2", "L1", "L2", "L3"]
    words = ["block", "allow", "review", "allow"]
    audit.append(decisions, NOW, [record(n, location_code=p, decision=words[n]) for n, p in enumerate(places)])
    shown = untrained.get("/coupon/live").json["locations"]
    columns = ("location", "attempts", "failures", "decision")
    rows = [("L1", 7, 3, "allow"), ("L2", 7, 3, "review"), ("L3", 7, 3, "allow")]
    assert [tuple(location[name] for name in columns) for location in shown] == rows
    ((service, rows, as_of),) = fake.rows
    assert (service, as_of, [row["location_code"] for row in rows]) == ("coupon", NOW, ["L1", "L2", "L3"])


def test_the_page_says_from_when_on_attempts_count(untrained: FlaskClient):
    assert untrained.get("/coupon/live").json["since"] == (NOW - timedelta(minutes=5)).isoformat()


# The end of the audit log


def test_only_the_newest_decisions_of_two_days_are_read(decisions: Path):
    audit.append(decisions, NOW - 2 * DAY, [record(0)])
    audit.append(decisions, NOW - DAY, [record(1), record(2)])
    daily = audit.record(DAILY, {"driver_id": 7}, {"decision": "approve"})
    audit.append(decisions, NOW, [record(3), daily, record(4), daily])
    ids = [
        [record["entity"]["msg_id"] for record in audit.latest(decisions, COUPON, NOW, most)] for most in (1, 3, 100)
    ]
    assert ids == [["m4"], ["m4", "m3", "m2"], ["m4", "m3", "m2", "m1"]]
    (newest,) = audit.latest(decisions, DAILY, NOW, 1)
    assert newest.items() >= json.loads(json.dumps(daily)).items()
    assert audit.latest(decisions / "nowhere", COUPON, NOW, 5) == []


def test_half_a_line_is_skipped_wherever_it_is(decisions: Path):
    decisions.mkdir()
    whole = [json.dumps(record(n), separators=(",", ":")) for n in range(3)]
    text = f"{whole[0][40:]}\n{whole[0]}\n{whole[1][:80]}\n{whole[1]}\n{whole[2][:-1]}"
    (decisions / f"{NOW.date()}.jsonl").write_text(text)
    assert [record["entity"]["msg_id"] for record in audit.latest(decisions, COUPON, NOW, 9)] == ["m1", "m0"]


def test_the_newest_decisions_are_found_whatever_else_is_in_the_log(decisions: Path, monkeypatch: pytest.MonkeyPatch):
    audit.append(decisions, NOW, [record(n) for n in range(300)])
    daily = [audit.record(DAILY, {"driver_id": n}, {"decision": "approve", "text": "x" * 900}) for n in range(5000)]
    audit.append(decisions, NOW, daily)
    read = list[bytes]()
    monkeypatch.setattr(lines, "from_json", lambda line: read.append(line) or json.loads(line))
    ids = [record["entity"]["msg_id"] for record in audit.latest(decisions, COUPON, NOW, 100)]
    assert ids == [f"m{n}" for n in range(299, 199, -1)]
    assert len(read) == 100
    assert [r["entity"]["driver_id"] for r in audit.latest(decisions, DAILY, NOW, 2)] == [4999, 4998]


@pytest.mark.parametrize("cut", [3, 16, 19, 40])
def test_an_index_that_a_crash_cut_loses_what_it_had_alone(decisions: Path, cut: int):
    for n in range(3):
        audit.append(decisions, NOW, [record(n), record(n + 10)])
    (index,) = decisions.with_name("decisions.index").iterdir()
    index.write_bytes(index.read_bytes()[:-cut])
    audit.append(decisions, NOW, [record(3)])
    ids = [record["entity"]["msg_id"] for record in audit.latest(decisions, COUPON, NOW, 100)]
    assert ids[0] == "m3"
    assert ids[1:] == ["m12", "m2", "m11", "m1", "m10", "m0"][-len(ids[1:]) :]
    assert len(set(ids)) == len(ids)


def test_an_append_that_failed_is_no_decision_and_the_next_one_is(decisions: Path, monkeypatch: pytest.MonkeyPatch):
    audit.append(decisions, NOW, [record(0)])
    with monkeypatch.context() as full:
        full.setattr(lines, "write_all", mock.Mock(side_effect=OSError(28, "No space left on device")))
        with pytest.raises(AuditUnavailable):
            audit.append(decisions, NOW, [record(1), record(2)])
    audit.append(decisions, NOW, [record(3)])
    assert [r["entity"]["msg_id"] for r in audit.latest(decisions, COUPON, NOW, 9)] == ["m3", "m0"]


def test_a_log_without_ranges_shows_the_end_of_the_log(decisions: Path):
    audit.append(decisions, NOW, [record(n) for n in range(5000)])
    shutil.rmtree(decisions.with_name("decisions.index"))
    ids = [record["entity"]["msg_id"] for record in audit.latest(decisions, COUPON, NOW, 10_000)]
    assert ids == [f"m{n}" for n in range(4999, 4999 - len(ids), -1)]
    size = (decisions / f"{NOW.date()}.jsonl").stat().st_size
    assert audit.TAIL_BYTES * 0.9 < len(ids) * size / 5000 <= audit.TAIL_BYTES


# Whether the stream job takes events in


def event(n: int, seconds_ago: float) -> str:
    return json.dumps({"msg_id": f"m{n}", "accepted_at": (NOW - seconds_ago * SECOND).isoformat()}) + "\n"


def test_the_event_that_waits_is_the_oldest_not_taken_in(tmp_path: Path):
    log, state = tmp_path / "log", tmp_path / "coupon.db"
    assert oldest_waiting(log, state, NOW) is None
    log.mkdir()
    (log / "2026-01-30.jsonl").write_text(event(1, 90) + '{"half": \n' + event(2, 60))
    (log / "2026-01-31.jsonl").write_text(event(3, 30) + '{"ha')
    assert oldest_waiting(log, state, NOW) == 90 * SECOND
    first, second = len(event(1, 90)), (log / "2026-01-30.jsonl").stat().st_size
    job = StateFile(state, ())
    for position, waits in [
        ({}, 90), ({"2026-01-30.jsonl": first}, 60), ({"2026-01-30.jsonl": second}, 30),
        ({"2026-01-30.jsonl": second, "2026-01-31.jsonl": len(event(3, 30))}, None),
    ]:  # fmt: skip
        job.set_position("log", position)
        assert oldest_waiting(log, state, NOW) == (waits and waits * SECOND)
    job.close()


@pytest.mark.parametrize(("seconds", "waiting_seconds"), [(0.5, None), (12, 12)])
def test_only_an_event_that_waits_longer_than_a_job_takes_is_shown(
    untrained: FlaskClient, tmp_path: Path, seconds: float, waiting_seconds: float | None
):
    log = tmp_path / "log" / "coupon_attempts"
    log.mkdir(parents=True)
    (log / "2026-01-31.jsonl").write_text(event(1, seconds))
    assert untrained.get("/coupon/live").json["waiting_seconds"] == waiting_seconds


# In a browser


@pytest.fixture
def address(untrained: FlaskClient) -> Iterator[str]:
    with in_thread(make_server("127.0.0.1", 0, untrained.application)) as url:
        yield url


@pytest.mark.browser
def test_before_anything_was_decided_the_page_says_which_commands_to_run(page: Page, address: str, decisions: Path):
    page.goto(f"{address}/coupon/")
    commands = page.locator("#nothing pre")
    expect(commands).to_be_visible()
    expect(commands).to_contain_text("python -m jobs stream coupon")
    expect(commands).to_contain_text(f"python -m jobs simulate coupon --attack --url {address}")
    expect(page.locator("#watch")).to_be_hidden()
    audit.append(decisions, NOW, [record(1)])
    expect(page.locator("#decisions tbody tr")).to_have_count(1)
    expect(commands).to_be_hidden()


@pytest.mark.browser
def test_where_no_stream_job_runs_the_page_says_so_and_how_to_start_it(page: Page, address: str, tmp_path: Path):
    log = tmp_path / "log" / "coupon_attempts"
    page.goto(f"{address}/coupon/")
    expect(page.locator("#nothing")).to_be_visible()
    expect(page.locator("#waiting")).to_be_hidden()
    log.mkdir(parents=True)
    (log / "2026-01-31.jsonl").write_text(event(1, 34))
    expect(page.locator("#waiting")).to_contain_text("oldest accepted event has been waiting for 34 s")
    expect(page.locator("#waiting pre")).to_have_text("python -m jobs stream coupon")


@pytest.mark.browser
def test_a_problem_of_the_service_is_shown_until_it_is_solved(
    page: Page, address: str, decisions: Path, fake: Fake, monkeypatch: pytest.MonkeyPatch
):
    def not_applied(*_: object) -> None:
        raise FeaturesNotReady("The feature view 'x' is not applied. Run: make pipeline")

    audit.append(decisions, NOW, [record(1)])
    with monkeypatch.context() as lacking:
        lacking.setattr(fake, "vectors", not_applied)
        page.goto(f"{address}/coupon/")
        expect(page.locator("#problem")).to_contain_text("is not applied. Run: make pipeline")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("#decisions tbody tr")).to_have_count(1)


@pytest.mark.browser
def test_a_callers_html_is_shown_as_text_and_never_run(page: Page, address: str, decisions: Path):
    evil = "<img src=x onerror='window.evil = true'>\"]"
    audit.append(decisions, NOW, [record(1, location_code=evil, device_id=evil)])
    page.goto(f"{address}/coupon/")
    expect(page.locator("#decisions tbody td").nth(2)).to_have_text(evil)
    expect(page.locator("#locations tbody td").first).to_have_text(evil)
    assert page.evaluate("window.evil") is None
