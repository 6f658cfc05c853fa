"""How a CSV file is written: stated by whoever gives the file, never guessed."""

import codecs
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from errors import BadParameter

#: A line break ends a row, so it is no mark.
_NO_MARKS = "\r\n\0"
#: What Python calls encodings of text, and are notations of its own or of domain names.
_NO_ENCODINGS = ("idna", "punycode", "unicode_escape", "raw_unicode_escape")


@dataclass(frozen=True)
class Dialect:
    """The marks and the notation of a CSV file. The default is RFC 4180 in UTF-8. Raises BadParameter.

    delimiter    stands between two cells: one ASCII character
    quote        stands around a cell that has a delimiter, a quote or a line break in it: one ASCII character
    escape       stands before a quote, a delimiter or itself, to mean the character; None: a quote in a cell is doubled
    decimal      stands before the fraction of a number: "." or ","
    encoding     how characters are bytes, by Python's name. UTF-8 may begin with a byte order mark
    time_zone    an IANA name: the zone of timestamps that do not state one; None: each must state its own
    time_format  how timestamps are written, as `strptime` has it; None: ISO 8601

    >>> Dialect(delimiter=";", decimal=",", time_zone="Europe/Berlin").delimiter
    ';'
    """

    delimiter: str = ","
    quote: str = '"'
    escape: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"
    time_zone: str | None = None
    time_format: str | None = None

    def __post_init__(self) -> None:
        marks = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape}
        stated = {name: mark for name, mark in marks.items() if mark is not None}
        for name, mark in stated.items():
            if len(mark) != 1 or not mark.isascii() or mark.isalnum() or mark in _NO_MARKS:
                raise BadParameter(f"The {name} is {mark!r}. Give one ASCII character that is no letter and no digit.")
        if len(set(stated.values())) < len(stated):
            raise BadParameter(f"Two of the marks are equal: {stated}. Give each its own character.")
        if self.decimal not in (".", ",") or self.decimal == self.quote:
            raise BadParameter(f"The decimal mark is {self.decimal!r}. Give '.' or ','.")
        try:
            "".encode(self.encoding)
            self.encoding.encode("ascii")
            if codecs.lookup(self.encoding).name.replace("-", "_") in _NO_ENCODINGS:
                raise LookupError
        except (LookupError, UnicodeError):
            raise BadParameter(f"There is no encoding {self.encoding!r}. Give one that Python knows: utf-8.") from None
        if self.time_format is not None and "%" not in self.time_format:
            raise BadParameter(f"The time format is {self.time_format!r}. Write it as strptime does: %d.%m.%Y %H:%M.")
        if self.time_zone is not None:
            _check_zone(self.time_zone)

    @property
    def is_utf8(self) -> bool:
        """Whether the bytes of the file are UTF-8 as they are."""
        return codecs.lookup(self.encoding).name in ("utf-8", "utf-8-sig")


#: What a CSV file is, where nobody states anything else.
RFC_4180 = Dialect()


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadParameter(f"There is no time zone {name!r}. Give an IANA name: Europe/Berlin.") from None
