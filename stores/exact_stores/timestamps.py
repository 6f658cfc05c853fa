"""Timestamps in UTC, and as whole microseconds since 1970. A timestamp without a zone is taken as UTC."""

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: A row may be dated this much later than now: the clocks of two machines differ.
SLACK = timedelta(minutes=10)
_MICROSECOND = timedelta(microseconds=1)


def zoned(timestamp: datetime) -> datetime:
    """The same timestamp, with UTC as its zone if it has none.

    >>> zoned(datetime(2026, 3, 1)).isoformat()
    '2026-03-01T00:00:00+00:00'
    """
    return timestamp if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)


def to_microseconds(timestamp: datetime | None) -> int | None:
    """Microseconds since 1970, rounded down. None for None and for pandas' NaT.

    >>> to_microseconds(datetime(1970, 1, 1, 0, 0, 1))
    1000000
    """
    if timestamp is None or timestamp != timestamp:  # NaT is the one value that differs from itself
        return None
    return (zoned(timestamp) - EPOCH) // _MICROSECOND


def from_microseconds(since_1970: int) -> datetime:
    """The inverse of `to_microseconds`, in UTC.

    >>> from_microseconds(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return EPOCH + since_1970 * _MICROSECOND
