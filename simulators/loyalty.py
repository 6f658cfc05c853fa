"""Purchases, and the loyalty score that each was given.

A customer has a mean value of a purchase (median of all: 45 USD), around which the values lie with a deviation of half
of it, and a loyalty, normal with mean 5.3 and deviation 1.4. The score of a purchase is

    loyalty + 1.2 · ln(mean value / 45) + 0.6 · (value / mean value − 1) + N(0, 0.7)

held to 1 to 10, with one decimal: what can be learned of it is in the customer's scores so far, in the customer's mean
value and in the value of this purchase. A customer buys 10 times on average, some only once or twice.

Drawn at random, and not by time, 70 % of the purchases are the history; the others come later, as live events. So most
of those are older than their customer's newest purchase in the history, as events of many shops are, some of which send
late. About 5 % of the customers come with the live events only.
"""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from features.utc import midnight
from simulators import Size, Tables
from simulators.live import after

DAY = 86400
MEAN_VALUE, MEAN_PURCHASES = 45, 10
HISTORY = 0.7
#: 1.5 % more are new by chance: of their one or two purchases none falls into the history.
NEWCOMERS = 0.035


def events(seed: int, now: datetime, size: Size, hash_key: bytes) -> Tables:
    """The tables `purchases` and `purchases_to_come`, each oldest first: `purchase_id`, `customer_id`,
    `purchase_timestamp`, `purchase_value`, `loyalty_score`. The last purchase is of the day before `now`. The scores of
    those to come are there to judge by."""
    rng = np.random.default_rng([seed, 6])
    made = _purchases(rng, midnight(now) - timedelta(days=size.shop_days), size)
    newcomer = rng.permutation(size.customers) < NEWCOMERS * size.customers
    can_be_known = ~newcomer[made.pop("customer")]
    rank = np.where(can_be_known, rng.random(len(made)), np.inf).argsort().argsort()
    is_known = rank < np.round(HISTORY * len(made))
    return {
        "purchases": made[is_known].reset_index(drop=True),
        "purchases_to_come": made[~is_known].reset_index(drop=True),
    }


def _purchases(rng: np.random.Generator, first_day: datetime, size: Size) -> pd.DataFrame:
    """All of them, oldest first; `customer` is the number of the customer."""
    mean_value = np.exp(rng.normal(np.log(MEAN_VALUE), 0.5, size.customers))
    loyalty = rng.normal(5.3, 1.4, size.customers) + 1.2 * np.log(mean_value / MEAN_VALUE)
    often = 1 + rng.poisson(rng.gamma(2, (MEAN_PURCHASES - 1) / 2, size.customers))
    customer = rng.permutation(np.repeat(np.arange(size.customers), often))
    count = len(customer)
    value = np.maximum(0.5, np.round(rng.gamma(4, mean_value[customer] / 4), 2))
    score = loyalty[customer] + 0.6 * (value / mean_value[customer] - 1) + rng.normal(0, 0.7, count)
    second = (rng.integers(0, size.shop_days, count) + rng.beta(3, 2.5, count)) * DAY
    return pd.DataFrame(
        {
            "purchase_id": [f"p{n:08d}" for n in range(1, count + 1)],
            "customer_id": [f"c{n:05d}" for n in customer],
            "purchase_timestamp": after(first_day, np.sort(second)),
            "purchase_value": value,
            "loyalty_score": np.round(np.clip(score, 1, 10), 1),
            "customer": customer,
        }
    )
