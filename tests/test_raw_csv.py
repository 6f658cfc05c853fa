"""A CSV file is read exactly, or it is refused with its line: compared with a slow reader that follows the grammar of
RFC 4180."""

import re
from pathlib import Path

import pytest
from constants import override
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from errors import BadInput, BadParameter
from jobs.raw import csv_files
from jobs.raw.csv_files import CsvFile
from jobs.raw.dialect import RFC_4180, Dialect

Rows = list[tuple[int, list[str]]]


def read(path: Path, content: str | bytes, dialect: Dialect = RFC_4180, block_bytes: int = 8 << 20) -> Rows:
    """Line and cells of every row; of a ragged row, its text alone."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.MonkeyPatch.context() as patch:
        override(patch, csv_files, BLOCK_BYTES=block_bytes)
        tables = list(CsvFile(path, dialect).tables(keeps_ragged=True))
    rows = []
    for table in tables:
        for *cells, line, ragged in zip(*(column.to_pylist() for column in table.columns), strict=True):
            rows.append((line, cells if ragged is None else [ragged]))
    return rows


#: Content → line and cells of its rows.
EXACT = {
    "plain": (b"a,b\n1,2\n3,4\n", [(2, ["1", "2"]), (3, ["3", "4"])]),
    "no line break at the end": (b"a,b\n1,2", [(2, ["1", "2"])]),
    "CR LF": (b"a,b\r\n1,2\r\n", [(2, ["1", "2"])]),
    "a byte order mark": (b"\xef\xbb\xbfa,b\n1,2\n", [(2, ["1", "2"])]),
    "a hash": (b"a,b\n#1001,2\n# 3,#\n", [(2, ["#1001", "2"]), (3, ["# 3", "#"])]),
    "slashes and dashes": (b"a,b\n//1,2\n--3,4\n", [(2, ["//1", "2"]), (3, ["--3", "4"])]),
    "blanks": (b"a,b\n 1 , 2\n", [(2, [" 1 ", " 2"])]),
    "what others take for null": (b"a,b\nNULL,\\N\nnan,\n", [(2, ["NULL", "\\N"]), (3, ["nan", ""])]),
    "quotes": (b'"a",b\n"1,1","2 ""x"""\n"",""\n', [(2, ["1,1", '2 "x"']), (3, ["", ""])]),
    "a cell of two lines": (b'a,b\n"1\n1","2\r\n2"\n3,4\n', [(2, ["1\n1", "2\r\n2"]), (5, ["3", "4"])]),
    "apostrophes": (b"a,b\n'1,2'\n", [(2, ["'1", "2'"])]),
    "a header alone": (b"a,b\n", []),
    "one column": (b"a\n1\n", [(2, ["1"])]),
    "empty lines at the end": (b"a,b\n1,2\n\n\r\n\n", [(2, ["1", "2"])]),
    "ragged": (b"a,b\n1\n1,2\n1,2,3\n\n5,\n", [(2, ["1"]), (3, ["1", "2"]), (4, ["1,2,3"]), (5, [""]), (6, ["5", ""])]),
    "names that differ in case": (b"a,A\n1,2\n", [(2, ["1", "2"])]),
    "no header's name in a cell": (b"a,b\na,1\n", [(2, ["a", "1"])]),
    "beyond ASCII": ("ä,b\nü,😀\n".encode(), [(2, ["ü", "😀"])]),
}  # fmt: skip
#: Content → what the message says.
REFUSED = {
    "empty": (b"", "line 1: the file is empty"),
    "breaks alone": (b"\n\n", "line 1: the file is empty"),
    "an empty line before the header": (b"\r\na,b\n1,2\n", "line 1: the line is empty. Remove it"),
    "a blank line before the header": (b"  \na,b\n1,2\n", "line 1: the line is empty. Remove it"),
    "a lone quote in a cell": (b'a,b\n1,2\n3,4"\n5,6\n', "line 3: a quote opens a cell and none closes it"),
    "a quote inside of a cell": (b'a,b\n1,2\n3,4"4"\n', "line 3: there is a quote inside of a cell"),
    "text after a quote": (b'a,b\n1,2\n3,"4"4\n', "line 3: a cell begins with a quote and goes on after"),
    "a blank before a quote": (b'a,b\n1, "2"\n', "line 2: there is a quote inside of a cell"),
    "an open quote": (b'a,b\n1,2\n"3,4\n5,6\n', "line 3: a quote opens a cell and none closes it"),
    "an open quote, never closed": (b'a,b\n"1,2\n3,"4"\n', "line 2: a quote opens a cell and none closes it"),
    "an open quote, closed by a later one": (
        b'a,b\n"1,2\n3,"4",5,"6\n',
        "line 2: a cell begins with a quote and goes on",
    ),
    "NUL": (b"a,b\n1,2\n3,\x004\n", "line 3: there is a NUL byte"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "line 1: there is a NUL byte"),
    "Latin-1": (b"a,b\n1,2\n3,\xfc\n", "line 3: the text is not utf-8"),
    "Latin-1 in the header": (b"a,\xfc\n1,2\n", "line 1: the text is not utf-8"),
    "Latin-1 in a ragged row": (b"a,b\n1,2\n\xfc\n", "line 3: the text is not utf-8"),
    "CR alone": (b"a,b\r1,2\r", "line 1: there is a carriage return without a line feed"),
    "CR in a cell": (b"a,b\n1,2\n3\r,4\n", "line 3: there is a carriage return without a line feed"),
    "a second header": (b"a,b\n1,2\na,b\n3,4\n", "line 3: the row is a header again"),
    "a second header in another order": (b"a,b\n1,2\nb,a\n", "line 3: the row is a header again"),
    "a second header in capitals": (b"aa,b,c\n1,2,3\nC,B,Aa\n", "line 3: the row is a header again"),
    "a ragged second header in capitals": (b"a,b\n1,2\nA,B,C\n1,2,3\n", "line 3: the row is a header again"),
    "a second header with a name more": (b"a,b\n1,2\na,b,c\n1,2,3\n", "line 3: the row is a header again"),
    "a second header after a byte order mark": (b"a,b\n1,2\n\xef\xbb\xbfa,b\n", "line 3: a byte order mark"),
    "a name twice": (b"a,b,a\n1,2,3\n", "line 1: the name 'a' is there twice"),
    "a name that is empty": (b",a\n0,1\n", "line 1: column 1 has no name"),
    "semicolons": (
        b"a;b\n1;2\n",
        "line 1: between the names is ';', and nowhere ','. Write the file with ','; `py",
    ),
    "tabs": (b"a\tb\n1\t2\n", "line 1: between the names is '\\\\t'"),
}


@pytest.mark.parametrize("block_bytes", [1, 3, 8 << 20])
@pytest.mark.parametrize("case", EXACT)
def test_a_file_of_the_stated_form_is_read_exactly(tmp_path: Path, case: str, block_bytes: int):
    content, rows = EXACT[case]
    assert read(tmp_path / "in.csv", content, block_bytes=block_bytes) == rows


@pytest.mark.parametrize("block_bytes", [1, 3, 8 << 20])
@pytest.mark.parametrize("case", REFUSED)
def test_a_file_of_another_form_is_refused_with_its_line(tmp_path: Path, case: str, block_bytes: int):
    content, message = REFUSED[case]
    with pytest.raises(BadInput, match=rf"in\.csv, {message}"):
        read(tmp_path / "in.csv", content, block_bytes=block_bytes)


def test_a_ragged_row_is_refused_with_its_cells(tmp_path: Path):
    (tmp_path / "in.csv").write_text("a,b\n1,2\n1,2,3\n")
    with pytest.raises(BadInput, match=r"line 3: the row has 3 cells, the header has 2: 1,2,3\. Mend the row\."):
        list(CsvFile(tmp_path / "in.csv").tables())


DIALECTS = {
    "semicolons": (Dialect(delimiter=";"), "a;b\n1,5;2\n", [(2, ["1,5", "2"])]),
    "tabs": (Dialect(delimiter="\t"), "a\tb\n1\t\n", [(2, ["1", ""])]),
    "apostrophes": (Dialect(quote="'"), "a,b\n'1,1','it''s \"x\"'\n", [(2, ["1,1", 'it\'s "x"'])]),
    "an escape": (Dialect(escape="\\"), 'a,b\n"1\\"\\\\",2\\,2\n', [(2, ['1"\\', "2,2"])]),
    "Latin-1": (Dialect(encoding="latin-1"), "ä,b\nü,2\n".encode("latin-1"), [(2, ["ü", "2"])]),
    "UTF-16": (Dialect(encoding="utf-16"), "ä,b\nü,2\n".encode("utf-16"), [(2, ["ü", "2"])]),
}


@pytest.mark.parametrize("block_bytes", [1, 8 << 20])
@pytest.mark.parametrize("case", DIALECTS)
def test_a_dialect_that_is_stated_is_read_exactly(tmp_path: Path, case: str, block_bytes: int):
    dialect, content, rows = DIALECTS[case]
    assert read(tmp_path / "in.csv", content, dialect, block_bytes) == rows


@pytest.mark.parametrize(
    ("dialect", "content", "message"),
    [
        (Dialect(escape="\\"), "a,b\n1,2\n\\N,3\n", r"line 3: the escape '\\\\' stands before neither"),
        (Dialect(escape="\\"), 'a,b\n"1""1",2\n', "line 2: a cell begins with a quote and goes on"),
        (Dialect(encoding="cp1252"), b"a,b\n1,2\n\x81,3\n", "line 3: the text is not cp1252"),
        (Dialect(encoding="utf-16"), "a,b\n1,2\n".encode("utf-16")[:-1], "the text is not utf-16"),
        (Dialect(encoding="ascii"), "a,b\n1,ü\n", "line 2: the text is not ascii"),
        (Dialect(delimiter=";"), "a,b\n1,2\n", "line 1: between the names is ',', and nowhere ';'"),
    ],
)
def test_a_file_that_is_not_as_stated_is_refused(tmp_path: Path, dialect: Dialect, content: str, message: str):
    with pytest.raises(BadInput, match=message):
        read(tmp_path / "in.csv", content, dialect)


@pytest.mark.parametrize(
    "marks",
    [{"delimiter": ",,"}, {"delimiter": "\n"}, {"delimiter": "x"}, {"quote": ","}, {"quote": ""}, {"escape": '"'},
     {"decimal": "'"}, {"encoding": "utf-99"}, {"encoding": "hex"}, {"encoding": "idna"},
     {"encoding": "punycode"}, {"encoding": "unicode_escape"}, {"time_zone": "Berlin"},
     {"time_format": "dd.mm.yyyy"}],
)  # fmt: skip
def test_a_dialect_that_cannot_be_is_refused(marks: dict[str, str]):
    with pytest.raises(BadParameter):
        Dialect(**marks)


@pytest.mark.parametrize("block_bytes", [100, 8 << 20])
@pytest.mark.parametrize("end", ["", '",5\n6,7\n'])
def test_a_row_that_is_too_long_is_refused_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, block_bytes: int
):
    override(monkeypatch, csv_files, MOST_ROW_BYTES=1000)
    with pytest.raises(BadInput, match=r"line 3: a row is longer"):
        read(tmp_path / "in.csv", 'a,b\n1,2\n"' + "3,4\n" * 1000 + end, block_bytes=block_bytes)


def test_a_cell_longer_than_any_buffer_is_read_exactly(tmp_path: Path):
    long = "x" * 5_000_000
    assert read(tmp_path / "in.csv", f"a,b\n{long},2\n", block_bytes=1 << 20) == [(2, [long, "2"])]


def test_quotes_that_first_come_after_many_rows_are_quotes(tmp_path: Path):
    plain = "".join(f"{number},x\n" for number in range(30_000))
    rows = read(tmp_path / "in.csv", f'a,b\n{plain}"1,1","2\n2"\n', block_bytes=1 << 16)
    assert (len(rows), rows[-1]) == (30_001, (30_002, ["1,1", "2\n2"]))


#: One row by the grammar of RFC 4180, with its line break.
_CELL = r'(?:"(?:[^"]|"")*"|[^",\r\n]*)'
_ROW = re.compile(rf"{_CELL}(?:,{_CELL})*\r?\n")


def slowly(content: str) -> Rows | None:
    """What `read` should return; None where the form is broken, or the header is."""
    rows: Rows = []
    content = re.sub(r"^(\r?\n)+\Z|(?<=\n)(\r?\n)+\Z", "", content if content.endswith("\n") else content + "\n")
    at = 0
    while at < len(content):
        row = _ROW.match(content, at)
        if row is None:
            return None
        text = row[0].removesuffix("\n").removesuffix("\r")
        cells = [cell[1] for cell in re.finditer(rf"(?:^|,)({_CELL})", text)]
        plain = [cell[1:-1].replace('""', '"') if cell[:1] == '"' else cell for cell in cells]
        rows.append((content.count("\n", 0, at) + 2, plain if len(cells) == 2 else [text]))
        at = row.end()
    return rows


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.text(st.sampled_from('"",,,\n\n\r1x# é'), max_size=24), block_bytes=st.integers(2, 12))
def test_any_text_is_read_as_the_grammar_says_or_refused(tmp_path: Path, content: str, block_bytes: int):
    wanted = slowly(content)
    try:
        rows = read(tmp_path / "in.csv", "a,b\n" + content, block_bytes=block_bytes)
    except BadInput:
        assert wanted is None
        return
    assert rows == wanted
