"""Timestamps are UTC. A timestamp without a zone is taken as UTC."""

import re
from datetime import UTC, date, datetime, timedelta

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
#: Every timestamp that enters, in a file, an event, a request or a command, is from EARLIEST on and before LATEST.
#: Every later step can hold such a timestamp, in nanoseconds too, and add a window to it.
EARLIEST, LATEST = EPOCH, datetime(2200, 1, 1, tzinfo=UTC)


#: A day and a time of day, and the time zone behind it: no clock is 16 hours from UTC.
MOMENT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?"
ZONE = r"(?:[Zz]|[+-](?:0[0-9]|1[0-5])(?::?[0-5][0-9])?)"
#: What a timestamp may look like. Python reads more: `20260131`, and 10:00 out of `2026-01-31-10:00`.
_FORM = re.compile(rf"(?:{MOMENT}(?P<zone>{ZONE})?|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}})")


def utc(text: str) -> datetime:
    """An ISO 8601 text as a timestamp: a day, or a day and a time of day, which may have a time zone. Raises
    ValueError, and OverflowError at the ends of the calendar.

    >>> utc("2026-01-31T12:00:00+02:00").isoformat()
    '2026-01-31T10:00:00+00:00'
    """
    if not _FORM.fullmatch(text):
        raise ValueError("is no timestamp")
    return as_utc(datetime.fromisoformat(text.upper()))


def whole_offset(text: str) -> str:
    """A timestamp whose offset has minutes. PostgreSQL writes none, and pydantic reads no other.

    >>> whole_offset("2026-01-31 12:00:00-05"), whole_offset("2026-01-31T12:00Z")
    ('2026-01-31 12:00:00-05:00', '2026-01-31T12:00Z')
    """
    return f"{text}:00" if text[-3] in "+-" else text


def has_zone(text: str) -> bool:
    """Whether a timestamp says its time zone. The end of a day, `-10`, is none."""
    form = _FORM.fullmatch(text)
    return form is not None and form["zone"] is not None


def bounded(text: str, earliest: datetime = EARLIEST) -> datetime:
    """An ISO 8601 text as a timestamp that may enter. Raises ValueError on a text that is no
    timestamp, and OutOfBounds outside of `earliest` to `LATEST`.

    >>> bounded("2026-01-31T12:00:00Z").isoformat()
    '2026-01-31T12:00:00+00:00'
    >>> bounded("9999-12-31T23:59:59-14:00")
    Traceback (most recent call last):
    features.utc.OutOfBounds: is not in the years 1970 to 2199, UTC
    """
    try:
        timestamp = utc(text)
    except OverflowError:
        raise OutOfBounds(earliest) from None
    if not earliest <= timestamp < LATEST:
        raise OutOfBounds(earliest)
    return timestamp


class OutOfBounds(ValueError):
    """A timestamp is before `earliest`, or not before `LATEST`."""

    def __init__(self, earliest: datetime = EARLIEST) -> None:
        super().__init__(f"is not in the years {earliest.year} to {LATEST.year - 1}, UTC")


def as_utc(timestamp: datetime) -> datetime:
    """The same instant in UTC. Raises OverflowError at the ends of the calendar."""
    return timestamp.astimezone(UTC) if timestamp.tzinfo else timestamp.replace(tzinfo=UTC)


def since_1970(timestamp: datetime) -> int:
    """Whole microseconds since 1970, rounded down."""
    since = (timestamp if timestamp.tzinfo else as_utc(timestamp)) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def utc_day(timestamp: datetime) -> date:
    """The UTC day of a timestamp."""
    return as_utc(timestamp).date()


def midnight(timestamp: datetime) -> datetime:
    """The beginning of the timestamp's UTC day."""
    return as_utc(timestamp).replace(hour=0, minute=0, second=0, microsecond=0)
