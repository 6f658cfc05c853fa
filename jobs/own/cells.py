"""One of their cells → a value of a declared type, or the reason why it is none. Nothing is guessed. Pure."""

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from choices import listed
from features.utc import EARLIEST, LATEST
from features.windows.events import LARGEST_EXACT_FLOAT, LONGEST_STRING
from features.windows.folds import LARGEST
from features.windows.raw import Column
from jobs.own.mapping import Mapping
from jobs.raw.forms.arrow_values import CellError

#: The clock of no place is that far from UTC.
LARGEST_OFFSET = timedelta(hours=16)
Convert = Callable[[Any], Any]


class Fault(ValueError):
    """A cell is no value of its column. The text says in which way: `is no number`."""


def converter(column: Column, mapping: Mapping, now: datetime) -> Convert:
    """A function from a cell to its value, None where it is empty. It raises Fault. `now`: no event is later."""
    words = dict(mapping.values.get(column.name, {}))
    if column.dtype == "int":
        words |= dict.fromkeys(mapping.ones, "1") | dict.fromkeys(mapping.zeros, "0")
    value_of = _TYPES[column.dtype](column, mapping, now)
    has_words = column.name in mapping.values

    def convert(cell: Any) -> Any:
        if isinstance(cell, str):
            cell = cell.strip()
        elif isinstance(cell, bool):
            cell = str(cell).upper()  # TRUE and FALSE, as Excel shows them: words that must be stated, too
        if cell is None or cell == "" or cell in mapping.missing or cell != cell:
            if column.is_optional:
                return None
            raise Fault("is empty")
        if isinstance(cell, CellError):
            raise Fault(cell.fault)
        if words:
            text = cell if isinstance(cell, str) else _text(cell)
            if text in words:
                return _within(column, _plain[column.dtype](words[text]))
            if has_words:
                raise Fault(f"is none of the stated values: {listed(words, text)}")
        return _within(column, value_of(cell))

    return convert


def _within(column: Column, value: Any) -> Any:
    if column.pattern is not None and not re.fullmatch(column.pattern, value):
        raise Fault(f"is not like {column.pattern}")
    if column.minimum is not None and value < column.minimum:
        raise Fault(f"is under {column.minimum:g}")
    if column.maximum is not None and value > column.maximum:
        raise Fault(f"is over {column.maximum:g}")
    return value


def _text(cell: Any) -> str:
    """An Excel sheet and a data frame keep a number such as 1001 as 1001.0, so a whole number is its digits."""
    if isinstance(cell, str):
        text = cell
    elif isinstance(cell, int):
        text = str(cell)
    elif isinstance(cell, float) and cell.is_integer():
        if abs(cell) >= LARGEST_EXACT_FLOAT:
            raise Fault("is a number that is too large to be exact")
        text = str(int(cell))
    elif isinstance(cell, Decimal) and cell.as_tuple().exponent == 0:
        text = str(cell)
    else:
        raise Fault(f"is a {_kind(cell)} and no text")
    if "\0" in text:
        raise Fault("has a NUL in it")
    if len(text) > LONGEST_STRING:
        raise Fault(f"has more than {LONGEST_STRING:,} characters")
    return text


def _kind(cell: Any) -> str:
    kinds = {float: "number with a fraction", Decimal: "number with a fraction", datetime: "timestamp", date: "date"}
    return next((kind for dtype, kind in kinds.items() if isinstance(cell, dtype)), type(cell).__name__)


def _texts(column: Column, mapping: Mapping, now: datetime) -> Convert:
    return _text


def _number_text(mapping: Mapping) -> Callable[[str], str]:
    """Their text of a number → Python's. It raises Fault on any other text, also on digits grouped otherwise."""
    decimal, thousands = re.escape(mapping.decimal), re.escape(mapping.thousands)
    whole = rf"(?:\d{{1,3}}(?:{thousands}\d{{3}})+|\d+)" if thousands else r"\d+"
    form = re.compile(rf"[+-]?{whole}(?:{decimal}\d+)?(?:[eE][+-]?\d{{1,3}})?", re.ASCII)

    def plain(text: str) -> str:
        if not form.fullmatch(text):
            raise Fault("is no number")
        return (
            text.replace(mapping.thousands, "").replace(mapping.decimal, ".")
            if thousands
            else text.replace(mapping.decimal, ".")
        )

    return plain


def _floats(column: Column, mapping: Mapping, now: datetime) -> Convert:
    plain = _number_text(mapping)

    def number(cell: Any) -> float:
        if isinstance(cell, str):
            value = float(plain(cell))
        elif isinstance(cell, int | float | Decimal):
            value = float(cell)
        else:
            raise Fault("is no number")
        if not math.isfinite(value) or abs(value) > LARGEST:
            raise Fault(f"is beyond ±{LARGEST:.0e}")
        return value

    return number


def _ints(column: Column, mapping: Mapping, now: datetime) -> Convert:
    plain = _number_text(mapping)

    def number(cell: Any) -> int:
        if isinstance(cell, str) and re.fullmatch(r"[+-]?\d+", text := _or_nothing(plain, cell), re.ASCII):
            value = int(text)
        elif isinstance(cell, int) or (isinstance(cell, float | Decimal) and math.isfinite(cell) and cell % 1 == 0):
            value = int(cell)
        else:
            raise Fault("is no whole number")
        if not -(2**63) <= value < 2**63:
            raise Fault("is beyond 64 bits")
        return value

    return number


def _or_nothing(plain: Callable[[str], str], cell: str) -> str:
    try:
        return plain(cell)
    except Fault:
        return ""


def _timestamps(column: Column, mapping: Mapping, now: datetime) -> Convert:
    zone = ZoneInfo(mapping.time_zone) if mapping.time_zone else None
    form, earliest = mapping.time_format, column.earliest or EARLIEST
    out_of_bounds = f"is not in the years {earliest.year} to {LATEST.year - 1}"

    @lru_cache(maxsize=100_000)
    def parsed(text: str) -> datetime:
        try:
            return datetime.strptime(text, form) if form else datetime.fromisoformat(text)  # noqa: DTZ007
        except ValueError:
            raise Fault(f"is not like {form}" if form else "is no ISO 8601 timestamp") from None

    def timestamp(cell: Any) -> datetime:
        if isinstance(cell, str):
            if not form and not re.fullmatch(r"\d{4}-\d\d-\d\d([Tt ].+)?", cell):  # `20260131` is a number
                raise Fault("is no ISO 8601 timestamp")
            cell = parsed(cell)
        elif isinstance(cell, date) and not isinstance(cell, datetime):
            cell = datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 the zone follows
        elif not isinstance(cell, datetime):
            raise Fault("is no timestamp")
        if abs(cell.utcoffset() or timedelta(0)) >= LARGEST_OFFSET:
            raise Fault("has an offset that no time zone has")
        try:
            value = _in_utc(cell, zone)
        except OverflowError:
            raise Fault(out_of_bounds) from None
        if not earliest <= value < LATEST:
            raise Fault(out_of_bounds)
        if value > now:
            raise Fault("is in the future")
        return value

    return timestamp


def _in_utc(value: datetime, zone: ZoneInfo | None) -> datetime:
    """Raises OverflowError at the ends of the calendar."""
    if value.tzinfo is not None:
        return value.astimezone(UTC)
    if zone is None:
        raise Fault("is without a time zone")
    first, second = (value.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first == second:
        return first
    if first.astimezone(zone).replace(tzinfo=None) != value:
        raise Fault(f"does not exist in {zone}: the clock was put forward")
    raise Fault(f"is twice in {zone}: the clock was put back")


_TYPES: dict[str, Callable[[Column, Mapping, datetime], Convert]] = {
    "string": _texts,
    "int": _ints,
    "float": _floats,
    "timestamp": _timestamps,
}
_plain: dict[str, Convert] = {
    dtype: make(Column("", dtype), Mapping(), LATEST)  # type: ignore[arg-type]
    for dtype, make in _TYPES.items()
}
