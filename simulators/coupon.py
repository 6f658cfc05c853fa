"""Attempts to redeem coupons. Sometimes somebody guesses coupon numbers.

There are ten locations with ten devices each. A coupon is `dddd-dddd-dddd-dddd`. Coupons that were printed together
share the first 14 characters, the prefix. People redeem

* one coupon (about 900 times a day),
* a booklet of 3 to 8 coupons with one prefix, at one device (about 40 a day; half of them have consecutive numbers),
* a campaign of 40 to 120 coupons with one prefix, at one location within 15 minutes (about one a day).

2 % of the attempts are mistyped, and 2 % of the single coupons and booklets have expired: both are INVALID. So many
attempts with one prefix are no attack by themselves, and neither are a few INVALID attempts in a row.

There are one or two attacks a day. An attack tries 20 to 200 numbers of one prefix at one location and counts up the
last four digits. It uses one device, or in a quarter of the attacks two, and makes one attempt every 20 seconds to five
attempts a second. 2 % of its guesses are VALID.
"""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.identifiers import sealed
from features.utc import midnight
from simulators import Size, Tables
from simulators.live import after, as_events, fresh_ids, paced

DAY = 86400
LOCATIONS, DEVICES_EACH = 10, 10
SINGLES_A_DAY, BOOKLETS_A_DAY, CAMPAIGNS_A_DAY = 900, 40, 1
BOOKLET, CAMPAIGN, CAMPAIGN_SECONDS = (3, 8), (40, 120), 900
MISTYPED, EXPIRED, GUESSED = 0.02, 0.02, 0.02
#: An attack counts up so many digits at the end of a code.
GUESSED_DIGITS = 4
ATTACKS_A_DAY, ATTACK, SLOWEST, FASTEST = (1, 2), (20, 200), 1 / 20, 5


def events(seed: int, now: datetime, size: Size, hash_key: bytes) -> Tables:
    """The table `coupon_attempts` of `history`. It is written to a file, so its codes are sealed."""
    rows = history(seed, now, size.coupon_days)
    codes = [sealed("coupon_code", code, GUESSED_DIGITS, hash_key) for code in rows["coupon_code"]]
    return {"coupon_attempts": rows.assign(coupon_code=codes)}


def history(seed: int, now: datetime, days: int) -> pd.DataFrame:
    """Attempts, oldest first: `msg_id`, `msg_type`, `device_id`, `location_code`, `coupon_code`, `response`,
    `create_time`, and `is_attack`, the truth. The newest attempt is of the day before `now`."""
    rng = np.random.default_rng([seed, 4])
    first_day = midnight(now) - timedelta(days=days)
    rows = pd.concat([_normal(rng, first_day, days), *_attacks(rng, first_day, days)])
    rows = rows[rows["create_time"] < midnight(now)].sort_values("create_time", kind="stable", ignore_index=True)
    rows.insert(0, "msg_id", [f"m{n:08d}" for n in range(1, len(rows) + 1)])
    return rows


def attack(rng: np.random.Generator, begin: datetime, attempts: int, per_second: float) -> list[dict[str, Any]]:
    """Live events of one attack with at most 10,000 attempts: one location, one prefix, numbers that count up."""
    return _live(rng, _attack(rng, begin, attempts, per_second))


def normal(rng: np.random.Generator, begin: datetime, attempts: int, per_second: float) -> list[dict[str, Any]]:
    """Live events of people who redeem coupons: single coupons, booklets and campaigns in the order of a normal day, at
    the pace of `per_second`."""
    days = 2 + attempts // SINGLES_A_DAY  # enough, because a day has more attempts than single coupons
    usual = _normal(rng, begin, days).sort_values("create_time", kind="stable").head(attempts)
    return _live(rng, usual.assign(create_time=paced(rng, begin, attempts, per_second)))


def _live(rng: np.random.Generator, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """Live events have ids of their own, and do not say whether they are an attack."""
    events = rows.drop(columns="is_attack")
    events.insert(0, "msg_id", fresh_ids(rng, len(rows)))
    return as_events(events)


def _normal(rng: np.random.Generator, first_day: datetime, days: int) -> pd.DataFrame:
    """The attempts of all visits. A visit is one person with one coupon or a booklet, or all people of a campaign."""
    per_day = [SINGLES_A_DAY, BOOKLETS_A_DAY, CAMPAIGNS_A_DAY]
    kind = np.repeat([0, 1, 2], rng.poisson(np.multiply(per_day, days)))
    lowest, highest = np.array([(1, 1), BOOKLET, CAMPAIGN]).T
    coupons = rng.integers(lowest[kind], highest[kind], endpoint=True)
    begins = rng.integers(0, days, len(kind)) * DAY + rng.beta(3, 2.5, len(kind)) * DAY
    visit = np.repeat(np.arange(len(kind)), coupons)
    nth = np.arange(len(visit)) - np.repeat(np.cumsum(coupons) - coupons, coupons)
    is_campaign, is_numbered = kind[visit] == 2, (rng.random(len(kind)) < 0.5)[visit] & (kind[visit] == 1)
    pause = rng.uniform(4, 20, len(kind))[visit]
    second = begins[visit] + np.where(is_campaign, rng.uniform(0, CAMPAIGN_SECONDS, len(visit)), nth * pause)
    location, device = rng.integers(0, LOCATIONS, len(kind))[visit], rng.integers(0, DEVICES_EACH, len(kind))[visit]
    device = np.where(is_campaign, rng.integers(0, DEVICES_EACH, len(visit)), device)
    first_number = rng.integers(0, 10_000 - BOOKLET[1], len(kind))[visit]
    number = np.where(is_numbered, first_number + nth, rng.integers(0, 10_000, len(visit)))
    has_expired = ((rng.random(len(kind)) < EXPIRED) & (kind < 2))[visit]
    is_valid = ~has_expired & (rng.random(len(visit)) >= MISTYPED)
    prefix = rng.integers(0, 10**12, len(kind))[visit]
    return _attempts(location, device, prefix, number, is_valid, after(first_day, second), is_attack=0)


def _attacks(rng: np.random.Generator, first_day: datetime, days: int) -> list[pd.DataFrame]:
    """Attacks happen at any hour."""
    day = np.repeat(np.arange(days), rng.integers(*ATTACKS_A_DAY, days, endpoint=True))
    begins = after(first_day, (day + rng.random(len(day))) * DAY)
    attempts = rng.integers(*ATTACK, len(day), endpoint=True)
    per_second = np.exp(rng.uniform(np.log(SLOWEST), np.log(FASTEST), len(day)))
    attacks = zip(begins.to_pydatetime(), attempts, per_second, strict=True)
    return [_attack(rng, begin, count, pace) for begin, count, pace in attacks]


def _attack(rng: np.random.Generator, begin: datetime, attempts: int, per_second: float) -> pd.DataFrame:
    devices = rng.choice(DEVICES_EACH, 1 + (rng.random() < 0.25), replace=False)
    return _attempts(
        np.full(attempts, rng.integers(0, LOCATIONS)),
        rng.choice(devices, attempts),
        np.full(attempts, rng.integers(0, 10**12)),
        rng.integers(0, 10_000 - attempts, endpoint=True) + np.arange(attempts),
        rng.random(attempts) < GUESSED,
        paced(rng, begin, attempts, per_second),
        is_attack=1,
    )


def _attempts(
    location: np.ndarray,
    device: np.ndarray,
    prefix: np.ndarray,
    number: np.ndarray,
    is_valid: np.ndarray,
    timestamps: pd.DatetimeIndex,
    is_attack: int,
) -> pd.DataFrame:
    """`device` counts from 0 at each location. `prefix` is a number of 12 digits, and `number` one of 4."""
    digits = [f"{p:012d}{n:04d}" for p, n in zip(prefix.tolist(), number.tolist(), strict=True)]
    return pd.DataFrame(
        {
            "msg_type": "REDEEM",
            "device_id": [f"d{d:03d}" for d in location * DEVICES_EACH + device],
            "location_code": [f"L{number:02d}" for number in location],
            "coupon_code": ["-".join((d[:4], d[4:8], d[8:12], d[12:])) for d in digits],
            "response": np.where(is_valid, "VALID", "INVALID").astype(object),
            "create_time": timestamps,
            "is_attack": np.full(len(timestamps), is_attack, np.int64),
        }
    )
