"""The contents of the simulated coupons, transactions and purchases, and their frequencies."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from simulators import Size, catalog, coupon, loyalty

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 31, 13, 37, tzinfo=UTC)
SMALL = Size(coupon_days=40, customers=500, products=60, shop_days=20)


def made(simulator):
    return simulator.events(7, NOW, SMALL, b"")


# Coupons


@pytest.fixture(scope="module")
def attempts():
    rows = coupon.history(7, NOW, SMALL.coupon_days)
    return rows.assign(prefix=rows["coupon_code"].str[:14])


def attacks(attempts):
    return attempts[attempts["is_attack"] == 1].groupby("prefix")


def test_an_attempt_says_who_tried_what_and_where(attempts):
    forms = {
        "msg_id": r"m\d{8}", "msg_type": "REDEEM", "device_id": r"d0\d\d", "location_code": r"L0\d",
        "coupon_code": r"\d{4}-\d{4}-\d{4}-\d{4}", "response": "VALID|INVALID",
    }  # fmt: skip
    assert {
        column: bool(attempts[column].str.fullmatch(form).all()) for column, form in forms.items()
    } == dict.fromkeys(forms, True)
    assert list(attempts) == [*forms, "create_time", "is_attack", "prefix"]
    assert sorted(attempts["is_attack"].unique()) == [0, 1]
    assert attempts["device_id"].nunique() == 100


def test_a_device_stands_at_one_location(attempts):
    assert set(attempts.groupby("device_id")["location_code"].nunique()) == {1}
    assert attempts["location_code"].nunique() == 10


def test_a_day_has_about_1200_normal_attempts_and_one_or_two_attacks(attempts):
    assert 1050 < (attempts["is_attack"] == 0).sum() / 40 < 1350
    assert 40 <= attacks(attempts).ngroups <= 80


def test_an_attack_is_of_one_location_one_prefix_and_one_device_or_two(attempts):
    attempts_of_attacks = attacks(attempts)
    assert set(attempts_of_attacks["location_code"].nunique()) == {1}
    assert set(attempts_of_attacks["device_id"].nunique()) == {1, 2}
    assert (
        attempts_of_attacks.size().between(20, 200).sum() >= attempts_of_attacks.ngroups - 1
    )  # midnight may cut the last attack


def test_an_attack_counts_up_the_last_four_digits(attempts):
    for _, rows in attacks(attempts):
        number = rows.sort_values("create_time")["coupon_code"].str[-4:].astype(int)
        assert set(number.diff().dropna()) == {1}


def test_attacks_are_slow_and_fast(attempts):
    times = attacks(attempts)["create_time"]
    pace = times.size() / (times.max() - times.min()).dt.total_seconds()
    assert 0.04 < pace.min() < 0.1
    assert 3 < pace.max() < 6


def test_most_attempts_of_an_attack_are_invalid_and_few_others(attempts):
    is_invalid = (attempts["response"] == "INVALID").groupby(attempts["is_attack"]).mean()
    assert 0.95 < is_invalid[1] < 1
    assert 0.02 < is_invalid[0] < 0.07


@pytest.fixture(scope="module")
def honest(attempts):
    """The prefixes without an attack: attempts, share of INVALID, locations, and whether the numbers count up."""
    rows = attempts[attempts["is_attack"] == 0]
    rows = rows.assign(is_invalid=rows["response"] == "INVALID", number=rows["coupon_code"].str[-4:].astype(int))
    rows["step"] = rows.groupby("prefix")["number"].diff()
    by_prefix = rows.groupby("prefix").agg(
        many=("number", "size"),
        invalid=("is_invalid", "mean"),
        places=("location_code", "nunique"),
        devices=("device_id", "nunique"),
        smallest_step=("step", "min"),
        largest_step=("step", "max"),
    )
    return by_prefix.assign(is_counted_up=(by_prefix["smallest_step"] == 1) & (by_prefix["largest_step"] == 1))


def test_many_attempts_with_one_prefix_are_often_honest(honest):
    campaigns = honest[honest["many"] >= 20]
    assert 20 < len(campaigns) < 60
    assert campaigns["invalid"].max() < 0.2
    assert set(campaigns["places"]) == {1}
    assert campaigns["devices"].min() > 5


def test_half_of_the_booklets_count_up_and_a_few_are_all_invalid(honest):
    booklets = honest[honest["many"].between(3, 8)]
    assert 1000 < len(booklets) < 2000
    assert set(booklets["devices"]) == {1}
    assert 0.45 < booklets["is_counted_up"].mean() < 0.55
    assert 0.005 < booklets["invalid"].eq(1).mean() < 0.05


# Transactions


@pytest.fixture(scope="module")
def transactions():
    return made(catalog)["transactions"]


def test_a_transaction_says_who_bought_what(transactions):
    assert {c: str(transactions[c].dtype) for c in ("price", "quantity", "review_rating")} == {
        "price": "float64", "quantity": "int64", "review_rating": "float64"
    }  # fmt: skip
    assert transactions.drop(columns=["review_rating", "review_text"]).notna().all(axis=None)
    assert transactions["price"].gt(0).all()
    assert transactions["quantity"].min() == 1 < transactions["quantity"].max()
    assert 350 < len(transactions) / 20 < 450
    assert transactions["customer_id"].nunique() <= 500


def test_a_product_has_one_of_twelve_categories_for_good(transactions):
    live = pd.DataFrame(catalog.transactions(np.random.default_rng(1), NOW, 2000, 10, SMALL))
    rows = pd.concat([transactions, live])
    assert set(rows.groupby("product_id")["category"].nunique()) == {1}
    assert (rows["product_id"].nunique(), rows["category"].nunique()) == (60, 12)


def test_live_transactions_are_like_those_of_the_history(transactions):
    """The same products sell best and have the best ratings."""
    live = pd.DataFrame(catalog.transactions(np.random.default_rng(1), NOW, 8000, 10, SMALL))
    assert list(live) == list(transactions)
    live_ratings, past_ratings = (
        rows.astype({"review_rating": float}).groupby("product_id") for rows in (live, transactions)
    )
    assert live_ratings.size().corr(past_ratings.size()) > 0.95
    assert live_ratings["review_rating"].mean().corr(past_ratings["review_rating"].mean()) > 0.7


def test_a_tenth_of_the_products_make_half_of_the_sales(transactions):
    sold = transactions["product_id"].value_counts()
    assert 0.4 < sold.head(6).sum() / sold.sum() < 0.65


def test_a_rating_is_of_one_to_five_and_missing_in_two_of_five(transactions):
    assert set(transactions["review_rating"].dropna()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert 0.37 < transactions["review_rating"].isna().mean() < 0.43
    assert transactions.loc[transactions["review_rating"].isna(), "review_text"].isna().all()
    assert 0.45 < transactions.loc[transactions["review_rating"].notna(), "review_text"].notna().mean() < 0.55


def test_products_differ_in_how_they_are_rated(transactions):
    of_product = transactions.groupby("product_id")["review_rating"].agg(["mean", "count"])
    assert of_product.loc[of_product["count"] >= 30, "mean"].std() > 0.3


# Loyalty


@pytest.fixture(scope="module")
def world():
    return made(loyalty)


@pytest.fixture(scope="module")
def purchases(world):
    """All purchases, oldest first. `is_known` marks those of the history."""
    known, to_come = world["purchases"].assign(is_known=True), world["purchases_to_come"].assign(is_known=False)
    return pd.concat([known, to_come]).sort_values("purchase_timestamp", ignore_index=True)


def test_a_purchase_has_a_value_and_a_score_of_one_to_ten_with_one_decimal(purchases):
    assert purchases.notna().all(axis=None)
    assert purchases["purchase_value"].gt(0).all()
    assert purchases["loyalty_score"].between(1, 10).all()
    assert (purchases["loyalty_score"] * 10 - (purchases["loyalty_score"] * 10).round()).abs().max() < 1e-9


def test_a_customer_buys_ten_times_on_average_and_some_once_or_twice(purchases):
    often = purchases.groupby("customer_id").size()
    assert len(often) == 500
    assert 9 < often.mean() < 11
    assert 0.03 < often.le(2).mean() < 0.15


def test_seven_tenths_of_the_purchases_are_history_at_any_time(purchases):
    assert purchases["is_known"].mean() == pytest.approx(0.7, abs=0.0005)
    by_fifth = purchases["is_known"].groupby(purchases.index * 5 // len(purchases)).mean()
    assert by_fifth.between(0.65, 0.75).all()


def test_most_live_purchases_are_older_than_the_newest_in_the_history(world):
    newest = world["purchases"].groupby("customer_id")["purchase_timestamp"].max()
    to_come = world["purchases_to_come"]
    is_older = to_come["purchase_timestamp"] < to_come["customer_id"].map(newest)
    assert is_older.mean() > 0.6


def test_about_one_customer_in_twenty_has_live_purchases_only(purchases):
    is_new = ~purchases.groupby("customer_id")["is_known"].any()
    assert 0.03 <= is_new.mean() <= 0.07


def so_far(purchases, column):
    """The mean of the customer's known purchases before this one."""
    known = purchases[column].where(purchases["is_known"]).groupby(purchases["customer_id"])
    return known.transform(lambda values: values.expanding().mean().shift())


def test_the_scores_to_come_can_be_learned_from_the_history(purchases):
    means = {f"mean_{c}": so_far(purchases, c) for c in ("purchase_value", "loyalty_score")}
    rows = purchases.assign(**means, one=1.0).dropna()
    known, to_come = rows[rows["is_known"]], rows[~rows["is_known"]]
    inputs = ["one", "purchase_value", *means]
    weights, *_ = np.linalg.lstsq(known[inputs], known["loyalty_score"], rcond=None)
    missed = ((to_come["loyalty_score"] - to_come[inputs] @ weights) ** 2).mean()
    assert 1 - missed / to_come["loyalty_score"].var(ddof=0) > 0.6
    assert weights[1] > 0
