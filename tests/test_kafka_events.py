"""Events of the service at a real Kafka broker: 202 means that the broker has acknowledged them."""

import threading
from datetime import datetime, timedelta

import pytest
from engines.need import need
from fake import NOW, Fake
from flask.testing import FlaskClient
from pydantic_core import from_json

import settings
from app import create_app
from errors import BadSetting
from features.coupon import COUPON_ATTEMPTS

need("java", "mvn", modules=("confluent_kafka",))
pytestmark = [pytest.mark.slow, pytest.mark.engine]
URL, TOPIC = f"/api/v1/events/{COUPON_ATTEMPTS.name}", f"service.{COUPON_ATTEMPTS.name}"


def attempt(nth=1, **more):
    event = {"msg_id": f"c{nth}", "device_id": "d1", "location_code": "L1", "coupon_code": "1234-5678-9012-3456"}
    return event | {"response": "INVALID", "create_time": "2026-01-31T11:59:00+00:00"} | more


@pytest.fixture(scope="module")
def servers(kafka) -> str:
    kafka.create(TOPIC, 4)
    return kafka.servers


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


def client_of(servers: str, monkeypatch: pytest.MonkeyPatch, topic: str = "service") -> FlaskClient:
    monkeypatch.setenv("RISK_EVENTS", f"kafka://{servers}/{topic}")
    return create_app(Fake(), clock=lambda: NOW).test_client()


def test_accepted_events_are_in_the_topic_under_their_ids(kafka, servers, root, monkeypatch):
    client = client_of(servers, monkeypatch)
    before = len(kafka.messages(TOPIC))
    events = [attempt(n, producer="till", number=n) for n in range(1, 201)]
    answer = client.post(URL, json=events)
    assert (answer.status_code, answer.json) == (202, {"accepted": 200})
    messages = kafka.messages(TOPIC)
    assert len(messages) == before + 200
    stored = {message.key().decode(): from_json(message.value()) for message in messages}
    assert {f"c{n}" for n in range(1, 201)} <= stored.keys()
    first = stored["c1"]
    assert datetime.fromisoformat(first.pop("accepted_at")) == NOW
    assert datetime.fromisoformat(first["create_time"]) == NOW - timedelta(minutes=1)
    sealed = COUPON_ATTEMPTS.seal(attempt(1, producer="till", number=1, create_time=0), settings.hash_key())
    assert first | {"create_time": 0} == sealed
    assert len({message.partition() for message in messages}) == 4
    assert not (root / "log").exists()


def test_versions_of_an_event_share_a_partition_in_their_order(kafka, servers, root, monkeypatch):
    client = client_of(servers, monkeypatch)
    for device in ("d3", "d1", "d2"):
        assert client.post(URL, json=[attempt("versions", device_id=device), attempt(3)]).status_code == 202
    versions = [message for message in kafka.messages(TOPIC) if message.key() == b"cversions"]
    assert [from_json(message.value())["device_id"] for message in versions] == ["d3", "d1", "d2"]


def test_an_invalid_event_is_refused_and_not_sent(kafka, servers, root, monkeypatch):
    before = len(kafka.messages(TOPIC))
    answer = client_of(servers, monkeypatch).post(URL, json=[attempt(), attempt(2, coupon_code="1234")])
    assert (answer.status_code, answer.json["error"]["field"]) == (400, "1.coupon_code")
    assert len(kafka.messages(TOPIC)) == before


def test_the_way_to_missing_numbers_says_that_kafka_needs_none(servers, root, monkeypatch):
    answer = client_of(servers, monkeypatch).get(f"{URL}/missing?producer=till&last=3")
    assert (answer.status_code, answer.json["error"]["name"]) == (400, "bad_parameter")
    assert "RISK_EVENTS" in answer.json["error"]["message"]


def test_a_topic_that_is_not_there_is_an_error_that_says_so(servers, root, monkeypatch):
    client = client_of(servers, monkeypatch, "other")
    answer = client.post(URL, json=attempt())
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
    assert f"other.{COUPON_ATTEMPTS.name}" in answer.json["error"]["message"]
    assert "unknown topic" in answer.json["error"]["message"].lower()


def test_without_a_broker_an_event_is_not_accepted_and_others_go_on(root, monkeypatch):
    from servers import refusing_port

    with refusing_port() as port:
        client = client_of(f"127.0.0.1:{port}", monkeypatch)
        answers = []
        sender = threading.Thread(target=lambda: answers.append(client.post(URL, json=attempt())))
        sender.start()
        others = 0
        while sender.is_alive():  # the acknowledgement that does not come holds no turn
            assert client.application.test_client().get("/api/health-check").status_code == 200
            others += 1
            sender.join(0.05)
    (answer,) = answers
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
    assert "did not acknowledge" in answer.json["error"]["message"]
    assert others > 10


def test_the_broker_may_restart_between_two_events(kafka, servers, root, monkeypatch):
    client = client_of(servers, monkeypatch)
    assert client.post(URL, json=attempt("before")).status_code == 202
    kafka.restart()
    answer = client.post(URL, json=attempt("after"))
    while answer.status_code == 503:  # a client waits up to a second before it connects again
        answer = client.post(URL, json=attempt("after"))
    keys = [message.key() for message in kafka.messages(TOPIC)]
    assert {b"cbefore", b"cafter"} <= set(keys)


@pytest.mark.parametrize("url", ["kafka://127.0.0.1/events", "http://127.0.0.1:9092/events", "kafka://h:9092/a b", "x"])
def test_a_setting_that_names_no_topic_is_refused(url, monkeypatch):
    monkeypatch.setenv("RISK_EVENTS", url)
    with pytest.raises(BadSetting, match="Set it to kafka://HOST:PORT/PREFIX"):
        settings.events()
