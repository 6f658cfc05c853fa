"""Purchases, each with a loyalty score.

A customer has a mean purchase value (45 USD in the median); the values of the purchases have half of it as deviation. A
customer also has a loyalty, normal with mean 5.3 and deviation 1.4. The score of a purchase is

    loyalty + 1.2 · ln(mean value / 45) + 0.6 · (value / mean value − 1) + N(0, 0.7)

limited to 1 to 10, with one decimal. A model can learn it from the customer's earlier scores, the customer's mean value
and the value of this purchase. A customer buys 10 times on average, and some customers only once or twice.

70 % of the purchases are the history, and the others come later as live events. They are drawn at random and not by
time, so most live events are older than the newest purchase of their customer in the history. That happens in real life
when some shops send late. About 5 % of the customers have live events only.
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
#: Another 1.5 % are new by chance: none of their one or two purchases is in the history.
NEWCOMERS = 0.035


def events(seed: int, now: datetime, size: Size, hash_key: bytes) -> Tables:
    """The tables `purchases` and `purchases_to_come`, each oldest first: `purchase_id`, `customer_id`,
    `purchase_timestamp`, `purchase_value`, `loyalty_score`. The newest purchase is of the day before `now`. The scores
    of the purchases to come are there to check predictions."""
    rng = np.random.default_rng([seed, 6])
    purchases = _purchases(rng, midnight(now) - timedelta(days=size.shop_days), size)
    newcomer = rng.permutation(size.customers) < NEWCOMERS * size.customers
    can_be_known = ~newcomer[purchases.pop("customer")]
    rank = np.where(can_be_known, rng.random(len(purchases)), np.inf).argsort().argsort()
    is_known = rank < np.round(HISTORY * len(purchases))
    return {
        "purchases": purchases[is_known].reset_index(drop=True),
        "purchases_to_come": purchases[~is_known].reset_index(drop=True),
    }


def _purchases(rng: np.random.Generator, first_day: datetime, size: Size) -> pd.DataFrame:
    """All purchases, oldest first. `customer` is the number of the customer."""
    mean_value = np.exp(rng.normal(np.log(MEAN_VALUE), 0.5, size.customers))
    loyalty = rng.normal(5.3, 1.4, size.customers) + 1.2 * np.log(mean_value / MEAN_VALUE)
    purchases = 1 + rng.poisson(rng.gamma(2, (MEAN_PURCHASES - 1) / 2, size.customers))
    customer = rng.permutation(np.repeat(np.arange(size.customers), purchases))
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
