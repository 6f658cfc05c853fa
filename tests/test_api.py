"""The HTTP face on a fake feature store and a real little model."""

import json
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

import settings
from app import create_app
from errors import UnknownEntity
from features.catalogue import risks
from model import shelf
from model.card import Card, CardInput, Metrics, OutcomeRate, Split, Thresholds

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
APPLICANT = {"state": "CA", "ssn": "512-34-8765", "dl": "D1234567", "dob": "1990-05-17"}
APPLICANT_FEATURES = ("is_gt_18_years_old", "is_valid_state", "is_previously_seen_ssn", "is_previously_seen_dl")
STATS = ("conv_rate", "acc_rate", "avg_daily_trips")
FLAGS = ("yesterdays_avg_daily_trips_lt_10", "yesterdays_acc_rate_lt_01", "yesterdays_conv_rate_gt_80")


class Fake:
    """A ten-line feature store."""

    def __init__(self) -> None:
        self.seen, self.written, self.rows = 0, [], []

    def views(self, risk):
        names = {
            "onboarding": ["is_gt_18_years_old", "is_valid_state", "is_previously_seen_ssn", "is_previously_seen_dl"]
        }
        return dict.fromkeys(names.get(risk.name, ["state", *STATS, *FLAGS]), "driver_yesterdays_stats")

    def online(self, risk, row, as_of):
        self.rows.append(row)
        if risk.name == "daily":
            if row["driver_id"] not in (1001, 1002):
                raise UnknownEntity("driver_id is not known.", "driver_id")
            missing = row["driver_id"] == 1002
            return {"state": "CA"} | dict.fromkeys(STATS, None if missing else 0.5) | dict.fromkeys(FLAGS, 0)
        return {
            "is_gt_18_years_old": 1, "is_valid_state": int(row["state"] == "CA"),
            "is_previously_seen_ssn": self.seen, "is_previously_seen_dl": self.seen,
        }  # fmt: skip

    def historical(self, risk, frame):
        return frame.assign(**dict.fromkeys(self.views(risk)))

    def stored(self, view, keys):
        return dict.fromkeys(("last_driver_with_ssn", "last_driver_with_dl"))

    def write(self, view, row):
        self.written.append((view, row))


def shelve(name: str) -> None:
    """A model that adds three to the log-odds for each unit in a declared direction."""
    inputs = risks()[name].inputs
    weights = np.array([3.0 * i.direction for i in inputs])
    regression = LogisticRegression()
    regression.classes_, regression.coef_, regression.intercept_ = np.array([0, 1]), weights[None, :], np.array([-1.0])
    shape = [("rows", FloatTensorType([None, len(inputs)]))]
    onnx = to_onnx(regression, initial_types=shape, options={"zipmap": False}).SerializeToString()
    split = Split(since=NOW, until=NOW, rows=1, positives=0)
    card = Card(
        name=name, version="1", feature_service=name, algorithm="a test's", base=-1.0,
        inputs=tuple(
            CardInput(name=i.name, dtype=i.dtype, missing=0, weight=3 * i.direction, mean=0) for i in inputs
        ),
        train=split, test=split, metrics=Metrics(auc=1, average_precision=1, brier=0, log_loss=0),
        thresholds=Thresholds(approve_below=0.2, decline_from=0.8), libraries={}, model_sha256=shelf.sha256(onnx),
        outcomes=dict.fromkeys(("approve", "review", "decline"), OutcomeRate(share=0, positive_rate=None)),
    )  # fmt: skip
    shelf.put(settings.models(), card, onnx, "")


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
def untrained(fake: Fake, tmp_path, monkeypatch) -> FlaskClient:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return create_app(fake, clock=lambda: NOW).test_client()


@pytest.fixture
def client(untrained: FlaskClient) -> FlaskClient:
    shelve("onboarding")
    shelve("daily")
    return untrained


def test_an_applicant_is_answered_features_score_and_decision_that_fit_together(client: FlaskClient):
    features, score, decision = (
        client.post(f"/onboarding-risk-{part}/", json=APPLICANT).json for part in ("features", "score", "decision")
    )
    assert set(decision) == {"decision_id", "decision", "score", "reasons", "features", "model", "as_of"}
    assert features == {"features": decision["features"], "as_of": "2026-01-31T12:00:00+00:00"}
    assert score == {key: decision[key] for key in ("score", "model", "as_of")}
    assert (decision["decision"], decision["model"]) == ("approve", {"name": "onboarding", "version": "1"})
    assert {tuple(reason) for reason in decision["reasons"]} == {("code", "text", "contribution")}


def test_a_driver_is_answered_the_same_three(client: FlaskClient):
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


def test_both_ways_to_write_a_date_are_the_same_date(client: FlaskClient, fake: Fake):
    for dob in ("1990-05-17", "05-17-1990"):
        client.post("/onboarding-risk-features/", json=APPLICANT | {"dob": dob})
    assert fake.rows[0]["dob"] == fake.rows[1]["dob"]


def test_a_state_not_opened_is_reviewed_and_scored_as_any_other(client: FlaskClient):
    here, there = (client.post("/onboarding-risk-decision/", json=APPLICANT | {"state": s}).json for s in ("CA", "MI"))
    assert (here["decision"], there["decision"]) == ("approve", "review")
    assert here["score"] == there["score"]
    assert there["reasons"][0]["code"] == "state_not_enabled"


@pytest.mark.parametrize(
    ("change", "name", "field"),
    [
        ({"dob": "17.05.1990"}, "bad_date", "dob"),
        ({"dob": "2023-02-29"}, "bad_date", "dob"),
        ({"dob": "2026-02-01"}, "bad_date", "dob"),
        ({"ssn": "666-34-8765"}, "bad_ssn", "ssn"),
        ({"ssn": "12345"}, "bad_ssn", "ssn"),
        ({"dl": "?"}, "bad_licence", "dl"),
        ({"state": "ZZ"}, "bad_state", "state"),
        ({"state": None}, "wrong_type", "state"),
        ({"ssn": 512348765}, "wrong_type", "ssn"),
        ({"dob": ["1990-05-17"]}, "wrong_type", "dob"),
        ({"surname": "x"}, "unknown_field", "surname"),
    ],
)
@pytest.mark.parametrize("part", ["features", "score", "decision"])
def test_a_wrong_field_is_named_with_the_remedy(client: FlaskClient, part: str, change: dict, name: str, field: str):
    answer = client.post(f"/onboarding-risk-{part}/", json=APPLICANT | change)
    error = answer.json["error"]
    assert (answer.status_code, error["name"], error["field"]) == (400, name, field)
    assert field in error["message"]
    assert error["message"].count(".") >= 2 or ":" in error["message"]
    assert "8765" not in error["message"]


@pytest.mark.parametrize("field", list(APPLICANT))
def test_a_missing_field_is_named(client: FlaskClient, field: str):
    answer = client.post("/onboarding-risk-score/", json={k: v for k, v in APPLICANT.items() if k != field})
    assert (answer.status_code, answer.json["error"]["name"], answer.json["error"]["field"]) == (
        400,
        "missing_field",
        field,
    )


@pytest.mark.parametrize(
    ("body", "status", "name"),
    [
        (b"", 400, "not_json"),
        (b"state=CA", 400, "not_json"),
        (b"\xff\xfe", 400, "not_json"),
        (b"[" * 50_000, 400, "not_json"),
        (b"[]", 400, "wrong_type"),
        (b"null", 400, "wrong_type"),
        (b'"x"', 400, "wrong_type"),
        (b'{"state": "CA", "ssn": "\\ud800", "dl": "\\u0000", "dob": "\\ud800"}', 400, "bad_ssn"),
        (b" " * 70_000, 413, "too_large"),
    ],
)
def test_a_body_that_is_no_request_is_refused_in_words(client: FlaskClient, body: bytes, status: int, name: str):
    answer = client.post("/onboarding-risk-decision/", data=body)
    assert (answer.status_code, answer.json["error"]["name"]) == (status, name)


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        ("/daily-risk-decision/7/", 404, "unknown_entity"),
        ("/daily-risk-decision/abc/", 400, "wrong_type"),
        ("/daily-risk-decision/-1/", 400, "bad_parameter"),
        ("/daily-risk-decision/99999999999999999999/", 400, "bad_parameter"),
        ("/daily-batch-scores/7/", 404, "unknown_entity"),
        ("/home/7", 404, "unknown_entity"),
        ("/historical-features/?service=onboarding", 400, "bad_parameter"),
        ("/historical-features/?driver_id=x", 400, "wrong_type"),
        ("/historical-features/?event_timestamp=yesterday", 400, "bad_parameter"),
        ("/historical-features/?event_timestamp=2999-01-01", 400, "bad_parameter"),
        ("/historical-features/?event_timestamp=0001-01-01T00:00:00%2B14:00", 400, "bad_parameter"),
        ("/historical-features/?driver_id=" + ",".join(["1001"] * 600), 400, "bad_parameter"),
        ("/nowhere", 404, "not_found"),
        ("/onboarding-risk-decision/", 405, "method_not_allowed"),
    ],
)
def test_a_wrong_address_is_refused_in_words(client: FlaskClient, path: str, status: int, name: str):
    answer = client.get(path)
    assert (answer.status_code, answer.json["error"]["name"]) == (status, name)
    assert answer.json["error"]["message"]


def test_a_model_that_is_not_trained_says_which_command_to_run(untrained: FlaskClient):
    answer = untrained.post("/onboarding-risk-decision/", json=APPLICANT)
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "model_not_trained")
    assert "python -m jobs train onboarding" in answer.json["error"]["message"]
    assert untrained.post("/onboarding-risk-features/", json=APPLICANT).status_code == 200


def test_a_bug_is_an_answer_in_the_same_form_and_says_nothing_of_the_request(client: FlaskClient, fake: Fake, caplog):
    fake.online = lambda *_: 1 / 0
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT)
    assert (answer.status_code, answer.json["error"]["name"]) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text
    assert "8765" not in answer.text + caplog.text


def test_every_decision_is_logged_with_what_it_rests_on_and_no_identifier(client: FlaskClient, tmp_path):
    given = [
        client.post("/onboarding-risk-decision/", json=APPLICANT).json,
        client.get("/daily-risk-decision/1001/").json,
    ]
    text = (tmp_path / "decisions" / "2026-01-31.jsonl").read_text()
    logged = [json.loads(line) for line in text.splitlines()]
    assert [{k: v for k, v in line.items() if k not in ("risk", "entity")} for line in logged] == given
    assert [line["risk"] for line in logged] == ["onboarding", "daily"]
    assert logged[1]["entity"] == {"driver_id": 1001}
    assert len(logged[0]["entity"]["ssn"]) == 32
    assert "512348765" not in text.replace("-", "")


def test_a_decision_that_cannot_be_logged_is_not_given(client: FlaskClient, tmp_path):
    (tmp_path / "decisions").write_text("in the way")
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT)
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "audit_unavailable")


def test_an_approved_applicant_becomes_a_driver_and_a_declined_one_does_not(client: FlaskClient, fake: Fake, tmp_path):
    fake.seen = 1
    refused = client.post("/sign-up/", json=APPLICANT).json
    assert (refused["decision"]["decision"], refused["home"], fake.written) == ("decline", "", [])
    fake.seen = 0
    taken = client.post("/sign-up/", json=APPLICANT).json
    number = int(taken["home"].removeprefix("/home/"))
    assert [view for view, _ in fake.written] == ["driver_profile", "driver_ssn_entities", "driver_dl_entities"]
    raw = pd.read_parquet(tmp_path / "raw" / "drivers")
    assert raw[["driver_id", "state"]].to_dict("records") == [{"driver_id": number, "state": "CA"}]


def test_historical_features_come_for_every_driver_at_every_time(client: FlaskClient):
    path = "/historical-features/?driver_id=1001,1002&event_timestamp=2026-01-01T00:00:00Z,2026-01-02 03:00"
    rows = client.get(path).json["rows"]
    assert [(row["entity"]["driver_id"], row["event_timestamp"]) for row in rows] == [
        (1001, "2026-01-01T00:00:00+00:00"), (1001, "2026-01-02T03:00:00+00:00"),
        (1002, "2026-01-01T00:00:00+00:00"), (1002, "2026-01-02T03:00:00+00:00"),
    ]  # fmt: skip
    assert len(client.get("/historical-features/").json["rows"]) == 6


def test_the_docs_are_valid_openapi_3_and_describe_every_request_and_answer(client: FlaskClient):
    document = client.get("/openapi.json").json
    validate(document)
    assert document["openapi"].startswith("3.")
    rules = {str(rule).replace("<", "{").replace(">", "}") for rule in client.application.url_map.iter_rules()}
    pages = {"/", "/home/{driver_id}", "/apidocs/", "/apidocs/index.html", "/openapi.json", "/oauth2-redirect.html"}
    assert {rule for rule in rules if not rule.startswith(("/static", "/flasgger_static"))} - pages == set(
        document["paths"]
    )
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"], path
            assert operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"], path
            assert "400" in operation["responses"], path
    for field in document["components"]["schemas"]["Applicant"]["properties"].values():
        assert field["description"]
        assert field["example"]
    assert client.get("/apidocs/").status_code == 200


def test_the_examples_in_the_docs_work_as_they_stand(client: FlaskClient):
    document = client.get("/openapi.json").json
    properties = document["components"]["schemas"]["Applicant"]["properties"]
    example = {name: field["example"] for name, field in properties.items()}
    assert client.post("/onboarding-risk-decision/", json=example).status_code == 200
    (parameter,) = document["paths"]["/daily-risk-score/{driver_id}/"]["get"]["parameters"]
    assert client.get(f"/daily-risk-score/{parameter['example']}/").status_code == 200
