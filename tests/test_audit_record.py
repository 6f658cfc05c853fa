"""A line of the audit log has all that decides again."""

import json
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from fake import APPLICANT
from flask.testing import FlaskClient

from features.domains import risks
from features.utc import since_1970
from serving import audit
from serving.call import Call
from serving.plan import Computed, Plan
from serving.stored import Stored
from web import examples

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = b"k" * 32


def only_line(folder):
    (line,) = (folder / "decisions" / "2026-01-31.jsonl").read_text().splitlines()
    return json.loads(line)


def test_a_record_says_who_asked_when_features_were_and_what_it_took(client: FlaskClient, tmp_path):
    client.post("/onboarding-risk-decision/", json=APPLICANT, headers={"X-Request-ID": "r-17"})
    line = only_line(tmp_path)
    assert (line["caller"], line["request_id"]) == ("", "r-17")
    (view,) = line["views"]
    assert sorted(line["views"][view]) == sorted(line["features"])
    assert line["event_times"] == {view: "2026-01-31T12:00:00Z"}
    assert line["latency_us"].keys() == {"retrieve", "featurize", "score", "decide"}
    assert all(type(us) is int and us >= 0 for us in line["latency_us"].values())
    assert line["batch_size"] == 1


@pytest.mark.parametrize("name", sorted(risks()))
def test_row_and_fields_of_a_record_are_what_rules_saw(name: str):
    risk = risks()[name]
    request = risk.request.model_validate_json(examples.of_model(risk.request))
    row = request.row(NOON, KEY)
    seen = request.fields(row, KEY)
    more = audit.context(Call(), row, seen, {}, {})
    line = audit.record(risk, row, {}, more)
    logged = {**line["entity"], **line["request"], **line["fields"]}
    assert {field: logged[field] for field in risk.request.model_fields} == seen
    for secret in risk.request.secrets:
        assert getattr(request, secret) not in json.dumps(line, default=str)


def test_a_decision_of_a_record_is_the_answer_again(client: FlaskClient, tmp_path):
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT).json
    assert audit.decision_of(only_line(tmp_path)) == answer
    assert str(uuid.UUID(answer["decision_id"])) == answer["decision_id"]


def stored(view: str, ttl: timedelta | None, rows: dict) -> Stored:
    """A view with one value, and its rows by key: hours before noon."""
    kept = {key: (since_1970(NOON - hours * HOUR), (key,)) for key, hours in rows.items()}
    return Stored(
        view, lambda row: (row["key"],), (f"{view}__value",), ttl and ttl // timedelta(microseconds=1),
        lambda keys: [kept.get(key) for (key,) in keys],
    )  # fmt: skip


def test_event_times_are_those_of_the_rows_that_were_read():
    old, new = stored("old", None, {"a": 9, "b": 1}), stored("new", 3 * HOUR, {"a": 2, "b": 4})
    both = Computed("both", {"x": "old__value", "y": "new__value"}, lambda columns: {"sum": columns["x"]})
    alone = Computed("alone", {}, lambda columns: {"day": [1] * len(columns["as_of"])})
    outputs = {"sum": ("both", "both__sum"), "day": ("alone", "alone__day"), "old": ("old", "old__value")}
    plan = Plan((old, new), (both, alone), outputs, {"key": "STRING"}, {})
    answers = plan.answer([{"key": key} for key in ("a", "b", "c")], NOON)
    assert answers.event_times == [
        {"old": NOON - 9 * HOUR, "new": NOON - 2 * HOUR, "both": NOON - 2 * HOUR, "alone": None},
        {"old": NOON - 1 * HOUR, "new": None, "both": NOON - 1 * HOUR, "alone": None},  # beyond its TTL
        {"old": None, "new": None, "both": None, "alone": None},
    ]
    assert [values["old"] for values in answers.features] == ["a", "b", None]
