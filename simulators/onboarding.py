"""Drivers who sign up, drive and have incidents.

This hidden process makes the outcomes. A model can find this much, and no more:

* An application is fraudulent with probability
  sigmoid(−3.6 + 4.7·SSN reused + 3.5·licence reused + 4.4·under age + N(0, 0.4)). An SSN or a licence is reused if an
  earlier driver signed up with it. The state has no effect.
* A driver is plausible (82 %), idle (6 %: under 10 trips), refusing (6 %: accepts under 1 %) or inflating
  (6 %: converts over 80 %), and behaves like that on 3 days of 4. A driver-day ends in an incident with probability
  sigmoid(−2.7 + 2.8·[trips < 10] + 1.6·[acc < 0.01] + 4.2·[conv > 0.80] − 4.0·(acc − 0.5) − 0.03·(trips − 40)
  + N(0, 0.3)), all of the day before. 7 % of the days are off, and the day after has no statistics of the day before.

The tables hold no SSN and no licence number, only their keyed hashes.
"""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from features.identifiers import keyed_hash
from features.utc import midnight
from simulators import Size, Tables

#: Tables that are folders → the files that the service adds there: a driver who signs up. Nobody adds to the others.
FOLDERS = {"drivers": "signed-up-*.parquet", "applications": "", "driver_hourly_stats": "", "driver_days": ""}

FIRST_DRIVER_ID = 1001
SIGN_UP_DAYS = 180
HISTORY_DAYS = 14
DRIVER_DAYS_PER_DAY = 2000
OUR_STATES = "CA TX NY FL IL PA OH GA NC NJ VA WA AZ MA CO OR NV".split()
OTHER_STATES = "MI TN IN MO MD WI MN SC AL LA".split()


def events(seed: int, now: datetime, size: Size, hash_key: bytes) -> Tables:
    """The tables `drivers`, `applications` with outcomes, `driver_hourly_stats`, and `driver_days` with outcomes.

    Every row has `event_timestamp` (when it happened) and `created` (when it became known), UTC.
    """
    rng = np.random.default_rng([seed, 1])
    people = _drivers(rng, now, size.drivers, hash_key)
    hourly = _hourly_statistics(rng, now, people)
    secret = ["is_ssn_reused", "is_dl_reused"]
    return {
        "drivers": people.drop(columns=secret),
        "applications": _applications(rng, now, people),
        "driver_hourly_stats": hourly,
        "driver_days": _driver_days(rng, now, people, hourly),
    }


def _drivers(rng: np.random.Generator, now: datetime, count: int, hash_key: bytes) -> pd.DataFrame:
    seconds = np.sort(rng.integers(0, SIGN_UP_DAYS * 86400, count))
    signed_up = pd.to_datetime(now - timedelta(days=SIGN_UP_DAYS)) + pd.to_timedelta(seconds, unit="s")
    is_ssn_reused = rng.random(count) < np.where(np.arange(count) < 20, 0, 0.07)
    is_dl_reused = rng.random(count) < np.where(np.arange(count) < 20, 0, np.where(is_ssn_reused, 0.35, 0.05))
    ssn = [f"{a:03d}{b:02d}{c:04d}" for a, b, c in _unique_parts(rng, count)]
    dl = [f"{chr(65 + i % 26)}{n:07d}" for i, n in enumerate(rng.permutation(10_000_000)[:count])]
    earlier = (rng.random(count) * np.arange(count)).astype(int)
    for i in range(count):
        ssn[i] = ssn[earlier[i]] if is_ssn_reused[i] else ssn[i]
        dl[i] = dl[earlier[i]] if is_dl_reused[i] else dl[i]
    is_minor = rng.random(count) < 0.05
    age_days = np.where(is_minor, rng.integers(15 * 366, 18 * 365, count), rng.integers(18 * 366, 70 * 365, count))
    elsewhere = rng.random(count) < 0.04
    return pd.DataFrame(
        {
            "driver_id": np.arange(FIRST_DRIVER_ID, FIRST_DRIVER_ID + count),
            "ssn": [keyed_hash("ssn", number, hash_key) for number in ssn],
            "dl": [keyed_hash("dl", number, hash_key) for number in dl],
            "state": np.where(elsewhere, rng.choice(OTHER_STATES, count), rng.choice(OUR_STATES, count)),
            "dob": (signed_up - pd.to_timedelta(age_days, unit="D")).normalize(),
            "event_timestamp": signed_up,
            "created": signed_up,
            "is_ssn_reused": is_ssn_reused,
            "is_dl_reused": is_dl_reused,
        }
    )


def _unique_parts(rng: np.random.Generator, count: int) -> np.ndarray:
    """The parts of distinct SSNs: area 1–665, group 1–99, serial 1–9999. Shape (count, 3)."""
    numbers = rng.choice(665 * 99 * 9999, count, replace=False)
    return np.stack([numbers // (99 * 9999) + 1, numbers // 9999 % 99 + 1, numbers % 9999 + 1], axis=1)


def _happens(rng: np.random.Generator, log_odds: np.ndarray, noise: float) -> np.ndarray:
    probability = 1 / (1 + np.exp(-(log_odds + rng.normal(0, noise, len(log_odds)))))
    return (rng.random(len(log_odds)) < probability).astype(np.int64)


def _applications(rng: np.random.Generator, now: datetime, people: pd.DataFrame) -> pd.DataFrame:
    """Applications with outcomes, which become known after two weeks. Later applications are left out."""
    is_minor = people["dob"] + pd.DateOffset(years=18) > people["event_timestamp"].dt.normalize()
    log_odds = -3.6 + 4.7 * people["is_ssn_reused"] + 3.5 * people["is_dl_reused"] + 4.4 * is_minor
    known = people[["driver_id", "ssn", "dl", "state", "dob", "event_timestamp"]].copy()
    known = known.rename(columns={"driver_id": "applicant_driver_id"})
    known["is_fraud"] = _happens(rng, log_odds.to_numpy(float), 0.4)
    known["created"] = known["event_timestamp"] + timedelta(days=14)
    return known[known["created"] <= now]


def _hourly_statistics(rng: np.random.Generator, now: datetime, people: pd.DataFrame) -> pd.DataFrame:
    """Statistics of about 8 hours a day, for every driver from sign-up on, for the last days before `now`."""
    kind = rng.choice(4, len(people), p=[0.82, 0.06, 0.06, 0.06])
    trips, acc, conv = (
        rng.gamma(9, 4.5, len(people)) + 8, rng.beta(8, 4, len(people)), rng.beta(6, 8, len(people)) * 0.95,
    )  # fmt: skip
    days, signed_up = [], pd.DatetimeIndex(people["event_timestamp"])
    for day in (midnight(now) - timedelta(days=n) for n in range(HISTORY_DAYS + 1, -1, -1)):
        works = rng.random(len(people)) < 0.93
        acts = rng.random(len(people)) < 0.75
        who, hour = np.nonzero((rng.random((len(people), 24)) < 1 / 3) & works[:, None])
        when = pd.to_datetime(day) + pd.to_timedelta(hour * 3600, unit="s")
        n, odd = len(who), kind[who] * acts[who]
        frame = {
            "driver_id": people["driver_id"].to_numpy()[who],
            "conv_rate": np.where(
                odd == 3, rng.uniform(0.82, 0.99, n), np.clip(conv[who] + rng.normal(0, 0.04, n), 0, 0.79)
            ),
            "acc_rate": np.where(
                odd == 2, rng.uniform(0, 0.009, n), np.clip(acc[who] + rng.normal(0, 0.05, n), 0.02, 1)
            ),
            "avg_daily_trips": np.where(odd == 1, rng.integers(1, 9, n), rng.poisson(trips[who]) + 1),
            "event_timestamp": when,
            "created": when + timedelta(minutes=2),
        }
        days.append(pd.DataFrame(frame).loc[(when >= signed_up[who]) & (when + timedelta(minutes=2) <= now)])
    return pd.concat(days).round({"conv_rate": 4, "acc_rate": 4}).astype({"avg_daily_trips": np.int64})


def _driver_days(rng: np.random.Generator, now: datetime, people: pd.DataFrame, hourly: pd.DataFrame) -> pd.DataFrame:
    """Whether a day ended in an incident, for some drivers of each day. It becomes known the day after."""
    rates = ["conv_rate", "acc_rate", "avg_daily_trips"]
    means = hourly.groupby(["driver_id", hourly["event_timestamp"].dt.normalize() + timedelta(days=1)])[rates].mean()
    days = []
    for day in sorted(hourly["event_timestamp"].dt.normalize().unique())[1:]:
        signed_up = people.loc[people["event_timestamp"] < day, "driver_id"].to_numpy()
        who = np.sort(rng.choice(signed_up, min(DRIVER_DAYS_PER_DAY, len(signed_up)), replace=False))
        yesterday = means.reindex(pd.MultiIndex.from_arrays([who, [day] * len(who)]))
        conv, acc, trips = (yesterday[rate].to_numpy() for rate in rates)
        log_odds = -2.7 + 2.8 * (trips < 10) + 1.6 * (acc < 0.01) + 4.2 * (conv > 0.80)
        log_odds += np.nan_to_num(-4.0 * (acc - 0.5) - 0.03 * (trips - 40), nan=-0.5)
        when = day + pd.to_timedelta(rng.integers(5 * 3600, 11 * 3600, len(who)), unit="s")
        incident = _happens(rng, log_odds, 0.3)
        days.append(pd.DataFrame({"driver_id": who, "event_timestamp": when, "had_incident": incident}))
    known = pd.concat(days)
    known["created"] = known["event_timestamp"] + timedelta(days=1)
    return known[known["created"] <= now]
