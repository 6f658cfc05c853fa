"""What the simulators of live events share: the timestamps, the ids and the JSON form of events."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.utc import as_utc


def paced(rng: np.random.Generator, begin: datetime, count: int, per_second: float) -> pd.DatetimeIndex:
    """`count` timestamps from `begin` on, `per_second` on average. Each gap is 0.5 to 1.5 times the mean gap."""
    gaps = rng.uniform(0.5, 1.5, count) / per_second
    return after(begin, np.cumsum(gaps) - gaps[:1])


def after(begin: datetime, seconds: np.ndarray) -> pd.DatetimeIndex:
    """The timestamps `seconds` after `begin`, in whole microseconds."""
    offsets = pd.to_timedelta((seconds * 1_000_000).astype(np.int64), unit="us")
    return pd.to_datetime(as_utc(begin)).as_unit("us") + offsets.as_unit("us")


def fresh_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Ids of 128 random bits. No other generator makes them, and the history has ids that count from 1."""
    digits = rng.bytes(16 * count).hex()
    return [f"live-{digits[i : i + 32]}" for i in range(0, len(digits), 32)]


def as_events(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts for JSON: a timestamp is an ISO string with its zone, and a missing value is None."""
    timestamps = {column: frame[column].map(_iso, na_action="ignore") for column in frame.select_dtypes("datetimetz")}
    plain = frame.assign(**timestamps).astype(object)
    return plain.where(plain.notna(), None).to_dict("records")


def _iso(timestamp: pd.Timestamp) -> str:
    return timestamp.isoformat(timespec="microseconds")
