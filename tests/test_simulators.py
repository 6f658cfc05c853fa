"""The simulated orders: those of the Handbook at any size, with only what a shop knows."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from simulators import Size, chargeback

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 31, 13, 37, tzinfo=UTC)
MIDNIGHT = pd.Timestamp("2026-01-31", tz="UTC")
SMALL = Size(users=500, merchants=1000, order_days=90)
LATEST_CHARGEBACK = timedelta(days=6)


def made(seed=7, now=NOW, **otherwise):
    sizes = {"users": SMALL.users, "merchants": SMALL.merchants, "order_days": SMALL.order_days, **otherwise}
    return chargeback.events(seed, now, Size(**sizes), b"")["orders"]


def settled(orders, now=NOW):
    """The orders whose chargebacks are all known."""
    return orders[orders["order_timestamp"] + LATEST_CHARGEBACK < now]


def share(orders):
    return settled(orders)["chargeback_timestamp"].notna().mean()


@pytest.fixture(scope="module")
def orders():
    return made()


def test_the_same_seed_time_and_size_make_the_same_orders(orders):
    assert orders.equals(made())


@pytest.mark.parametrize(
    "otherwise", [{"seed": 8}, {"now": NOW + timedelta(days=1)}, {"users": 501}, {"merchants": 999}, {"order_days": 89}]
)
def test_another_seed_time_or_size_makes_other_orders(orders, otherwise):
    assert not orders.equals(made(**otherwise))


def test_the_table_holds_only_what_a_shop_knows(orders):
    timestamp = "datetime64[us, UTC]"
    numbers = orders[["order_timestamp", "amount", "chargeback_timestamp"]]
    assert [str(dtype) for dtype in numbers.dtypes] == [timestamp, "float64", timestamp]
    assert list(orders) == ["order_id", "order_timestamp", "user_id", "merchant_id", "amount", "chargeback_timestamp"]
    for column, form in {"order_id": r"o\d{8}", "user_id": r"u\d{5}", "merchant_id": r"m\d{5}"}.items():
        assert orders[column].str.fullmatch(form).all()
    assert orders.drop(columns="chargeback_timestamp").notna().all(axis=None)


def test_ids_are_unique_and_follow_the_time(orders):
    assert orders["order_id"].is_unique
    assert orders["order_id"].is_monotonic_increasing
    assert orders["order_timestamp"].is_monotonic_increasing


def test_ids_stay_unique_with_more_than_a_hundred_thousand_users():
    users = made(users=110_000, merchants=10, order_days=1)["user_id"]
    assert 0.05 < (users.str.len() == len("u100000")).mean() < 0.15


def test_orders_fill_the_days_before_the_midnight_of_now(orders):
    assert orders["order_timestamp"].max() < MIDNIGHT
    assert orders["order_timestamp"].min() >= MIDNIGHT - timedelta(days=90)
    assert orders["order_timestamp"].dt.normalize().nunique() == 90


def test_number_and_amounts_of_orders_are_those_of_the_handbook(orders):
    assert 1.75 < len(orders) / 500 / 90 < 2.1
    fine = orders[orders["chargeback_timestamp"].isna()]
    assert 48 < fine["amount"].mean() < 58
    assert fine["amount"].ge(0).all()
    assert (orders["amount"] * 100 - (orders["amount"] * 100).round()).abs().max() < 1e-6
    assert 11.5 < orders["order_timestamp"].dt.hour.add(0.5).mean() < 12.5


def test_every_amount_over_220_is_charged_back(orders):
    large = settled(orders)["amount"] > 220
    assert large.sum() > 20
    assert settled(orders).loc[large, "chargeback_timestamp"].notna().all()


def test_a_chargeback_comes_after_a_day_and_within_six(orders):
    after = (orders["chargeback_timestamp"] - orders["order_timestamp"]).dropna()
    assert after.min() > timedelta(days=1)
    assert after.max() <= LATEST_CHARGEBACK
    assert timedelta(days=3.2) < after.mean() < timedelta(days=3.8)


def test_a_chargeback_after_now_is_not_known():
    orders = made(users=5000, merchants=10_000, order_days=10)
    assert orders["chargeback_timestamp"].max() < NOW
    later = made(users=5000, merchants=10_000, order_days=10, now=MIDNIGHT + timedelta(hours=23, minutes=59))
    known, known_later = (frame["chargeback_timestamp"].notna() for frame in (orders, later))
    assert (known & ~known_later).sum() == 0 < (known_later & ~known).sum()
    last_day = orders["order_timestamp"] >= NOW - timedelta(days=1)
    assert (orders.loc[last_day, "amount"] > 220).any()
    assert orders.loc[last_day, "chargeback_timestamp"].isna().all()


def sieges(orders):
    """Runs of ten or more orders in a row at one merchant, all charged back: merchant, first, last, count."""
    rows = settled(orders).sort_values(["merchant_id", "order_timestamp"])
    is_bad = rows["chargeback_timestamp"].notna()
    run = ((is_bad != is_bad.shift()) | (rows["merchant_id"] != rows["merchant_id"].shift())).cumsum()
    runs = rows[is_bad].groupby(run[is_bad])
    all_runs = runs.agg(
        merchant=("merchant_id", "first"),
        first=("order_timestamp", "min"),
        last=("order_timestamp", "max"),
        count=("order_id", "size"),
    )
    return all_runs[all_runs["count"] >= 10]


def test_a_compromised_merchant_has_every_order_of_28_days_charged_back(orders):
    runs = sieges(orders)
    drawn = 90 * 2 * 1000 / 10_000
    assert 0.6 * drawn < len(runs) <= drawn
    lasted = (runs["last"] - runs["first"])[runs["last"] < MIDNIGHT - timedelta(days=10)]
    assert lasted.max() < timedelta(days=29)
    assert lasted.median() > timedelta(days=24)


def test_a_compromised_user_spends_five_times_as_much():
    """It looks at merchants that are never compromised, and users who spend little: nothing else explains a fraud."""
    orders = made(users=2000, merchants=1000, order_days=90)
    is_bad = orders["chargeback_timestamp"].notna()
    usual = orders["user_id"].map(orders[~is_bad].groupby("user_id")["amount"].mean())
    at_few = is_bad.groupby(orders["merchant_id"]).transform("mean") < 0.03
    times = (orders["amount"] / usual)[is_bad & at_few & (usual < 25)]
    assert len(times) > 50
    assert 4 < times.median() < 6


@pytest.mark.parametrize(
    ("users", "merchants", "order_days"), [(300, 600, 90), (500, 1000, 60), (1000, 2000, 90), (2000, 1000, 60)]
)
def test_the_share_of_fraud_is_the_same_at_every_size(users, merchants, order_days):
    sizes = {"users": users, "merchants": merchants, "order_days": order_days}
    assert all(0.004 < share(made(seed, **sizes)) < 0.016 for seed in range(3))


@pytest.mark.parametrize("merchants", [500, 1000, 10_000])
def test_a_user_finds_as_many_merchants_at_every_size(merchants):
    of_user = made(merchants=merchants).groupby("user_id")["merchant_id"].agg(["size", "nunique"])
    assert 55 < of_user.loc[of_user["size"] > 200, "nunique"].mean() < 85


def test_the_smallest_world_can_be_made():
    assert {len(made(seed, users=10, merchants=10, order_days=1)) > 0 for seed in range(5)} == {True}
