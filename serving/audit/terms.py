"""By what decisions are found: each thing that a record says of itself becomes a number, its term."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from hashlib import blake2b
from math import asinh, isfinite, log
from typing import Any

from pydantic_core import from_json

from features.utc import since_1970, utc, utc_day

#: A term of a text is from here on; a kind of decision has a smaller one.
FIRST_HASH = 1 << 62
#: The names of terms that are no entity key. None of them can be one: a request's field is a Python name.
ID, CALLER = "decision id", "its caller"
#: The bits of a position that are the first byte in a file: for a terabyte a day.
_OFFSET_BITS = 40
#: A bucket of scores: half a unit of log-odds wide, to 15 on both sides, and 1/8 of the logarithm for larger numbers.
PER_LOG_ODDS, MOST_LOG_ODDS, PER_LOG = 2, 15, 8


@dataclass(frozen=True)
class Entry:
    """A decision as the index has it. `as_of` is in µs since 1970, `kind` is (risk, outcome, bucket of the score)."""

    as_of: int
    kind: tuple[str, str, int]
    score: float | None
    terms: tuple[int, ...]


def term(name: str, value: str) -> int:
    """The number of a name and its value, in 63 bits. Two pairs share one very seldom, so a reader compares.

    >>> term("driver_id", "1001") == term("driver_id", "1001") >= FIRST_HASH
    True
    """
    digest = blake2b(f"{name}\0{value}".encode(errors="surrogatepass"), digest_size=8).digest()
    return FIRST_HASH | int.from_bytes(digest, "big") >> 2


def bucket(score: float | None) -> int:
    """Groups of neighbouring scores. A higher score never has a lower bucket; None has the lowest of all.

    >>> [bucket(score) for score in (None, -2.0, 0.0, 0.02, 0.5, 0.98, 1.0, 9.9)]
    [-1000, -41, -30, -8, 0, 7, 30, 46]
    """
    if score is None:
        return -1000
    end = PER_LOG_ODDS * MOST_LOG_ODDS
    if 0 < score < 1:
        return max(-end, min(end, int((log(score) - log(1 - score)) * PER_LOG_ODDS // 1)))
    if score <= 0:
        return -end - int(PER_LOG * asinh(-score))
    return end + int(PER_LOG * (asinh(score) - asinh(1)))


def names_of(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The pairs by which a record is found: its id, its caller and its entity keys."""
    yield ID, record["decision_id"]
    if caller := record.get("caller"):
        yield CALLER, str(caller)
    yield from ((name, str(value)) for name, value in record["entity"].items() if value is not None)


def entry(line: bytes, day: date) -> Entry | None:
    """The entry of a line in the file of `day`. None where the line is no decision of that day or of one before."""
    try:
        record = from_json(line)
        as_of = utc(record["as_of"])
        risk, outcome, score = record["risk"], record["decision"], record["score"]
        terms = tuple(term(name, value) for name, value in names_of(record))
        number = None if score is None else float(score)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None
    if type(risk) is not str or type(outcome) is not str or utc_day(as_of) > day:
        return None
    if number is not None and not isfinite(number):
        return None
    return Entry(since_1970(as_of), (risk, outcome, bucket(number)), number, terms)


def position(day: date, offset: int) -> int:
    """Where a line is in the log: the day of its file, and its first byte there. A later line has a larger one.

    >>> split(position(date(2026, 1, 31), 1234))
    (datetime.date(2026, 1, 31), 1234)
    """
    return (day.toordinal() << _OFFSET_BITS) + offset


def split(position: int) -> tuple[date, int]:
    """The day and the first byte of a position."""
    return date.fromordinal(position >> _OFFSET_BITS), position & ((1 << _OFFSET_BITS) - 1)


def day_named(stem: str) -> date | None:
    """The day of a file `2026-01-31`, None for another name."""
    try:
        day = date.fromisoformat(stem)
    except ValueError:
        return None
    return day if stem == day.isoformat() else None
