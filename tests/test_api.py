"""The HTTP service on a fake feature store with small real models: its answers."""

import json
import re

import pandas as pd
from fake import APPLICANT, Fake
from flask.testing import FlaskClient
from openapi_spec_validator import validate

from serving import audit


def test_features_score_and_decision_of_an_applicant_agree(client: FlaskClient):
    features, score, decision = (
        client.post(f"/onboarding-risk-{part}/", json=APPLICANT).json for part in ("features", "score", "decision")
    )
    assert set(decision) == {"decision_id", "decision", "score", "reasons", "features", "model", "policy", "as_of"}
    assert features == {"features": decision["features"], "as_of": "2026-01-31T12:00:00+00:00"}
    assert score == {key: decision[key] for key in ("score", "model", "as_of")}
    assert (decision["decision"], decision["model"]) == ("approve", {"name": "onboarding", "version": "1"})
    assert {tuple(reason) for reason in decision["reasons"]} == {("code", "text", "contribution")}


def test_features_score_and_decision_of_a_driver_agree(client: FlaskClient):
    features, score, decision = (
        client.get(f"/daily-risk-{part}/1001/").json for part in ("features", "score", "decision")
    )
    assert features["features"] == decision["features"]
    assert score["score"] == decision["score"]
    assert decision["features"]["acc_rate"] == 0.5


def test_a_missing_feature_is_null_and_still_scored(client: FlaskClient):
    decision = client.get("/daily-risk-decision/1002/").json
    assert decision["features"]["acc_rate"] is None
    assert 0 < decision["score"] < 1


def test_both_forms_of_a_date_give_the_same_date(client: FlaskClient, fake: Fake):
    for dob in ("1990-05-17", "05-17-1990"):
        client.post("/onboarding-risk-features/", json=APPLICANT | {"dob": dob})
    assert fake.rows[0]["dob"] == fake.rows[1]["dob"]


def test_an_applicant_of_a_closed_state_is_reviewed_with_the_same_score(client: FlaskClient):
    applicants = (APPLICANT | {"state": state} for state in ("CA", "MI"))
    in_open, in_closed = (client.post("/onboarding-risk-decision/", json=applicant).json for applicant in applicants)
    assert (in_open["decision"], in_closed["decision"]) == ("approve", "review")
    assert in_open["score"] == in_closed["score"]
    assert in_closed["reasons"][0]["code"] == "state_not_enabled"


def test_every_decision_is_logged_with_features_and_without_identifiers(client: FlaskClient, tmp_path):
    decisions = [
        client.post("/onboarding-risk-decision/", json=APPLICANT).json,
        client.get("/daily-risk-decision/1001/").json,
    ]
    text = (tmp_path / "decisions" / "2026-01-31.jsonl").read_text()
    logged = [json.loads(line) for line in text.splitlines()]
    assert [audit.decision_of(line) for line in logged] == decisions
    assert [line["risk"] for line in logged] == ["onboarding", "daily"]
    assert logged[1]["entity"] == {"driver_id": 1001}
    assert len(logged[0]["entity"]["ssn"]) == 32
    assert "512348765" not in text.replace("-", "")


def test_a_decision_that_cannot_be_logged_is_not_given(client: FlaskClient, tmp_path):
    (tmp_path / "decisions").write_text("in the way")
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT)
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "audit_unavailable")


def test_only_an_approved_applicant_becomes_a_driver(client: FlaskClient, fake: Fake, tmp_path):
    fake.seen = 1
    refused = client.post("/sign-up/", json=APPLICANT).json
    assert (refused["decision"]["decision"], refused["home"], fake.written) == ("decline", "", [])
    fake.seen = 0
    taken = client.post("/sign-up/", json=APPLICANT).json
    number = int(taken["home"].removeprefix("/home/"))
    assert [view for view, _ in fake.written] == ["driver_profile", "driver_ssn_entities", "driver_dl_entities"]
    raw = pd.read_parquet(tmp_path / "raw" / "drivers")
    assert raw[["driver_id", "state"]].to_dict("records") == [{"driver_id": number, "state": "CA"}]


def test_historical_features_have_a_row_for_each_driver_and_time(client: FlaskClient):
    path = "/historical-features/?driver_id=1001,1002&event_timestamp=2026-01-01T00:00:00Z,2026-01-02 03:00"
    rows = client.get(path).json["rows"]
    assert [(row["entity"]["driver_id"], row["event_timestamp"]) for row in rows] == [
        (1001, "2026-01-01T00:00:00+00:00"), (1001, "2026-01-02T03:00:00+00:00"),
        (1002, "2026-01-01T00:00:00+00:00"), (1002, "2026-01-02T03:00:00+00:00"),
    ]  # fmt: skip
    assert len(client.get("/historical-features/").json["rows"]) == 6


def test_the_docs_are_valid_openapi_3_and_describe_every_path(client: FlaskClient):
    document = client.get("/openapi.json").json
    validate(document)
    assert document["openapi"].startswith("3.")
    rules = {re.sub(r"<(?:\w+:)?(.*?)>", r"{\1}", str(rule)) for rule in client.application.url_map.iter_rules()}
    pages = {
        "/",
        "/home/{driver_id}",
        "/overview/",
        "/coupon/",
        "/coupon/live",
        "/apidocs/",
        "/apidocs/index.html",
        "/openapi.json",
        "/oauth2-redirect.html",
        "/sign-in/",
        "/sign-out/",
    }
    assert {rule for rule in rules if not rule.startswith(("/static", "/flasgger_static", "/console"))} - pages == set(
        document["paths"]
    )
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            done = operation["responses"]["202" if path == "/api/v1/events/{stream}" else "200"]
            assert path == "/metrics" or done["content"]["application/json"]["schema"]["$ref"], path
            assert {"400", "413", "500"} <= operation["responses"].keys(), path
    for field in document["components"]["schemas"]["Applicant"]["properties"].values():
        assert field["description"]
        assert field["example"]
    assert client.get("/apidocs/").status_code == 200


def test_the_examples_in_the_docs_work(client: FlaskClient):
    document = client.get("/openapi.json").json
    properties = document["components"]["schemas"]["Applicant"]["properties"]
    example = {name: field["example"] for name, field in properties.items()}
    assert client.post("/onboarding-risk-decision/", json=example).status_code == 200
    (parameter,) = document["paths"]["/daily-risk-score/{driver_id}/"]["get"]["parameters"]
    assert client.get(f"/daily-risk-score/{parameter['example']}/").status_code == 200
