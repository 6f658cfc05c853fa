"""The events API: 202 means that an event is safe on disk, an invalid event is refused with its field, and a sender can
ask which events got lost."""

import json
import os
from datetime import datetime, timedelta

import pytest
from fake import NOW
from flask.testing import FlaskClient
from processes import exit_code, forked
from stream_world import Batches, Sink

import settings
from features.coupon import COUPON_ATTEMPTS
from features.domains import streams
from jobs.stream.job import StreamJob
from serving import event_log

URL = f"/api/v1/events/{COUPON_ATTEMPTS.name}"


def attempt(nth=1, **more):
    event = {"msg_id": f"c{nth}", "device_id": "d1", "location_code": "L1", "coupon_code": "1234-5678-9012-3456"}
    return event | {"response": "INVALID", "create_time": "2026-01-31T11:59:00+00:00"} | more


def accepted():
    files = sorted(settings.root().event_log(COUPON_ATTEMPTS.name).glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def refused(answer, status=400):
    assert (answer.status_code, accepted()) == (status, [])
    return answer.json["error"]["name"], answer.json["error"].get("field")


def test_an_event_is_in_the_file_of_its_day_with_accepted_at(untrained: FlaskClient):
    answer = untrained.post(URL, json=attempt(producer="till", number=1))
    assert (answer.status_code, answer.json) == (202, {"accepted": 1})
    (event,) = accepted()
    assert datetime.fromisoformat(event.pop("accepted_at")) == NOW
    assert datetime.fromisoformat(event["create_time"]) == NOW - timedelta(minutes=1)
    sealed = COUPON_ATTEMPTS.seal(attempt(producer="till", number=1, create_time=0), settings.hash_key())
    assert event | {"create_time": 0} == sealed
    assert (settings.root().event_log(COUPON_ATTEMPTS.name) / "2026-01-31.jsonl").exists()


def test_a_sender_cannot_set_accepted_at(untrained: FlaskClient):
    untrained.post(URL, json=attempt(accepted_at="2020-01-01T00:00:00Z"))
    assert datetime.fromisoformat(accepted()[0]["accepted_at"]) == NOW


def test_an_event_is_on_disk_before_the_answer(untrained: FlaskClient, monkeypatch):
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(len(accepted())), sync(file)))
    assert untrained.post(URL, json=[attempt(n) for n in range(3)]).status_code == 202
    assert synced[-1] == 3


@pytest.mark.parametrize("fails", ["write", "open"])
def test_an_event_that_cannot_be_written_leaves_nothing(untrained: FlaskClient, monkeypatch, fails):
    untrained.post(URL, json=attempt(1))
    work = getattr(os, fails)

    def full(*args, **kwargs):
        if fails == "open" and not str(args[0]).endswith(".jsonl"):
            return work(*args, **kwargs)
        if fails == "write":
            work(args[0], args[1][:30])
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, fails, full)
        answer = untrained.post(URL, json=[attempt(2), attempt(3)])
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
    assert "No space left" in answer.json["error"]["message"]
    assert [event["msg_id"] for event in accepted()] == ["c1"]
    assert untrained.post(URL, json=attempt(2)).status_code == 202
    assert [event["msg_id"] for event in accepted()] == ["c1", "c2"]


def test_events_that_are_not_safe_on_disk_are_not_accepted(untrained: FlaskClient, monkeypatch):
    untrained.post(URL, json=attempt(1))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        answer = untrained.post(URL, json=attempt(2))
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
    assert "Send them again" in answer.json["error"]["message"]
    assert untrained.post(URL, json=attempt(2)).status_code == 202


def test_events_that_wait_at_the_same_time_share_a_sync(tmp_path, monkeypatch):
    synced, sync = [], os.fsync
    event_log.append(tmp_path, [attempt(0)], NOW)()
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(file), sync(file)))
    waits = [event_log.append(tmp_path, [attempt(n)], NOW) for n in (1, 2, 3)]
    assert synced == []
    for wait in waits:
        wait()
    assert len(synced) == 1


def test_all_events_of_a_list_are_accepted_in_order_or_none(untrained: FlaskClient):
    many = [attempt(n) for n in range(1000)]
    bad = [*many[:700], attempt(700, coupon_code="1234"), *many[701:]]
    assert refused(untrained.post(URL, json=bad)) == ("bad_parameter", "700.coupon_code")
    assert untrained.post(URL, json=many).json == {"accepted": 1000}
    assert [event["msg_id"] for event in accepted()] == [f"c{n}" for n in range(1000)]


BAD = {
    "no field": ({k: v for k, v in attempt().items() if k != "msg_id"}, "missing_field", "msg_id"),
    "a wrong type": (attempt(msg_id=5), "wrong_type", "msg_id"),
    "a moment as a number": (attempt(create_time=1_769_860_740), "wrong_type", "create_time"),
    "a moment as digits": (attempt(create_time="1769860740"), "wrong_type", "create_time"),
    "a moment as digits, in ms": (attempt(create_time="1769860740000"), "wrong_type", "create_time"),
    "the year 2200": (attempt(create_time="2200-01-01T00:00:00Z"), "bad_parameter", "create_time"),
    "no moment": (attempt(create_time="yesterday"), "wrong_type", "create_time"),
    "no zone": (attempt(create_time="2026-01-31T11:59:00"), "bad_parameter", "create_time"),
    "before 1970": (attempt(create_time="1969-12-31T23:59:59Z"), "bad_parameter", "create_time"),
    "a clock ahead": (attempt(create_time="2026-01-31T12:00:11Z"), "bad_parameter", "create_time"),
    "the end of the calendar": (attempt(create_time="9999-12-31T23:59:59-12:00"), "bad_parameter", "create_time"),
    "no word of ours": (attempt(response="MAYBE"), "bad_parameter", "response"),
    "digits of other scripts": (attempt(coupon_code="١٢٣٤-5678-9012-3456"), "bad_parameter", "coupon_code"),
    "an empty key": (attempt(device_id=""), "bad_parameter", "device_id"),
    "a blank key": (attempt(device_id="  "), "bad_parameter", "device_id"),
    "a NUL": (attempt(device_id="a\0"), "bad_parameter", "device_id"),
    "a number from 1 on": (attempt(producer="till", number=0), "bad_parameter", "number"),
    "a field that is not declared": (attempt(colour="red"), "unknown_field", "colour"),
    "a field that is not declared, in a list": ([attempt(), attempt(colour=None)], "unknown_field", "1.colour"),
    "an SSN as a field": (attempt(**{"512-34-8765": "x"}), "unknown_field", "999-99-9999"),
    "no object": ("c1", "wrong_type", None),
    "in a list": ([attempt(), None], "wrong_type", None),
    "an empty list": ([], "bad_parameter", None),
    "too many": ([attempt()] * 1001, "bad_parameter", None),
}


@pytest.mark.parametrize(("body", "name", "field"), BAD.values(), ids=BAD)
def test_an_invalid_event_is_refused_with_its_field(untrained: FlaskClient, body, name, field):
    assert refused(untrained.post(URL, json=body)) == (name, field)


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"msg_typ": "x"}, "msg_typ is not a field of this request. Did you mean 'msg_type'? Leave it out, or "
                        "declare it: an optional column of coupon_attempts."),
     ({"colour": "x"}, "colour is not a field of this request. Leave it out, or declare it: an optional column"),
     ({"device_id": "a\0"}, "device_id has a NUL character; remove it."),
     ({"device_id": None, "devic_id": "d"}, "devic_id is not a field of this request. Did you mean 'device_id'?"),
     ({"create_time": "2026-01-31T11:59:00"}, "create_time has no time zone; add Z or +01:00."),
     ({"create_time": "2026-02-30T11:59:00Z"}, "create_time is no timestamp; write it as 2026-01-31T12:00:00Z.")],
)  # fmt: skip
def test_an_invalid_event_is_refused_with_what_to_do(untrained: FlaskClient, fields, message):
    event = {name: value for name, value in attempt(**fields).items() if value is not None}
    assert untrained.post(URL, json=event).json["error"]["message"].startswith(message)


NO_JSON = {"nothing": b"", "half": b"{", "not UTF-8": b"\xff", "deep": b"[" * 100_000}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_a_body_that_is_not_json_is_refused(untrained: FlaskClient, body):
    assert refused(untrained.post(URL, data=body))[0] == "not_json"


def test_half_a_character_is_refused(untrained: FlaskClient):
    assert refused(untrained.post(URL, data=b'{"msg_id": "\\ud800"}'))[0] == "not_json"


def test_an_unknown_stream_is_answered_with_the_known_ones(untrained: FlaskClient):
    answer = untrained.post("/api/v1/events/nope", json=attempt())
    assert refused(answer) == ("bad_parameter", "stream")
    assert all(name in answer.json["error"]["message"] for name in streams())
    assert untrained.get("/api/v1/events/nope/missing?producer=till&last=3").status_code == 400


def missing(client, producer, last):
    return client.get(f"{URL}/missing?producer={producer}&last={last}").json["missing"]


def test_a_producer_learns_which_numbers_got_lost(untrained: FlaskClient):
    assert missing(untrained, "till", 3) == [[1, 3]]  # no stream job has run yet
    lines = [attempt(n, producer="till", number=n) for n in (2, 3, 7, 3)]
    job = StreamJob(
        settings.root(), streams()[COUPON_ATTEMPTS.name], Batches(lines), Sink(), settings.hash_key(), lambda: NOW
    )
    job.step()
    expected = {("till", 9): [[1, 1], [4, 6], [8, 9]], ("till", 7): [[1, 1], [4, 6]], ("till", 0): [[1, 1], [4, 6]]}
    expected |= {("another", 4): [[1, 4]], ("another", 0): []}
    assert {ask: missing(untrained, *ask) for ask in expected} == expected
    job.close()


@pytest.mark.parametrize("query", ["", "?producer=till", "?last=3", "?producer=till&last=-1", "?producer=till&last=x"])
def test_the_missing_numbers_need_a_producer_and_its_last_number(untrained: FlaskClient, query):
    assert untrained.get(f"{URL}/missing{query}").json["error"]["name"] == "bad_parameter"


@pytest.mark.slow
def test_two_processes_append_whole_lists_in_spite_of_short_writes(tmp_path, monkeypatch):
    write, writes = os.write, list[int]()
    monkeypatch.setattr(os, "write", lambda file, text: (writes.append(file), write(file, text[:1000]))[1])

    def send(sender: str) -> None:
        for n in range(20):
            rows = [{"sender": sender, "n": n, "i": i, "long": "x" * 5000} for i in range(5)]
            event_log.append(tmp_path, rows, NOW)()
        assert len(writes) > 20 * 20  # each list took many

    with forked(send, "a") as first, forked(send, "b") as second:
        assert (exit_code(first), exit_code(second)) == (0, 0)
    lines = [json.loads(line) for line in (tmp_path / "2026-01-31.jsonl").read_text().splitlines()]
    assert [line["i"] for line in lines] == [0, 1, 2, 3, 4] * 40
    assert {(line["sender"], line["n"]) for line in lines} == {(sender, n) for sender in "ab" for n in range(20)}
