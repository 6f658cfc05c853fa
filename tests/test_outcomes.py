"""Outcomes that are fed back over HTTP: stored once, corrected, late, all of a list or none."""

import json
import os
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from decision_log import record
from fake import NOW

import settings
from app import create_app
from features.domains import risks
from serving import audit
from serving.audit import outcomes
from serving.audit.positions import Positions

EARLIER = NOW - timedelta(days=20)
HOUR = timedelta(hours=1)


def positions() -> Positions:
    root = settings.root()
    return Positions(root.decisions, root.outcomes)


def stored() -> list[dict[str, Any]]:
    files = sorted(settings.root().outcomes.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def decided(untrained: Any) -> Any:
    """The service, with decisions 0 to 9 of `daily` twenty days ago, and one of `loyalty`."""
    made = [record(n, EARLIER, "daily") for n in range(10)]
    audit.append(settings.root().decisions, EARLIER, [*made, record(0, EARLIER, "loyalty", score=4.5)])
    return untrained


def give(client: Any, *items: dict[str, Any]) -> tuple[int, int]:
    answer = client.post("/api/v1/outcomes", json=list(items))
    assert answer.status_code == 200, answer.json
    return answer.json["recorded"], answer.json["unchanged"]


def history(client: Any, decision_id: str) -> list[tuple[Any, str]]:
    answer = client.get(f"/api/v1/decisions/{decision_id}").json
    return [(given["outcome"], given["known_at"]) for given in answer["outcomes"]]


def test_a_decision_shows_what_happened_later(decided):
    item = {"decision_id": "daily-3", "outcome": True, "occurred_at": "2026-01-20T08:00:00Z", "source": "claims"}
    answer = decided.post("/api/v1/outcomes", json=item, headers={"X-Request-ID": "r1"})
    assert answer.json == {"recorded": 1, "unchanged": 0}
    (given,) = decided.get("/api/v1/decisions/daily-3").json["outcomes"]
    assert given == {
        "known_at": NOW.isoformat(), "outcome": 1, "occurred_at": "2026-01-20T08:00:00Z", "source": "claims",
        "received_at": NOW.isoformat(), "caller": "", "request_id": "r1",
    }  # fmt: skip
    assert decided.get("/api/v1/decisions/daily-4").json["outcomes"] == []
    page = decided.get("/api/v1/decisions?risk=daily").json["decisions"]
    assert {made["decision_id"]: len(made["outcomes"]) for made in page} == {f"daily-{n}": n == 3 for n in range(10)}


def test_an_outcome_that_is_sent_again_changes_nothing(decided):
    items = [{"decision_id": f"daily-{n}", "outcome": n % 2} for n in range(10)]
    assert give(decided, *items) == (10, 0)
    assert give(decided, *items) == (0, 10)
    assert give(decided, *items, items[0]) == (0, 11)
    assert len(stored()) == 10
    dated = {"decision_id": "daily-1", "outcome": 0, "known_at": "2026-01-20T00:00:00Z"}
    assert give(decided, dated, dated) == (1, 1)
    assert give(decided, dated | {"outcome": 1, "known_at": "2026-01-21T00:00:00Z"}) == (1, 0)
    assert give(decided, dated) == (0, 1)  # a retry that arrives late


def test_a_corrected_outcome_replaces_and_the_history_stays(decided):
    first = {"decision_id": "daily-1", "outcome": 1, "known_at": "2026-01-20T00:00:00Z"}
    assert give(decided, first, first | {"outcome": 0, "known_at": "2026-01-25T00:00:00Z"}) == (2, 0)
    assert give(decided, first | {"outcome": 0, "known_at": "2026-01-15T00:00:00Z"}) == (
        1,
        0,
    )  # late: it was known before
    days = [(outcome, known_at[8:10]) for outcome, known_at in history(decided, "daily-1")]
    assert days == [(1, "20"), (0, "25"), (0, "15")]
    given = decided.get("/api/v1/decisions/daily-1").json["outcomes"]
    newest = {day: outcomes.latest(given, NOW.replace(day=day)) for day in (14, 15, 20, 25)}
    assert {day: last and last["outcome"] for day, last in newest.items()} == {14: None, 15: 0, 20: 1, 25: 0}


@pytest.mark.parametrize(
    ("item", "field", "words"),
    [
        ({"decision_id": "nothing"}, "decision_id", "is no decision of the audit log"),
        ({"outcome": 2}, "outcome", "outcome is 2. Send 0 or 1"),
        ({"outcome": 0.5}, "outcome", "Send 0 or 1"),
        ({"outcome": "1"}, "outcome", "wrong type: input should be a number, true or false"),
        ({"decision_id": "loyalty-0", "outcome": 11}, "outcome", "Send a number from 1 to 10"),
        ({"decision_id": "loyalty-0", "outcome": True}, "outcome", "is a boolean"),
        ({"known_at": "2026-02-01T00:00:00Z"}, "known_at", "s in the future"),
        ({"known_at": "2026-01-01T00:00:00Z"}, "known_at", "is before the decision"),
        ({"known_at": "2026-01-20"}, "known_at", "with its zone"),
        ({"occurred_at": "2026-02-01T00:00:00Z"}, "occurred_at", "s in the future"),
        (
            {"occurred_at": "2026-01-21T00:00:00Z", "known_at": "2026-01-20T00:00:00Z"},
            "occurred_at",
            "is after known_at",
        ),
        ({"happened": 1}, "happened", "is not a field"),
        ({"note": "SSN 512-34-8765"}, "note", "nothing that names a person"),
        ({"note": ""}, "note", "at least 1 character"),
    ],
)
def test_one_wrong_outcome_of_a_list_is_named_and_none_is_stored(decided, item, field, words):
    right = {"decision_id": "daily-1", "outcome": 1}
    answer = decided.post("/api/v1/outcomes", json=[right, right | item])
    error = answer.json["error"]
    assert answer.status_code == (404 if "no decision" in words else 400)
    assert (error["field"], words in error["message"]) == (f"1.{field}", True), error
    assert "512" not in error["message"]
    assert stored() == []
    assert give(decided, right) == (1, 0)


@pytest.mark.parametrize(
    ("body", "name"), [([], "bad_parameter"), ([{"outcome": 1}], "missing_field"), ([7], "wrong_type")]
)
def test_a_body_that_is_no_outcome_is_named(decided, body, name):
    answer = decided.post("/api/v1/outcomes", json=body)
    assert (answer.status_code, answer.json["error"]["name"]) == (400, name)


def test_a_regression_takes_a_number_in_its_bounds(decided):
    assert give(decided, {"decision_id": "loyalty-0", "outcome": 7}) == (1, 0)
    assert history(decided, "loyalty-0") == [(7.0, NOW.isoformat())]


def test_the_same_outcome_from_many_threads_is_stored_once(decided):
    items = [{"decision_id": f"daily-{n}", "outcome": 1} for n in range(10)]
    clients = [decided.application.test_client() for _ in range(8)]
    threads = [Thread(target=give, args=[client, *items]) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(line["decision_id"] for line in stored()) == [item["decision_id"] for item in items]


def test_a_full_disk_is_named_and_stores_nothing(decided, monkeypatch):
    item = {"decision_id": "daily-1", "outcome": 1}
    assert give(decided, item) == (1, 0)

    def full(file):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        answer = decided.post("/api/v1/outcomes", json=[item | {"outcome": 0}, item | {"decision_id": "daily-2"}])
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
    assert len(stored()) == 1
    assert give(decided, item | {"decision_id": "daily-2"}) == (1, 0)


def test_an_outcome_survives_the_removal_of_the_index(decided):
    give(decided, {"decision_id": "daily-1", "outcome": 1})
    positions().path.unlink()
    assert history(decided, "daily-1") == [(1, NOW.isoformat())]


def test_monitoring_gets_each_decided_case_once_with_its_newest_outcome(decided, fake):
    give(decided, *({"decision_id": f"daily-{n}", "outcome": 1} for n in range(3)))
    later = create_app(fake, clock=lambda: NOW + HOUR).test_client()
    give(later, {"decision_id": "daily-1", "outcome": 0}, {"decision_id": "loyalty-0", "outcome": 9})
    cases = list(outcomes.decided(positions(), "daily", EARLIER, NOW))
    assert sorted((case.score, case.decision, case.outcome, case.known_at) for case in cases) == [
        (0.0, "approve", 1, NOW), (0.37, "review", 0, NOW + HOUR), (0.74, "decline", 1, NOW),
    ]  # fmt: skip
    assert {(case.risk, case.as_of) for case in cases} == {("daily", EARLIER)}
    assert not list(outcomes.decided(positions(), "daily", EARLIER - HOUR, EARLIER))
    assert len(list(outcomes.decided(positions(), risks()["loyalty"].name, EARLIER, NOW))) == 1
