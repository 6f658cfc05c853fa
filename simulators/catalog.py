"""The transactions of a shop, and the ratings of its customers.

The shop is the same for every seed, so live transactions belong to the shop of the history. A product has one of 12
categories, a price, a mean rating (about 3.8) and a sales rank: the product of rank n sells in proportion to 1 / n.
Customers buy about 400 times a day, some of them far more often than others. They pay the list price or up to 20 %
less.

Three transactions in five have a rating: whole stars around the product's mean, with a deviation of 0.8. Half of the
rated transactions also have a text that fits the stars.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.utc import midnight
from simulators import Size, Tables
from simulators.live import after, as_events, fresh_ids, paced

DAY = 86400
TRANSACTIONS_A_DAY = 400
CATEGORIES = "books clothing electronics food furniture garden health music office sports tools toys".split()
RATED, DESCRIBED = 0.6, 0.5
OPINIONS = {
    1: ("Broke on the first day.", "Not as shown. I sent it back.", "A waste of money."),
    2: ("Feels cheap.", "Came late and scratched.", "I expected more for the price."),
    3: ("It does what it should.", "All right for the price.", "Neither good nor bad."),
    4: ("Good quality.", "Works well, came on time.", "I would buy it again."),
    5: ("Excellent, better than I hoped.", "Perfect. I have told my friends.", "The best I ever had."),
}
FULL = Size()


@dataclass(frozen=True)
class Shop:
    """One array for each trait. The shares of all products sum to 1, and so do those of all customers."""

    price: np.ndarray
    mean_rating: np.ndarray
    share_of_product: np.ndarray
    share_of_customer: np.ndarray


def events(seed: int, now: datetime, size: Size, hash_key: bytes) -> Tables:
    """The table `transactions`, oldest first: `transaction_id`, `customer_id`, `product_id`, `category`, `price`,
    `quantity`, `transaction_date`, `review_rating` and `review_text`. The last two are null without a rating. The
    newest transaction is of the day before `now`."""
    rng = np.random.default_rng([seed, 5])
    count = rng.poisson(TRANSACTIONS_A_DAY * size.shop_days)
    second = (rng.integers(0, size.shop_days, count) + rng.beta(3, 2.5, count)) * DAY
    timestamps = after(midnight(now) - timedelta(days=size.shop_days), np.sort(second))
    rows = _transactions(rng, _shop(size), timestamps)
    rows.insert(0, "transaction_id", [f"t{n:08d}" for n in range(1, count + 1)])
    return {"transactions": rows}


def transactions(
    rng: np.random.Generator, begin: datetime, count: int, per_second: float, size: Size = FULL
) -> list[dict[str, Any]]:
    """Live events in the shop of this size, the same shop as in the history."""
    rows = _transactions(rng, _shop(size), paced(rng, begin, count, per_second))
    rows.insert(0, "transaction_id", fresh_ids(rng, count))
    return as_events(rows)


def _shop(size: Size) -> Shop:
    rng = np.random.default_rng(5)
    sells = 1 / (1 + rng.permutation(size.products))
    buys = rng.gamma(2, size=size.customers)
    return Shop(
        price=np.exp(rng.normal(np.log(30), 0.8, size.products)),
        mean_rating=np.clip(rng.normal(3.8, 0.6, size.products), 1.5, 4.9),
        share_of_product=sells / sells.sum(),
        share_of_customer=buys / buys.sum(),
    )


def _transactions(rng: np.random.Generator, shop: Shop, timestamps: pd.DatetimeIndex) -> pd.DataFrame:
    count = len(timestamps)
    product = rng.choice(len(shop.price), count, p=shop.share_of_product)
    customer = rng.choice(len(shop.share_of_customer), count, p=shop.share_of_customer)
    stars = np.clip(np.round(rng.normal(shop.mean_rating[product], 0.8)), 1, 5)
    is_rated = rng.random(count) < RATED
    has_text = is_rated & (rng.random(count) < DESCRIBED)
    opinions = np.array([OPINIONS[n] for n in range(1, 6)], object)
    text = opinions[stars.astype(int) - 1, rng.integers(0, opinions.shape[1], count)]
    return pd.DataFrame(
        {
            "customer_id": [f"c{n:05d}" for n in customer],
            "product_id": [f"p{n:04d}" for n in product],
            # By the product's number, so that even the smallest shop has every category.
            "category": np.array(CATEGORIES, object)[product % len(CATEGORIES)],
            "price": np.maximum(0.01, np.round(shop.price[product] * rng.uniform(0.8, 1, count), 2)),
            "quantity": 1 + rng.poisson(0.4, count),
            "transaction_date": timestamps,
            "review_rating": np.where(is_rated, stars, np.nan),
            "review_text": np.where(has_text, text, None),
        }
    )
