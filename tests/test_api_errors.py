"""The HTTP service on a fake feature store with small real models: its errors."""

import pytest
from chance import without_chance
from fake import APPLICANT, Fake
from flask.testing import FlaskClient


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
        ({"stat": "CA"}, "unknown_field", "stat"),
        ({"512-34-8765": "x"}, "unknown_field", "999-99-9999"),
    ],
)
@pytest.mark.parametrize("part", ["features", "score", "decision"])
def test_an_invalid_field_is_named_with_the_remedy(client: FlaskClient, part: str, change: dict, name: str, field: str):
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
        (b'{"state": "CA", "ssn": "\\ud800", "dl": "\\u0000", "dob": "\\ud800"}', 400, "not_json"),
        (b'{"state": "CA", "ssn": "\\u0000", "dl": "\\u0000", "dob": "\\u0000"}', 400, "bad_ssn"),
        (b" " * 600_000, 413, "too_large"),
    ],
)
def test_a_body_that_is_not_a_request_is_refused(client: FlaskClient, body: bytes, status: int, name: str):
    answer = client.post("/onboarding-risk-decision/", data=body)
    assert (answer.status_code, answer.json["error"]["name"]) == (status, name)


@pytest.mark.parametrize(
    ("path", "status", "name"),
    [
        ("/daily-risk-decision/7/", 404, "unknown_entity"),
        ("/daily-risk-decision/abc/", 400, "wrong_type"),
        ("/daily-risk-decision/1_001/", 400, "wrong_type"),
        ("/daily-risk-decision/-1/", 400, "bad_parameter"),
        ("/daily-risk-decision/99999999999999999999/", 400, "bad_parameter"),
        ("/daily-batch-scores/7/", 404, "unknown_entity"),
        ("/home/7", 404, "unknown_entity"),
        ("/historical-features/?service=onboarding", 400, "bad_parameter"),
        ("/historical-features/?driver_id=1_001", 400, "wrong_type"),
        ("/historical-features/?driver_id=x", 400, "wrong_type"),
        ("/historical-features/?event_timestamp=yesterday", 400, "bad_parameter"),
        ("/historical-features/?event_timestamp=2999-01-01", 400, "bad_parameter"),
        ("/historical-features/?event_timestamp=0001-01-01T00:00:00%2B14:00", 400, "bad_parameter"),
        ("/historical-features/?driver_id=" + ",".join(["1001"] * 600), 400, "bad_parameter"),
        ("/nowhere", 404, "not_found"),
        ("/onboarding-risk-decision/", 405, "method_not_allowed"),
    ],
)
def test_a_wrong_url_is_refused_with_a_message(client: FlaskClient, path: str, status: int, name: str):
    answer = client.get(path)
    assert (answer.status_code, answer.json["error"]["name"]) == (status, name)
    assert answer.json["error"]["message"]


@pytest.mark.parametrize(
    "text", ["1999-12-31", "0001-01-01T00:00:00%2B14:00", "2999-01-01", "9999-12-31T23:59:59-14:00"]
)
def test_a_timestamp_that_is_too_early_or_late_is_not_called_misspelt(client: FlaskClient, text: str):
    answer = client.get(f"/historical-features/?event_timestamp={text}")
    assert "Send a timestamp from 2000 to now" in answer.json["error"]["message"]


def test_a_missing_model_is_answered_with_the_command_that_trains_it(untrained: FlaskClient):
    answer = untrained.post("/onboarding-risk-decision/", json=APPLICANT)
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "model_not_trained")
    assert "python -m jobs train onboarding" in answer.json["error"]["message"]
    assert untrained.post("/onboarding-risk-features/", json=APPLICANT).status_code == 200


def test_a_bug_is_answered_as_an_error_that_repeats_nothing(client: FlaskClient, fake: Fake, caplog):
    fake.online = lambda *_: 1 / 0
    answer = client.post("/onboarding-risk-decision/", json=APPLICANT)
    assert (answer.status_code, answer.json["error"]["name"]) == (500, "internal_error")
    assert "ZeroDivisionError" in caplog.text
    assert "8765" not in without_chance(answer.text + caplog.text)
