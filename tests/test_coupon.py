"""The domain `coupon`: the features of a request, and which attempts count for which keys."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from features.coupon import COUPON, COUPON_ATTEMPTS, COUPON_LIVE, LIVE, Coupon, share_of_failures
from features.domains import risks
from features.windows import events
from features.windows.live import state_of
from features.windows.state import LiveTable

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
BOOK, OTHER_BOOK = "1234-5678-9012-", "1234-5678-9013-"
NOTHING = {
    "prefix_attempts_10m": 0, "attempts_5m": 0, "failures_5m": 0, "device_attempts_1h": 0, "device_failures_1h": 0,
    "device_codes_1h": 0, "device_failure_share_1h": None,
}  # fmt: skip


def ago(minutes: float = 0, seconds: float = 0) -> datetime:
    return NOON - timedelta(minutes=minutes, seconds=seconds)


def attempt(
    when: datetime, device: str = "d1", location: str = "L1", code: str = f"{BOOK}0001", response: str = "VALID"
) -> dict[str, Any]:
    """An event, as a machine sends it."""
    return {
        "msg_id": f"{when} {device} {location} {code}", "create_time": when.isoformat(), "device_id": device,
        "location_code": location, "coupon_code": code, "response": response,
    }  # fmt: skip


def request(**changes: str) -> Coupon:
    return Coupon(**{"msg_id": "m", "device_id": "d1", "location_code": "L1", "coupon_code": f"{BOOK}9999"} | changes)


def known(*attempts: dict[str, Any], at: datetime = NOON, **changes: str) -> dict[str, Any]:
    """The features of a request at `at`, from the states that the stream job makes of these events."""
    row, inputs = request(**changes).row(at, b""), {}
    validate = events.schema(COUPON_ATTEMPTS).validate_json
    rows = [events.plain(COUPON_ATTEMPTS, validate(json.dumps(event))) for event in attempts]
    for live in map(LiveTable, COUPON_LIVE.tables):
        keys = live.table.keys
        counted = [event for event in rows if all(event[key] == row[key] for key in keys)]
        entries = [entry for event in counted for entry in events.entries(live, event)]
        state = live.zero()
        if entries:
            live.add(state, entries)
        inputs[state_of(live.table)] = [live.to_json(state) if entries else None]
    return {name: column[0] for name, column in COUPON_LIVE.columns({**inputs, "as_of": [at]}).items()}


def test_without_attempts_the_counts_are_zero_and_the_share_is_missing():
    assert known() == NOTHING
    assert share_of_failures({"device_attempts_1h": 0, "device_failures_1h": 0}) == {"device_failure_share_1h": None}


def test_an_attempt_counts_for_its_neighbours_its_location_and_its_machine():
    attempts = attempt(ago(1), code=f"{BOOK}0001"), attempt(ago(2), code=f"{BOOK}0002", response="INVALID")
    assert known(*attempts) == {
        "prefix_attempts_10m": 2, "attempts_5m": 2, "failures_5m": 1, "device_attempts_1h": 2, "device_failures_1h": 1,
        "device_codes_1h": 2, "device_failure_share_1h": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("elsewhere", "counted"),
    [
        ({"device": "d2", "location": "L2", "code": f"{OTHER_BOOK}0001"}, {}),
        ({"device": "d2", "location": "L2"}, {}),  # the same book, but at another location
        ({"device": "d2"}, {"prefix_attempts_10m": 1, "attempts_5m": 1, "failures_5m": 1}),
        ({"device": "d2", "code": f"{OTHER_BOOK}0001"}, {"attempts_5m": 1, "failures_5m": 1}),
        ({"location": "L2"}, {"device_attempts_1h": 1, "device_failures_1h": 1, "device_codes_1h": 1,
                              "device_failure_share_1h": 1.0}),
    ],
    ids=["all", "device and location", "device", "device and book", "location"],
)  # fmt: skip
def test_what_others_try_elsewhere_does_not_count(elsewhere: dict[str, str], counted: dict[str, Any]):
    assert known(attempt(ago(1), response="INVALID", **elsewhere)) == NOTHING | counted


def test_neighbours_differ_in_the_last_four_digits_only():
    neighbours = [f"{BOOK}0000", f"{BOOK}9999", f"{BOOK}0420"]
    others = ["1234-5678-9010-0420", "2234-5678-9012-0420", "1234-5679-9012-0420"]
    tried = [attempt(ago(1, n), code=code) for n, code in enumerate([*neighbours, *others])]
    assert known(*tried)["prefix_attempts_10m"] == len(neighbours)
    assert request().row(NOON, b"")["coupon_prefix"] == BOOK


@pytest.mark.parametrize(
    ("feature", "oldest"),
    [("prefix_attempts_10m", 10), ("attempts_5m", 5), ("failures_5m", 5), ("device_attempts_1h", 60),
     ("device_failures_1h", 60), ("device_codes_1h", 60)],
)  # fmt: skip
@pytest.mark.parametrize("later", [0, 4.99])
def test_a_window_ends_now_and_its_old_edge_moves_by_five_minutes(feature: str, oldest: int, later: float):
    """From 12:00 to 12:04:59 the oldest attempt that counts is at 12:00 minus the window's length."""
    now = NOON + timedelta(minutes=later)
    edge, before = attempt(ago(oldest), response="INVALID"), attempt(ago(oldest, 1e-6), response="INVALID")
    assert known(edge, before, at=now)[feature] == 1
    assert known(edge, before, at=NOON + timedelta(minutes=5))[feature] == 0
    young, at_end = attempt(now - timedelta(microseconds=1), response="INVALID"), attempt(now, response="INVALID")
    assert known(young, at_end, at=now)[feature] == 1


def test_only_an_invalid_attempt_is_a_failure():
    tried = [attempt(ago(0, n + 1), response="INVALID" if n < 3 else "VALID") for n in range(4)]
    features = known(*tried)
    names = ("failures_5m", "device_failures_1h", "device_failure_share_1h")
    assert [features[name] for name in names] == [3, 3, 0.75]
    assert known(attempt(ago(1)))["device_failure_share_1h"] == 0.0


def test_a_coupon_tried_again_is_one_code_and_another_attempt():
    tried = [attempt(ago(n + 1), code=f"{BOOK}{n % 2:04}") for n in range(5)]
    features = known(*tried)
    assert (features["device_codes_1h"], features["device_attempts_1h"]) == (2, 5)


@pytest.mark.parametrize(
    "code",
    ["", "1234", "1234-5678-9012-345", "1234-5678-9012-34567", "1234567890123456", "1234-5678-9012-345a",
     "1234-5678-9012-3456-7890", "1234-5678 9012-3456", "١٢٣٤-5678-9012-3456", None, 1234],
)  # fmt: skip
def test_an_invalid_coupon_is_refused_in_the_request_and_in_the_event(code: Any):
    with pytest.raises(ValidationError, match="coupon_code"):
        request(coupon_code=code)
    with pytest.raises(ValidationError, match="coupon_code"):
        events.schema(COUPON_ATTEMPTS).validate_json(json.dumps(attempt(NOON) | {"coupon_code": code}))


@pytest.mark.parametrize("code", [" 1234-5678-9012-3456", "1234-5678-9012-3456\n"])
def test_blanks_around_a_coupon_do_not_count(code: str):
    assert request(coupon_code=code) == request(coupon_code=code.strip())
    taken = events.schema(COUPON_ATTEMPTS).validate_json(json.dumps(attempt(NOON) | {"coupon_code": code}))
    assert taken["coupon_code"] == code.strip()


@pytest.mark.parametrize("response", ["", "invalid", "INVALIDATED", "NOT VALID", None])
def test_an_event_says_valid_or_invalid_and_nothing_else(response: Any):
    with pytest.raises(ValidationError, match="response"):
        events.schema(COUPON_ATTEMPTS).validate_json(json.dumps(attempt(NOON) | {"response": response}))


def test_the_decision_is_allow_review_or_block_on_declared_features():
    assert risks()["coupon"] is COUPON
    assert COUPON.appetite.words == ("allow", "review", "block")
    assert {i.name for i in COUPON.inputs} < {feature.name for live in LIVE for feature in live.features}
    assert set(NOTHING) == {feature.name for feature in COUPON_LIVE.features}
    assert all(i.direction == 1 for i in COUPON.inputs)
