"""What would help, for cells that are no values: an option that was not stated, or that was stated otherwise. A hint is
shown only where it reads the cells, and loses fewer others. Pure."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from choices import listed
from features.utc import LATEST
from features.windows.raw import Column, RawTable
from jobs.own.cells import Fault, converter
from jobs.own.mapping import Mapping as Dialect
from jobs.own.rows import MOST_CELLS

#: What to do with a column of numbers that somebody wants to estimate.
NUMBERS = 'To estimate a number, declare a risk with task="regression", as feature_repo/features/loyalty.py does.'
#: A zone to state where none is stated. Nobody but the sender of a file knows which.
ZONE = "Europe/Berlin"
#: How many cells of a column were read, and the first of them.
Read = tuple[int, Sequence[Any]]
_NONE: Read = (0, ())
#: Words that somebody may state for 1 and for 0.
_ONES, _ZEROS = ("yes", "true", "y", "t", "ja", "j"), ("no", "false", "n", "f", "nein")
_NUMBERS: tuple[dict[str, str | None], ...] = (
    {"decimal": ",", "thousands": ""}, {"decimal": ".", "thousands": ","}, {"decimal": ",", "thousands": "."},
    {"decimal": ".", "thousands": "'"}, {"decimal": ".", "thousands": " "}, {"decimal": ",", "thousands": " "},
    {"decimal": ",", "thousands": "\xa0"}, {"decimal": ",", "thousands": "\u202f"},
)  # fmt: skip
_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%y")
_TIMES = ("", " %H:%M", " %H:%M:%S", " %H:%M:%S.%f", " %I:%M %p", " %I:%M:%S %p", "T%H:%M:%S", " %H:%M:%S %z")
_FORMS = tuple(f"{day}{time}" for day in _DAYS for time in _TIMES)


def hints(
    cells: Mapping[tuple[str, str], Sequence[Any]], stated: Dialect, raw: RawTable, read: Mapping[str, Read] = {}
) -> list[str]:
    """`cells`: (our column, what is wrong) → cells. `stated`: how they were read. `read`: our column → its others."""
    by_kind = cells.items()
    texts = [
        _hint(raw.column(name), fault, some, stated, read.get(name, _NONE)) for (name, fault), some in by_kind if name
    ]
    return list(dict.fromkeys(filter(None, texts)))


def _hint(column: Column, fault: str, cells: Sequence[Any], stated: Dialect, read: Read) -> str:
    if fault == "is without a time zone":
        return f"State in which zone the clock was: --time-zone {ZONE}."
    if fault == "is no number":
        return _remedy("Numbers", cells, stated, _NUMBERS, _reads("float"), read)
    if fault.startswith(("is no ISO 8601 timestamp", "is not like %")):
        forms = (None, *_FORMS) if stated.time_format else _FORMS
        zone: dict[str, str | None] = {} if stated.time_zone else {"time_zone": ZONE}
        # A zone goes with a format that has none in it.
        ways: list[dict[str, str | None]] = [
            {"time_format": form, **({"time_zone": None} if "%z" in (form or "") else zone)} for form in forms
        ]
        return _remedy("Timestamps", cells, stated, ways, _reads("timestamp"), read)
    if column.dtype != "int":
        return ""
    is_number, cells = _reads("float"), cells[:MOST_CELLS]
    if 2 * sum(is_number(stated, cell) for cell in cells) <= len(cells):
        return _words(column.name, cells, stated)
    return f"{column.name} can only be 0 or 1: no or yes. {NUMBERS}" if column.maximum == 1 else ""


def _words(column: str, cells: Sequence[Any], stated: Dialect) -> str:
    seen = [text for text, _ in Counter(str(cell) for cell in cells).most_common()]
    others = listed(map(repr, seen))
    words = [*stated.values.get(column, {}), *stated.ones, *stated.zeros]
    known = f"The words for 1 and 0 that you stated are {listed(map(repr, words))}; the" if words else "The"
    true, false = (next((w for w in seen if w.lower() in some), some[0]) for some in (_ONES, _ZEROS))
    return (
        f"{known} column {column} has {'also ' if words else ''}{others}. "
        f"Where such a word means 1 or 0, state it: --true {true} --false {false}."
    )


def _remedy(
    what: str,
    cells: Sequence[Any],
    stated: Dialect,
    ways: Sequence[Mapping[str, str | None]],
    reads: Callable[[Dialect, Any], bool],
    read: Read,
) -> str:
    """The options that read the most of the cells; of several such ways, those with the fewest options."""
    (others, others_seen), bad, cells = read, len(cells), cells[:MOST_CELLS]
    tried = []
    for way in ways:
        dialect = stated.model_copy(update=dict(way))
        count = sum(reads(dialect, cell) for cell in cells)
        lost = sum(not reads(dialect, cell) for cell in others_seen) / max(1, len(others_seen)) * others
        if count / len(cells) * bad > lost:
            tried.append((way, count))
    most = max((count for _, count in tried), default=0)
    if 2 * most < len(cells):
        return ""
    best = list(dict.fromkeys(_options(way, stated) for way, count in tried if count == most))
    fewest = min(text.count("--") for text in best)
    options = " or ".join(text for text in best if text.count("--") == fewest)
    they = "They" if most == len(cells) else f"{most:,} of {len(cells):,}"
    return f"{what} are written otherwise than stated. {they} can be read with {options}."


def _options(way: Mapping[str, str | None], stated: Dialect) -> str:
    changed = [(name, value) for name, value in way.items() if value != getattr(stated, name)]
    texts = (f"--{name.replace('_', '-')} {_quoted(value)}" for name, value in changed if value)
    gone = (f"no --{name.replace('_', '-')}" for name, value in changed if not value)
    return " ".join([*texts, *gone])


def _quoted(text: str) -> str:
    """As a shell takes it."""
    if re.fullmatch(r"[\w/]+", text):
        return text
    return f'"{text}"' if "'" in text else f"'{text}'"


def _reads(dtype: Any) -> Callable[[Dialect, Any], bool]:
    def reads(dialect: Dialect, cell: Any) -> bool:
        try:
            converter(Column("", dtype), dialect, LATEST)(cell)
        except Fault as fault:
            return "the clock was put" in str(fault)
        return True

    return reads
