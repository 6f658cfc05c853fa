"""The timestamps of a data frame's column, as NumPy has them."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

Timestamps = np.ndarray[Any, Any]
#: What 64 bits of a unit hold, with years to spare.
_RANGES = {"ns": ("1678-01-01", "2262-01-01"), "us": ("-290000-01-01", "290000-01-01")}


def timestamps_of(column: pd.Series) -> Timestamps:
    """The timestamps in UTC, of microseconds or nanoseconds, NaT where there is none. Shape as `column`.

    `column` holds timestamps of any unit, or objects: texts (ISO 8601), datetimes or dates. Each is read by itself. One
    without a zone is in UTC, also next to others with a zone. Raises ValueError for anything else.
    """
    if not pd.api.types.is_datetime64_any_dtype(column):
        return _parsed(column)
    timestamps: Timestamps = (column.dt.tz_convert(None) if column.dt.tz else column).to_numpy()
    return timestamps if timestamps.dtype == np.dtype("datetime64[ns]") else _saturated(timestamps, "us")


def in_unit(timestamps: Timestamps, unit: str, rounds_up: bool = False) -> np.ndarray[Any, Any]:
    """Whole `unit` since 1970, int64. One that the unit cannot hold is the nearest that it can."""
    rounded = _saturated(timestamps, unit)
    since_1970: np.ndarray[Any, Any] = rounded.astype(np.int64)
    return since_1970 + (rounded < timestamps) if rounds_up else since_1970


def _saturated(timestamps: Timestamps, unit: str) -> Timestamps:
    """The timestamps in a unit, rounded down."""
    own_unit = np.datetime_data(timestamps.dtype)[0]
    if own_unit != unit and own_unit != "ns":
        first, last = np.array(_RANGES[unit], f"datetime64[{own_unit}]")
        timestamps = timestamps.clip(first, last)
    return timestamps.astype(f"datetime64[{unit}]")


def _parsed(column: pd.Series) -> Timestamps:
    """pandas gives a timestamp without a zone the zone of the one before it. So those with and without are apart."""
    values = column.to_numpy(dtype=object)
    is_missing = pd.isna(values)
    has_zone = np.array(
        [not missing and _has_zone(v) for v, missing in zip(values, is_missing, strict=True)], dtype=bool
    )
    parts = [np.flatnonzero(has_zone), np.flatnonzero(~has_zone & ~is_missing)]
    try:
        return _filled(values, parts, _to_nanoseconds, "ns")
    except pd.errors.OutOfBoundsDatetime:
        return _filled(values, parts, _to_microseconds, "us")


def _filled(values: np.ndarray[Any, Any], parts: list[Any], convert: Callable[[Any], Any], unit: str) -> Timestamps:
    timestamps = np.full(len(values), "NaT", f"datetime64[{unit}]")
    for positions in parts:
        timestamps[positions] = convert(values[positions])
    return timestamps


def _to_nanoseconds(values: np.ndarray[Any, Any]) -> Any:
    parsed = pd.to_datetime(pd.Index(values, dtype=object), utc=True, format="ISO8601")
    return parsed.tz_convert(None).as_unit("ns").to_numpy()


def _to_microseconds(values: np.ndarray[Any, Any]) -> Any:
    timestamps = (datetime.fromisoformat(value) if isinstance(value, str) else value for value in values)
    return [_utc_datetime64(timestamp) for timestamp in timestamps]


def _utc_datetime64(timestamp: Any) -> Any:
    if getattr(timestamp, "tzinfo", None) is None:
        return np.datetime64(timestamp, "us")
    return np.datetime64(timestamp.replace(tzinfo=None), "us") - np.timedelta64(timestamp.utcoffset(), "us")


def _has_zone(value: Any) -> bool:
    """Raises ValueError for anything but a timestamp."""
    if isinstance(value, str) and not value.isdigit():  # 20260131 may as well be a number
        try:
            return datetime.fromisoformat(value).tzinfo is not None
        except ValueError:
            pass
    elif isinstance(value, date | np.datetime64):
        return getattr(value, "tzinfo", None) is not None
    raise ValueError(f"{value!r} is not a timestamp. Write ISO 8601, such as 2026-01-31T12:00:00Z.")
