"""Orders at merchants. A few of them are fraud, and are charged back some days later.

The design is the transaction simulator of the Fraud Detection Handbook, on whole arrays. Users and merchants have
places in a square of 100 × 100. A user has a mean amount (uniform, 5 to 100, with half of it as deviation) and a mean
number of orders a day (uniform, 0 to 4). Users buy at the merchants within reach, mostly around noon. An order is fraud
if

1. its amount is more than 220,
2. or its merchant is compromised: two more merchants every day, for 28 days each,
3. or its user is compromised, for a third of the orders, and these amounts are five times as large: three more users
   every day, for 14 days each.

A fraud is charged back after one to six days. With fewer users and merchants there are fewer orders a day. Reach and
the number of compromised users and merchants change with them, so that a user still reaches as many merchants and the
share of fraud stays the same. The tables do not say who is compromised, or why an order is fraud.
"""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from features.utc import midnight
from simulators import Size, Tables

DAY = 86400
SIDE, REACH, FULL = 100, 5, Size()
LARGE_AMOUNT, COMPROMISED_AMOUNT = 220, 5
MERCHANTS_A_DAY, MERCHANT_DAYS = 2, 28
USERS_A_DAY, USER_DAYS = 3, 14


def events(seed: int, now: datetime, size: Size, hash_key: bytes) -> Tables:
    """The table `orders`, oldest first: `order_id`, `order_timestamp`, `user_id`, `merchant_id`, `amount`, and
    `chargeback_timestamp`, null if there is none by `now`. The newest order is of the day before `now`."""
    rng = np.random.default_rng([seed, 3])
    first_day = midnight(now) - timedelta(days=size.order_days)
    user, second, amount, merchant = _orders(rng, size)
    is_fraud = amount > LARGE_AMOUNT
    is_fraud |= _at_compromised(
        rng,
        merchant,
        second,
        size.merchants,
        _scaled(MERCHANTS_A_DAY, size.merchants, FULL.merchants),
        MERCHANT_DAYS,
        size,
    )
    by_compromised = _at_compromised(
        rng, user, second, size.users, _scaled(USERS_A_DAY, size.users, FULL.users), USER_DAYS, size
    )
    taken_over = by_compromised & (rng.random(len(user)) < 1 / 3)
    amount = np.where(taken_over, np.round(amount * COMPROMISED_AMOUNT, 2), amount)
    is_fraud |= taken_over
    ordered = pd.to_datetime(first_day).as_unit("us") + pd.to_timedelta(second, unit="s").as_unit("us")
    charged_back = ordered + pd.to_timedelta(rng.integers(DAY + 1, 6 * DAY + 1, len(user)), unit="s").as_unit("us")
    known = is_fraud & (charged_back < now)
    return {
        "orders": pd.DataFrame(
            {
                "order_id": _names("o", np.arange(1, len(user) + 1), 8),
                "order_timestamp": ordered,
                "user_id": _names("u", np.arange(size.users), 5)[user],
                "merchant_id": _names("m", np.arange(size.merchants), 5)[merchant],
                "amount": amount,
                "chargeback_timestamp": pd.Series(charged_back).where(known),
            }
        )
    }


def _orders(rng: np.random.Generator, size: Size) -> tuple[np.ndarray, ...]:
    """The orders, oldest first, as arrays: user, seconds since the first day, amount, merchant."""
    at_merchant, of_merchant = _within_reach(rng, size)
    mean_amount, mean_orders = rng.uniform(5, 100, size.users), rng.uniform(0, 4, size.users)
    orders_a_day = rng.poisson(np.where(np.diff(at_merchant), mean_orders, 0), (size.order_days, size.users))
    day, user = (np.repeat(axis.ravel(), orders_a_day.ravel()) for axis in np.indices(orders_a_day.shape))
    time_of_day = rng.normal(DAY / 2, 20_000, len(user))
    happens = (time_of_day > 0) & (time_of_day < DAY)
    day, user, time_of_day = day[happens], user[happens], time_of_day[happens]
    amount = rng.normal(mean_amount[user], mean_amount[user] / 2)
    amount = np.where(amount < 0, rng.uniform(0, 2 * mean_amount[user]), amount).round(2)
    choice = at_merchant[user] + (rng.random(len(user)) * np.diff(at_merchant)[user]).astype(int)
    second = day * DAY + time_of_day.astype(int)
    oldest_first = np.argsort(second, kind="stable")
    return user[oldest_first], second[oldest_first], amount[oldest_first], of_merchant[choice[oldest_first]]


def _within_reach(rng: np.random.Generator, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Two arrays, `at` and `merchants`: user u buys at `merchants[at[u]:at[u + 1]]`."""
    users, merchants = rng.uniform(0, SIDE, (size.users, 2)), rng.uniform(0, SIDE, (size.merchants, 2))
    reach = REACH * np.sqrt(FULL.merchants / size.merchants)
    by_user = KDTree(merchants).query_ball_point(users, reach, return_sorted=True)
    at = np.concatenate([[0], np.cumsum([len(near) for near in by_user])])
    return at, np.concatenate([np.array(near, int) for near in by_user])


def _scaled(per_day: int, count: int, full: int) -> float:
    """How many a day are compromised, on average. A small world has days without any."""
    return per_day * count / full


def _at_compromised(
    rng: np.random.Generator, party: np.ndarray, second: np.ndarray, count: int, per_day: float, days: int, size: Size
) -> np.ndarray:
    """Whether the party of each order is compromised. `per_day` of the `count` parties are drawn every day, and are
    compromised for `days` days from then on."""
    drawn = np.diff(np.floor(np.arange(size.order_days + 1) * per_day + 0.5)).astype(int)
    first_days = np.repeat(np.arange(size.order_days), drawn)
    compromised = np.zeros((size.order_days + days, count), bool)
    for day, victim in zip(first_days, rng.integers(0, count, len(first_days)), strict=True):
        compromised[day : day + days, victim] = True
    return compromised[second // DAY, party]


def _names(letter: str, numbers: np.ndarray, digits: int) -> np.ndarray:
    """Names such as `u00042`. A number with more digits keeps all of them."""
    longest = max(digits, len(str(len(numbers))))
    return np.char.add(letter, np.char.zfill(numbers.astype(f"U{longest}"), digits)).astype(object)
