"""What simulators share when they make live events: when each happens, its id, and its form."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.utc import as_utc


def paced(rng: np.random.Generator, begin: datetime, count: int, per_second: float) -> pd.DatetimeIndex:
    """Moments from `begin` on, so many a second on average, each gap half to one and a half times the usual one."""
    gaps = rng.uniform(0.5, 1.5, count) / per_second
    return after(begin, np.cumsum(gaps) - gaps[:1])


def after(begin: datetime, seconds: np.ndarray) -> pd.DatetimeIndex:
    """The moments so many seconds after `begin`, in whole microseconds."""
    since = pd.to_timedelta((seconds * 1_000_000).astype(np.int64), unit="us")
    return pd.to_datetime(as_utc(begin)).as_unit("us") + since.as_unit("us")


def fresh_ids(rng: np.random.Generator, count: int) -> list[str]:
    """Ids that no history has, which counts from 1, and no other generator makes: 128 random bits."""
    drawn = rng.bytes(16 * count).hex()
    return [f"live-{drawn[at : at + 32]}" for at in range(0, len(drawn), 32)]


def as_events(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as dicts ready for JSON: moments as ISO strings with their zone, None for what is missing."""
    moments = {column: frame[column].map(_iso, na_action="ignore") for column in frame.select_dtypes("datetimetz")}
    plain = frame.assign(**moments).astype(object)
    return plain.where(plain.notna(), None).to_dict("records")


def _iso(moment: pd.Timestamp) -> str:
    return moment.isoformat(timespec="microseconds")
