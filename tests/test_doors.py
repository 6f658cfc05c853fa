"""What may come in by any door of the service: JSON with one meaning, timestamps that every later step can hold."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from fake import APPLICANT, NOW, Fake
from flask.testing import FlaskClient
from pydantic_core import from_json

from app import create_app
from cli.values import TIMESTAMP
from features.domains import risks, stream_named, streams
from features.windows import events
from serving.store import Row, Vector
from web import examples
from web.vectors import VectorsRequest

BEYOND = (
    "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "9999-12-31T00:00:00Z", "1600-01-01T00:00:00Z",
    "2200-01-01T00:00:00Z", "2199-12-31T23:59:59-01:00", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00+00:01",
)  # fmt: skip
#: Each of them is a timestamp for some reader: digits, a week, and a day whose offset is read as a time of day.
NO_FORMS = (
    "yesterday", "20260110", "1768046400", "2026-W02-6", "2026-01-10-10:00", "2026-01-10+02:00", "2026-01-10x12:00:00Z",
    "2026-01-10_12:00:00Z", "20260110T1200Z", "2026-01-10T12Z", "2026-01-10T12:00:00+23:59",
    "2026-01-10T12:00:00+16:00", "2026-01-10T12:00:00+02:00:30", "2026-02-29T00:00:00Z",
)  # fmt: skip
NO_TIMESTAMPS = ("", "2026-01-10", "2026-01-10T12:00:00", *NO_FORMS)
ORDER = {"order_id": "o1", "user_id": "u1"}
PURCHASE = {"purchase_id": "p1", "customer_id": "c1", "purchase_value": 5}
TYPES = {"driver_id": "INT64", "dob": "UNIX_TIMESTAMP", "state": "STRING", "amount": "DOUBLE", "is_new": "BOOL"}


class Vectors(Fake):
    """A store whose one service takes each kind of request data, and answers what it got."""

    def services(self) -> list[str]:
        return ["any"]

    def views(self, service: str) -> dict[str, str]:
        return {"amount": "x"}

    def asks(self, service: str) -> dict[str, str]:
        return TYPES

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        self.rows += rows
        return [Vector({"amount": row["amount"]}, {"amount": as_of}, {"amount": "PRESENT"}) for row in rows]


@pytest.fixture
def store() -> Vectors:
    return Vectors()


@pytest.fixture
def vectors(store: Vectors, tmp_path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return create_app(store, clock=lambda: NOW).test_client()


def ask(client: FlaskClient, as_of: str | None = None, **changes: Any) -> Any:
    """One entity of the service `any`."""
    body: dict[str, Any] = {"entities": [dict.fromkeys(TYPES) | changes]}
    return client.post("/api/v1/features/any", data=json.dumps(body | ({"as_of": as_of} if as_of else {})))


def test_without_a_registry_no_service_is_unknown_but_none_is_ready(
    vectors: FlaskClient, store: Vectors, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(store, "services", list)
    answer = ask(vectors)
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "features_not_ready")


# Timestamps


@pytest.mark.parametrize("timestamp", BEYOND)
@pytest.mark.parametrize(("name", "request_"), [("chargeback", ORDER), ("loyalty", PURCHASE)])
def test_a_request_dated_in_a_far_year_is_refused(untrained: FlaskClient, name: str, request_: dict, timestamp: str):
    field = "order_timestamp" if name == "chargeback" else "purchase_timestamp"
    for body, place in ((request_ | {field: timestamp}, ""), ([request_, request_ | {field: timestamp}], "1.")):
        answer = untrained.post(f"/api/v1/decisions/{name}", json=body)
        error = answer.json["error"]
        assert (answer.status_code, error["name"], error["field"]) == (400, "bad_parameter", place + field)
        assert error["message"].startswith(f"{place}{field} is {timestamp!r}, which is not in the years 1970 to 2199")


def test_a_request_dated_without_a_zone_is_refused(untrained: FlaskClient):
    for timestamp in NO_TIMESTAMPS:
        answer = untrained.post("/chargeback-risk-features/", json=ORDER | {"order_timestamp": timestamp})
        assert (answer.status_code, answer.json["error"]["name"]) == (400, "bad_parameter"), timestamp
        assert "with its zone" in answer.json["error"]["message"]


def test_features_of_the_past_are_joined_in_known_years_only(untrained: FlaskClient):
    for timestamp in (*BEYOND, *NO_FORMS):
        query = {"driver_id": 1001, "event_timestamp": timestamp}
        answer = untrained.get("/historical-features/", query_string=query)
        assert (answer.status_code, answer.json["error"]["field"]) == (400, "event_timestamp"), timestamp


def test_vectors_are_read_as_of_known_years_only(vectors: FlaskClient):
    for timestamp in (*BEYOND, *NO_FORMS):
        answer = ask(vectors, timestamp)
        assert (answer.status_code, answer.json["error"]["field"]) == (400, "as_of"), timestamp


@pytest.mark.parametrize("name", list(streams()))
def test_an_event_is_dated_in_known_years_with_a_zone(untrained: FlaskClient, name: str):
    raw, event = stream_named(name).raw, from_json(examples.of_event(name))
    for timestamp in (*BEYOND, *NO_TIMESTAMPS):
        answer = untrained.post(f"/api/v1/events/{name}", json=event | {raw.time: timestamp})
        assert (answer.status_code, answer.json["error"]["field"]) == (400, raw.time), timestamp


@pytest.mark.parametrize("timestamp", [*BEYOND, *NO_FORMS])
def test_no_command_takes_what_is_no_timestamp(timestamp: str):
    with pytest.raises(click.BadParameter, match=r"is not (a timestamp|in the years 1970 to 2199)"):
        TIMESTAMP.convert(timestamp, None, None)


def test_a_date_of_birth_in_a_vector_may_be_before_1970(vectors: FlaskClient, store: Vectors):
    for dob, meant in (("1900-01-01T00:00:00Z", datetime(1900, 1, 1, tzinfo=UTC)), (None, None)):
        assert ask(vectors, dob=dob).status_code == 200
        assert store.rows[-1]["dob"] == meant
    for dob in ("1899-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "2200-01-01T00:00:00Z"):
        error = ask(vectors, dob=dob).json["error"]
        assert (error["name"], error["field"]) == ("bad_parameter", "entities.0.dob")
        assert "is not in the years 1900 to 2199" in error["message"]


@pytest.mark.parametrize(
    ("field", "value", "name"),
    [("dob", 1_768_046_400, "wrong_type"), ("dob", 1e300, "wrong_type"), ("dob", "1768046400", "bad_parameter"),
     ("amount", "nan", "wrong_type"), ("amount", "1.5", "wrong_type"), ("amount", True, "wrong_type"),
     ("amount", float("inf"), "not_json"), ("amount", 10**400, "not_json"), ("state", "\ud800", "not_json"),
     ("\ud800", "CA", "not_json"), ("driver_id", 2**63, "bad_parameter"), ("driver_id", 1.0, "wrong_type"),
     ("state", "C\0A", "bad_parameter")],
)  # fmt: skip
def test_a_value_of_a_vector_has_its_declared_type(vectors: FlaskClient, field: str, value: Any, name: str):
    answer = ask(vectors, **{field: value})
    assert (answer.status_code, answer.json["error"]["name"]) == (400, name)


@pytest.mark.parametrize("risk", [risk for risk in risks().values() if not risk.path_field], ids=lambda risk: risk.name)
def test_a_text_of_a_request_has_no_nul(client: FlaskClient, risk: Any):
    request = from_json(examples.of_model(risk.request))
    texts = [name for name, value in request.items() if isinstance(value, str)]
    for name in texts:
        for body, place in ((request | {name: "a\0"}, ""), ([request, request | {name: "a\0"}], "1.")):
            answer = client.post(f"/api/v1/decisions/{risk.name}", json=body)
            error = answer.json["error"]
            assert (answer.status_code, error["field"]) == (400, place + name)


@pytest.mark.parametrize("name", streams())
def test_the_name_of_a_producer_has_no_nul(client: FlaskClient, name: str):
    answer = client.get(f"/api/v1/events/{name}/missing?producer=a%00&last=1")
    assert (answer.status_code, answer.json["error"]["name"]) == (400, "bad_parameter")


def test_a_null_that_a_function_of_features_cannot_take_is_named(
    vectors: FlaskClient, store: Vectors, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(store, "vectors", lambda *_: None + 1)  # type: ignore[operator]
    error = ask(vectors, driver_id=1, state="CA", amount=1.0, is_new=True).json["error"]
    assert (error["name"], error["field"]) == ("bad_parameter", "entities.0.dob")
    assert "Send a value." in error["message"]
    assert "TypeError" in caplog.text
    answer = ask(vectors, driver_id=1, state="CA", amount=1.0, is_new=True, dob="1990-05-17")
    assert answer.status_code == 500, "without a null it is a bug"


@pytest.mark.parametrize("amount", [float("nan"), float("inf"), float("-inf")])
def test_no_answer_has_a_number_that_json_has_not(
    vectors: FlaskClient, store: Vectors, monkeypatch: pytest.MonkeyPatch, amount: float
):
    vector = Vector({"amount": amount}, {"amount": NOW}, {"amount": "PRESENT"})
    monkeypatch.setattr(store, "vectors", lambda *_: [vector])
    assert '"features":{"amount":null}' in ask(vectors).text


# JSON

POSTS = [
    ("/onboarding-risk-features/", "Applicant"), ("/onboarding-risk-score/", "Applicant"), ("/sign-up/", "Applicant"),
    ("/chargeback-risk-score/", "Order"), ("/api/v1/decisions/daily", "Driver"), ("/api/v1/decisions/coupon", "Coupon"),
    ("/api/v1/features/any", "VectorsRequest"), *((f"/api/v1/events/{name}", name) for name in streams()),
]  # fmt: skip
BODIES = {risk.request.__name__: examples.of_model(risk.request) for risk in risks().values()}
BODIES |= {"VectorsRequest": examples.of_model(VectorsRequest)} | {name: examples.of_event(name) for name in streams()}


@pytest.mark.parametrize(
    ("text", "reason", "field"),
    [(b'{"a": 1, "a": 1}', "the key 'a' is there twice", "a"), (b'[{"x": {"b": 1, "b": 2}}]', "the key 'b'", "b"),
     (b'{"a": NaN}', "NaN is no JSON number", None), (b'{"\\ud800": 1}', "half a character", None),
     (b"[" * 100 + b"]" * 100, "nested deeper", None), (b"9" * 9999, "too large", None), (b"{", "line 1", None),
     ('{"a": 1}'.encode("utf-16"), "is not UTF-8", None)],
)  # fmt: skip
@pytest.mark.parametrize(("path", "kind"), POSTS)
def test_every_door_refuses_json_that_is_read_in_two_ways(
    vectors: FlaskClient, path: str, kind: str, text: bytes, reason: str, field: str | None
):
    answer = vectors.post(path, data=text)
    error = answer.json["error"]
    assert (answer.status_code, error["name"], error.get("field")) == (400, "not_json", field)
    assert reason in error["message"]
    assert error["message"].endswith(f"Send one object, such as {BODIES[kind]}; see /apidocs/.")


@pytest.mark.parametrize("path", [path for path, _ in POSTS])
def test_every_door_says_what_it_takes_instead_of_a_number(vectors: FlaskClient, path: str):
    error = vectors.post(path, data=b"1").json["error"]
    assert error["name"] == "wrong_type"
    assert "is a JSON number. Send one object, such as {" in error["message"]


def test_a_byte_order_mark_before_a_body_is_passed_over(client: FlaskClient):
    body = b"\xef\xbb\xbf" + json.dumps(APPLICANT).encode()
    assert client.post("/onboarding-risk-decision/", data=body).status_code == 200


@pytest.mark.parametrize("name", list(risks()))
def test_the_example_in_a_message_is_a_request(name: str):
    request = risks()[name].request
    assert request.model_validate(from_json(examples.of_model(request))).row(NOW, b"key")


@pytest.mark.parametrize("name", list(streams()))
def test_the_example_in_a_message_is_an_event(name: str):
    assert events.schema(stream_named(name).raw).validate_json(examples.of_event(name))
