"""Moments are UTC; one without a zone is taken as UTC."""

from datetime import UTC, date, datetime, timedelta

EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


def utc(text: str) -> datetime:
    """An ISO moment. Raises ValueError, and OverflowError at the ends of the calendar."""
    return as_utc(datetime.fromisoformat(text))


def as_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def since_1970(moment: datetime) -> int:
    """In whole microseconds, rounded down."""
    since = (moment if moment.tzinfo else as_utc(moment)) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def utc_day(moment: datetime) -> date:
    return as_utc(moment).date()


def midnight(moment: datetime) -> datetime:
    """The beginning of the moment's day."""
    return as_utc(moment).replace(hour=0, minute=0, second=0, microsecond=0)
