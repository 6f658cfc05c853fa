"""A CSV file of a stated dialect → its rows as Arrow tables of text. Nothing is guessed: each row is read exactly, or
refused with its file, its line and the cause.

`jobs/raw/forms/csv_rows.py` checks the form of every row; only then pyarrow takes the cells out. DuckDB's `read_csv`,
pyarrow alone and Python's `csv` each accept rows of a broken form.
"""

import codecs
import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from errors import SHOWN_CHARACTERS, BadInput
from jobs.raw.dialect import RFC_4180, Dialect
from jobs.raw.forms.csv_rows import END_LINES, LONE_RETURN, READ_ENCODINGS, Broken, Rows, split

#: Columns after the file's own: the line where a row begins, from 1 on; and the text of a row that has not as many
#: cells as the header. The file's own columns are null in such a row.
LINE, RAGGED = ":line", ":ragged"
BLOCK_BYTES = 8 << 20
#: A longer row is refused: a quote that is never closed makes one row of the rest of a file.
MOST_ROW_BYTES = 32 << 20
#: What people write instead of a comma.
_DELIMITERS = (";", "\t", "|", ",")
_EMPTY_LINES = re.compile(rb"(?:\r?\n)*")
_CLOSE = "Close the cell with a quote, or double the quotes in it."


@dataclass(frozen=True)
class CsvFile:
    """A file, and the dialect that somebody stated for it."""

    path: Path
    dialect: Dialect = RFC_4180

    @cached_property
    def header(self) -> list[str]:
        """The names of the columns, as the first row has them. Raises BadInput where the file is empty, or a name is
        empty or there twice."""
        rows = next(self._rows(), None)
        if rows is None:
            raise self._refusal(1, "the file is empty", "Give a file with a header.")
        line = self._decoded(rows, rows.row(0))
        if not line.strip():
            raise self._refusal(1, "the line is empty", "Remove it: the names of the columns stand in the first line.")
        names = self._cells(line)
        if "" in names:
            raise self._refusal(1, f"column {names.index('') + 1} has no name", "Name it.")
        if again := [name for name in names if names.count(name) > 1]:
            raise self._refusal(1, f"the name {again[0]!r} is there twice", "Give each column a name of its own.")
        others = [mark for mark in _DELIMITERS if mark in line and mark != self.dialect.delimiter]
        if len(names) == 1 and others:
            cause = f"between the names is {others[0]!r}, and nowhere {self.dialect.delimiter!r}"
            advice = f"Write the file with {self.dialect.delimiter!r}; `python -m jobs import` reads other delimiters."
            raise self._refusal(1, cause, advice)
        return names

    @property
    def schema(self) -> pa.Schema:
        """The columns of `tables`."""
        return pa.schema([*((name, pa.string()) for name in self.header), (LINE, pa.int64()), (RAGGED, pa.string())])

    def tables(self, keeps_ragged: bool = False) -> Iterator[pa.Table]:
        """The rows in order, as text columns with the names of `header`, then `LINE` and `RAGGED`. An empty cell is an
        empty text.

        A row that has not as many cells as the header is refused, or with `keeps_ragged` it is in `RAGGED`. Raises
        BadInput on such a row, and on every row whose form is broken: nobody knows where that one ends.
        """
        header = self.header
        for rows in self._rows():
            is_ragged, lines = rows.ragged(len(header)), rows.lines()
            is_row = ~is_ragged
            if rows.line == 1:
                is_ragged[0] = is_row[0] = False
            table = self._read(rows, is_row, lines[is_row])
            if is_ragged.any():
                ragged = self._set_aside(rows, is_ragged, lines, keeps_ragged)
                table = pa.concat_tables([table, ragged]).sort_by(LINE)
            yield table

    def _rows(self) -> Iterator[Rows]:
        """The rows, the header among them. Empty lines at the end of the file are no rows."""
        rest, line = b"", 1
        for chunk in self._chunks():
            rest += chunk
            rows, rest = self._split(rest, line)
            self._refuse_long(rows, rest)
            if len(rows):
                yield rows
                line += rows.text.count(b"\n")
        rows, rest = self._split(rest if rest.endswith(b"\n") else rest + b"\n", line)
        if not _EMPTY_LINES.fullmatch(rest):
            at = line + rows.text.count(b"\n")
            if self.dialect.quote.encode() in rest:
                raise self._refusal(at, "a quote opens a cell and none closes it", _CLOSE)
            raise self._refusal(at, LONE_RETURN, END_LINES)
        if len(rows):
            yield rows

    def _refuse_long(self, rows: Rows, rest: bytes) -> None:
        """`rest`: the beginning of the row after `rows`."""
        sizes = np.append(np.diff(rows.ends, prepend=-1), len(rest))
        if sizes.max() > MOST_ROW_BYTES:
            breaks = rows.text.count(b"\n", 0, int(sizes[: sizes.argmax()].sum()))
            raise self._refusal(rows.line + breaks, f"a row is longer than {MOST_ROW_BYTES >> 20} MB", _CLOSE)

    def _split(self, text: bytes, line: int) -> tuple[Rows, bytes]:
        if line == 1:
            text = text.removeprefix(codecs.BOM_UTF8)
        try:
            return split(text, line, self.dialect)
        except Broken as error:
            at = line + text.count(b"\n", 0, error.position)
            raise self._refusal(at, error.cause, error.advice) from None

    def _chunks(self) -> Iterator[bytes]:
        """The file as UTF-8."""
        is_utf8, line = self.dialect.is_utf8, 1
        decoder = codecs.getincrementaldecoder(self.dialect.encoding)()
        with self.path.open("rb") as opened:
            while chunk := opened.read(BLOCK_BYTES):
                if not is_utf8:
                    try:
                        chunk = decoder.decode(chunk).encode()
                    except UnicodeDecodeError as error:
                        raise self._undecodable(line + chunk.count(b"\n", 0, error.start)) from None
                    line += chunk.count(b"\n")
                yield chunk
        if not is_utf8:
            try:
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                raise self._undecodable(line) from None

    def _decoded(self, rows: Rows, text: bytes) -> str:
        """Text that is part of these rows. Raises BadInput where anything of the rows is not UTF-8."""
        try:
            return text.decode()
        except UnicodeDecodeError:
            try:
                rows.text.decode()
            except UnicodeDecodeError as error:
                raise self._undecodable(rows.line + rows.text.count(b"\n", 0, error.start)) from None
            raise

    def _cells(self, line: str) -> list[str]:
        escape = self.dialect.escape
        marks = {"delimiter": self.dialect.delimiter, "quotechar": self.dialect.quote, "escapechar": escape}
        return next(csv.reader([line], doublequote=escape is None, **marks))  # type: ignore[arg-type]

    def _read(self, rows: Rows, is_row: np.ndarray, lines: np.ndarray) -> pa.Table:
        """The chosen rows as a table."""
        names = [f"c{number}" for number in range(len(self.header))]
        text = rows.only(is_row)
        if not text:
            return self.schema.empty_table()
        dialect = self.dialect
        has_quotes = dialect.quote.encode() in text
        parsing = arrow_csv.ParseOptions(
            delimiter=dialect.delimiter,
            quote_char=dialect.quote if has_quotes else False,
            double_quote=dialect.escape is None and has_quotes,
            escape_char=dialect.escape or False,
            newlines_in_values=has_quotes,
            ignore_empty_lines=False,
        )
        converting = arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False, check_utf8=True
        )
        reading = arrow_csv.ReadOptions(column_names=names, block_size=len(text) + 1)
        try:
            table = arrow_csv.read_csv(pa.py_buffer(text), reading, parsing, converting)
        except pa.ArrowInvalid as error:
            self._decoded(rows, rows.text)
            raise self._refusal(rows.line, f"these rows cannot be read: {error}", "Mend them.") from error
        if len(table) != len(lines):
            raise self._refusal(rows.line, f"{len(lines):,} rows are read as {len(table):,}", "Report this file.")
        self._refuse_second_header(table, lines)
        table = table.append_column(LINE, pa.array(lines)).append_column(RAGGED, pa.nulls(len(table), pa.string()))
        return table.rename_columns(self.schema.names)

    def _refuse_second_header(self, table: pa.Table, lines: np.ndarray) -> None:
        """Two files in one may have their columns in another order: what follows a second header is not known."""
        names = pa.array(sorted(self._names_of_headers))
        hits = sum(pc.is_in(column, names).cast(pa.int8()).to_numpy() for column in table.columns)
        is_header = 2 * hits > table.num_columns
        if is_header.any():
            raise self._second_header(int(lines[is_header][0]))

    @cached_property
    def _names_of_headers(self) -> set[str]:
        """The names of the columns, as they are and in the other cases in which programs write them."""
        return {form(name) for name in self.header for form in (str, str.lower, str.upper, str.capitalize, str.title)}

    def _set_aside(self, rows: Rows, is_ragged: np.ndarray, lines: np.ndarray, keeps_ragged: bool) -> pa.Table:
        """The ragged rows as a table."""
        numbers = np.flatnonzero(is_ragged)
        texts = [self._decoded(rows, rows.row(number)) for number in numbers]
        for number, text in zip(numbers, texts, strict=True):
            cells = self._cells(text) if text else []
            if 2 * len(self._names_of_headers.intersection(cells)) > len(self.header):
                raise self._second_header(int(lines[number]))
            if not keeps_ragged:
                count = f"{rows.cells[number]} {'cell' if rows.cells[number] == 1 else 'cells'}" if text else "no cell"
                cause = f"the row has {count}, the header has {len(self.header)}: {text[:SHOWN_CHARACTERS]}"
                raise self._refusal(int(lines[number]), cause, "Mend the row.")
        empty = {name: pa.nulls(len(numbers), pa.string()) for name in self.header}
        return pa.table({**empty, LINE: pa.array(lines[is_ragged]), RAGGED: pa.array(texts)}, self.schema)

    def _second_header(self, line: int) -> BadInput:
        return self._refusal(line, "the row is a header again", "Give each file by itself.")

    def _undecodable(self, line: int) -> BadInput:
        return self._refusal(line, f"the text is not {self.dialect.encoding}", READ_ENCODINGS)

    def _refusal(self, line: int, cause: str, advice: str) -> BadInput:
        return BadInput(f"{self.path}, line {line:,}: {cause}. {advice}")
