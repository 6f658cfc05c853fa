"""The definition of each feature, as a sentence."""

import pytest

from features.domains import live_of, on_demand, tables
from features.windows.tables import AggregationTable
from provenance import words

TABLES = {table.name: table for table in (*tables(), *live_of("coupon")[0].tables, *live_of("catalog")[0].tables)}
HOUR = "the beginning is rounded down to a multiple of 1 hour"


def sentence(table: str, feature: str, is_live: bool = True) -> str:
    declared = TABLES[table]
    assert isinstance(declared, AggregationTable)
    for flag in declared.flags:
        if flag.name == feature:
            return words.of_flag(declared, flag, is_live)
    (a,) = (a for a in declared.aggregations if a.name == feature)
    return words.of_aggregation(declared, a, is_live)


@pytest.mark.parametrize(
    ("table", "feature", "text"),
    [
        ("user_orders", "orders_count_7d",
         f"How many orders with the same user_id, in the 7 days before the request; {HOUR}."),
        ("user_orders", "orders_amount_max_30d",
         "The largest value of amount, over orders with the same user_id, in the 30 days before the request; the "
         "beginning is rounded down to midnight."),
        ("merchant_risk", "chargeback_rate_7d",
         "The share of the events whose outcome was known, by chargeback_timestamp, over orders with the same "
         "merchant_id, in the 7 days that end 7 days before the request; " + HOUR + "."),
        ("user_chargebacks", "chargebacks_count_3d",
         "How many orders with the same user_id, dated by chargeback_timestamp, in the 3 days before the request; "
         f"{HOUR}."),
        ("location_attempts", "failures_5m",
         "How many coupon_attempts with the same location_code, whose response is INVALID, in the 5 minutes before the "
         "request; the beginning is rounded down to a multiple of 5 minutes."),
        ("product_reviews", "average_last_5_reviews",
         "The mean of the 5 newest values of review_rating, over transactions with the same product_id, before the "
         "request."),
    ],
)  # fmt: skip
def test_an_aggregation_is_a_sentence(table: str, feature: str, text: str) -> None:
    assert sentence(table, feature) == text


def test_a_flag_says_its_bound_and_its_aggregation() -> None:
    text = sentence("driver_yesterdays_stats", "yesterdays_avg_daily_trips_lt_10", is_live=False)
    assert text.startswith("1 if avg_daily_trips is below 10, 0 if not, missing if avg_daily_trips is missing. ")
    assert text.endswith(f"in the 1 day before the last midnight, UTC; {HOUR}.")


def test_a_lookup_says_what_it_looks_up() -> None:
    feature = on_demand()["ondemand_ssn_lookup", "is_previously_seen_ssn"]
    text = words.of_on_demand(feature)
    assert "another driver used the ssn before" in text
    assert "last_driver_with_ssn is the driver_id that was most recently seen" in text
