"""The domain `loyalty`: the features of a purchase, in whatever order earlier purchases arrive."""

import json
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from pydantic import ValidationError

from errors import BadParameter
from features.domains import risks
from features.loyalty import CUSTOMER_PURCHASES, LIVE, LOYALTY, LOYALTY_LIVE, PURCHASES, Purchase, scored
from features.windows import events
from features.windows.live import state_of
from features.windows.state import LiveTable

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TABLE = LiveTable(CUSTOMER_PURCHASES)


def purchase(days_ago: float, value: float, **more: Any) -> dict[str, Any]:
    """An event, as the service logs it."""
    return {
        "purchase_id": f"p{days_ago}", "customer_id": "c1", "purchase_value": value,
        "purchase_timestamp": (NOON - timedelta(days=days_ago)).isoformat(), **more,
    }  # fmt: skip


def known(*events_so_far: dict[str, Any], value: float = 50.0, at: datetime = NOON) -> dict[str, Any]:
    """The features of a purchase, from the state that the stream job makes of these events in this order."""
    state = TABLE.zero()
    for event in events_so_far:
        row = events.plain(PURCHASES, events.schema(PURCHASES).validate_json(json.dumps(event)))
        TABLE.add(state, events.entries(TABLE, row))
    stored = TABLE.to_json(state) if events_so_far else None
    inputs = {state_of(CUSTOMER_PURCHASES): [stored], "as_of": [at], "purchase_value": [value]}
    return {name: column[0] for name, column in LOYALTY_LIVE.columns(inputs).items()}


def request(**changes: Any) -> Purchase:
    return Purchase(**{"purchase_id": "p1", "customer_id": "c1", "purchase_value": 50.0} | changes)


# The features of a purchase


def test_a_new_customer_has_this_purchase_as_average_and_score_0():
    assert known(value=49.9) == {
        "last_purchase_value": None, "mean_purchase_value": None, "mean_loyalty_score": None,
        "this_purchase_value": 49.9, "latest_purchase_value": 49.9, "average_purchase_value": 49.9,
        "average_loyalty_score": 0.0,
    }  # fmt: skip


def test_an_average_is_of_all_purchases():
    """(10 + 20 + 60) / 3 is 30. The mean of the old average and the new value would be 37.5, and 6.5 for the scores."""
    purchases = [
        purchase(days, value, loyalty_score=s) for days, value, s in ((3, 10, 4.0), (2, 20, 6.0), (1, 60, 8.0))
    ]
    assert known(*purchases, value=5) == {
        "last_purchase_value": 60.0, "mean_purchase_value": 30.0, "mean_loyalty_score": 6.0,
        "this_purchase_value": 5, "latest_purchase_value": 60.0, "average_purchase_value": 30.0,
        "average_loyalty_score": 6.0,
    }  # fmt: skip


def test_the_order_in_which_purchases_come_changes_nothing():
    purchases = [
        purchase(d, v, predicted_score=s) for d, v, s in [(40, 0.1, 9.9), (3, 0.2, 1.3), (2, 0.7, 6.1), (0.1, 3, 7.7)]
    ]
    answers = [known(*order) for order in permutations(purchases)]
    assert answers == [answers[0]] * 24
    assert answers[0]["average_purchase_value"] == 1.0


def test_the_last_purchase_is_the_last_by_its_timestamp():
    assert known(purchase(1, 60), purchase(9, 10))["latest_purchase_value"] == 60.0


def test_a_predicted_score_counts_only_without_a_given_one():
    both, predicted = purchase(2, 10, loyalty_score=8.0, predicted_score=3.0), purchase(1, 10, predicted_score=5.0)
    assert known(both)["average_loyalty_score"] == 8.0
    assert known(both, predicted)["average_loyalty_score"] == 6.5


def test_a_purchase_without_a_score_counts_for_the_values_only():
    features = known(purchase(2, 10, loyalty_score=8.0), purchase(1, 30))
    assert (features["average_purchase_value"], features["average_loyalty_score"]) == (20.0, 8.0)
    assert known(purchase(1, 30))["average_loyalty_score"] == 0.0


def test_a_free_purchase_is_a_purchase():
    features = known(purchase(1, 0.0), value=9)
    assert (features["latest_purchase_value"], features["average_purchase_value"]) == (0.0, 0.0)


def test_a_purchase_counts_from_the_next_microsecond_and_for_ever():
    assert known(purchase(20_000, 7))["average_purchase_value"] == 7.0
    made = datetime.fromisoformat(purchase(0, 7)["purchase_timestamp"])
    assert known(purchase(0, 7), at=made)["mean_purchase_value"] is None
    assert known(purchase(0, 7), at=made + timedelta(microseconds=1))["mean_purchase_value"] == 7.0


# The request and its event


def test_a_scored_purchase_is_an_event_with_the_predicted_score():
    row = request(purchase_timestamp="2026-01-30T12:00:00Z", producer="till-1", number=7).row(NOON, b"")
    event = json.loads(json.dumps(scored(row, 6.25), default=str))
    event["purchase_timestamp"] = row["purchase_timestamp"].isoformat()
    features = events.plain(PURCHASES, events.schema(PURCHASES).validate_json(json.dumps(event)))
    assert (features["known_score"], features["predicted_score"], features["producer"], features["number"]) == (
        6.25,
        6.25,
        "till-1",
        7,
    )
    assert LOYALTY.publishes is not None
    assert LOYALTY.publishes.event(row, 6.25) == scored(row, 6.25)
    assert "loyalty_score" not in event


def test_a_purchase_without_a_timestamp_is_of_now():
    assert request().row(NOON, b"")["purchase_timestamp"] == NOON
    made = request(purchase_timestamp="2026-01-31T12:30:00+02:00").row(NOON, b"")["purchase_timestamp"]
    assert made == datetime(2026, 1, 31, 10, 30, tzinfo=UTC)


@pytest.mark.parametrize("wrong", ["2026-01-31T12:00:00", "2026-01-31", "yesterday", ""])
def test_a_timestamp_without_a_zone_is_refused(wrong: str):
    with pytest.raises(BadParameter, match="Write a timestamp with its zone"):
        request(purchase_timestamp=wrong)


def test_a_purchase_may_be_10_s_in_the_future_and_no_more():
    ahead = request(purchase_timestamp="2026-01-31T12:00:11Z")
    with pytest.raises(BadParameter, match="purchase_timestamp is 11 s in the future") as raised:
        ahead.row(NOON, b"")
    assert raised.value.field == "purchase_timestamp"
    assert request(purchase_timestamp="2026-01-31T12:00:10Z").row(NOON, b"")["purchase_timestamp"] > NOON


@pytest.mark.parametrize(
    "wrong",
    [{"purchase_value": -0.01}, {"purchase_value": float("nan")}, {"purchase_value": float("inf")},
     {"purchase_value": "9"}, {"purchase_value": 9.1e9}, {"purchase_id": ""}, {"customer_id": ""}, {"customer_id": 7},
     {"number": 0}, {"number": 1.5}, {"producer": ""}, {"loyalty_score": 9.0}, {"predicted_score": 9.0}],
    ids=str,
)  # fmt: skip
def test_an_invalid_field_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        request(**wrong)


@pytest.mark.parametrize("wrong", [{"loyalty_score": 0.9}, {"predicted_score": 0.0}, {"purchase_value": -1.0}], ids=str)
def test_an_event_with_an_invalid_score_or_value_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        events.schema(PURCHASES).validate_json(json.dumps(purchase(1, 10) | wrong))


def test_the_score_is_a_number_from_1_to_10_on_declared_features():
    assert risks()["loyalty"] is LOYALTY
    assert (LOYALTY.task, LOYALTY.bounds) == ("regression", (1.0, 10.0))
    assert {i.name for i in LOYALTY.inputs} < {feature.name for live in LIVE for feature in live.features}
