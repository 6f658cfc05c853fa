"""The rows in a piece of a CSV file: where each begins, how many cells it has, and whether its form is that of RFC
4180. Pure. numpy looks at every byte, Python at none."""

import re
from dataclasses import dataclass

import numpy as np

from jobs.raw.dialect import Dialect

#: A cause, and the advice.
LONE_RETURN = "there is a carriage return without a line feed"
READ_ENCODINGS = "Write the file in UTF-8; `python -m jobs import` reads others with --encoding."
END_LINES = "End lines with LF or CR LF, and put a cell that has one in quotes."
_BREAK, _RETURN = ord("\n"), ord("\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Broken(ValueError):
    """The form of a row is broken at `position`, a byte of the piece."""

    def __init__(self, position: int, cause: str, advice: str) -> None:
        super().__init__(cause)
        self.position, self.cause, self.advice = position, cause, advice


@dataclass(frozen=True)
class Rows:
    """Whole rows.

    text    their bytes, UTF-8; each row ends with a line break
    line    the line of the file where they begin, from 1 on
    ends    where the line break of each row is, shape (rows,)
    cells   how many cells each row has, shape (rows,)
    """

    text: bytes
    line: int
    ends: np.ndarray
    cells: np.ndarray

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def starts(self) -> np.ndarray:
        """Where each row begins, shape (rows,)."""
        return np.concatenate([[0], self.ends[:-1] + 1]).astype(np.int64)

    def lines(self) -> np.ndarray:
        """The line of the file where each row begins, shape (rows,). A quoted cell may have line breaks in it."""
        if self.text.count(b"\n") == len(self):
            return np.arange(self.line, self.line + len(self))
        breaks = np.flatnonzero(np.frombuffer(self.text, np.uint8) == _BREAK)
        return self.line + np.searchsorted(breaks, self.starts)

    def row(self, number: int | np.integer) -> bytes:
        """The bytes of a row, without its line break."""
        return self.text[self.starts[number] : self.ends[number]].removesuffix(b"\r")

    def ragged(self, columns: int) -> np.ndarray:
        """Which rows have another number of cells, or are empty lines, shape (rows,)."""
        lengths = self.ends - self.starts
        is_empty = lengths == 0
        if b"\r" in self.text:
            is_empty |= (lengths == 1) & (np.frombuffer(self.text, np.uint8)[self.starts] == _RETURN)
        return (self.cells != columns) | is_empty

    def only(self, chosen: np.ndarray) -> bytes:
        """The bytes of the chosen rows, a mask of shape (rows,)."""
        if chosen.all():
            return self.text
        return np.frombuffer(self.text, np.uint8)[np.repeat(chosen, self.ends - self.starts + 1)].tobytes()


def split(text: bytes, line: int, dialect: Dialect) -> tuple[Rows, bytes]:
    """The whole rows of a text that begins with a row, and the bytes after them: an unfinished row, or the empty lines
    before one. Raises Broken."""
    if b"\0" in text:
        raise Broken(text.index(b"\0"), "there is a NUL byte", f"Remove it. If the text is not UTF-8: {READ_ENCODINGS}")
    data = np.frombuffer(text if dialect.escape is None else _unescaped(text, dialect), np.uint8)
    is_mark = (data == _BREAK) | (data == ord(dialect.delimiter))
    quotes = np.flatnonzero(data == ord(dialect.quote))
    if len(quotes):
        # 1 from a quote that opens a cell up to the one that closes it. A doubled quote closes it and opens it again.
        is_inside = np.bitwise_xor.accumulate((data == ord(dialect.quote)).view(np.uint8))
        is_mark &= is_inside == 0
    marks = np.flatnonzero(is_mark)
    breaks = np.flatnonzero(data[marks] == _BREAK)
    ends, cells = marks[breaks], np.diff(breaks, prepend=-1)
    filled = np.flatnonzero(np.diff(ends, prepend=-1) > 1 + (data[ends - 1] == _RETURN)) if len(ends) else breaks
    count = filled[-1] + 1 if len(filled) else 0
    size = int(ends[count - 1]) + 1 if count else 0
    _check_quotes(data, quotes[quotes < size], dialect)
    if b"\r" in text[:size]:
        _check_returns(data[:size], is_inside[:size] == 0 if len(quotes) else np.ones(size, bool))
    rows = Rows(text[:size], line, ends[:count], cells[:count])
    if _BYTE_ORDER_MARK in rows.text and (at := _row_that_begins(rows, _BYTE_ORDER_MARK)) is not None:
        raise Broken(at, "a byte order mark begins the row, as it begins a file", "Give each file by itself.")
    return rows, text[size:]


def _unescaped(text: bytes, dialect: Dialect) -> bytes:
    """The text with letters for each escape and what it escapes. The length stays."""
    escape = str(dialect.escape).encode()
    may_follow = {escape, dialect.quote.encode(), dialect.delimiter.encode()}

    def letters(escaped: re.Match[bytes]) -> bytes:
        if escaped[1] not in may_follow:
            cause = f"the escape {dialect.escape!r} stands before neither a quote, a delimiter nor itself"
            raise Broken(escaped.start(), cause, "Remove it, or state another escape.")
        return b"xx"

    return re.sub(re.escape(escape) + b"(.)", letters, text, flags=re.DOTALL)


def _check_quotes(data: np.ndarray, quotes: np.ndarray, dialect: Dialect) -> None:
    """A quote opens a cell at the cell's first byte, and closes it at its last, or is doubled."""
    if not len(quotes):
        return
    quote, delimiter = ord(dialect.quote), ord(dialect.delimiter)
    opens, closes = quotes[::2], quotes[1::2]
    before, after = data[opens - 1], data[closes + 1]
    is_first = (before == delimiter) | (before == _BREAK) | (opens == 0)
    is_last = (after == delimiter) | (after == _BREAK) | (after == _RETURN)
    if dialect.escape is None:
        is_first |= before == quote
        is_last |= after == quote
    inner, unfinished = opens[~is_first], opens[: len(closes)][~is_last]
    if len(inner) and not (len(unfinished) and unfinished[0] < inner[0]):
        cause = "there is a quote inside of a cell that does not begin with one"
        raise Broken(int(inner[0]), cause, "Put the cell in quotes, and double the quotes in it.")
    if len(unfinished):
        # The quote that opened this cell is as likely to be the wrong one, so its line is the one to show.
        cause = "a cell begins with a quote and goes on after the quote that closes it"
        raise Broken(int(unfinished[0]), cause, "Double the quotes in the cell.")


def _check_returns(data: np.ndarray, is_outside: np.ndarray) -> None:
    returns = np.flatnonzero((data == _RETURN) & is_outside)
    lone = returns[data[returns + 1] != _BREAK]
    if len(lone):
        raise Broken(int(lone[0]), LONE_RETURN, END_LINES)


def _row_that_begins(rows: Rows, text: bytes) -> int | None:
    """Where the first row with this beginning is."""
    data = np.frombuffer(rows.text + text, np.uint8)
    is_same = np.ones(len(rows), bool)
    for at, byte in enumerate(text):
        is_same &= data[rows.starts + at] == byte
    return int(rows.starts[is_same][0]) if is_same.any() else None
