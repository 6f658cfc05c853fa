"""Files of JSON lines: what was appended is read again, and nothing that was cut or is no record."""

import json
from itertools import accumulate
from pathlib import Path

import pytest
from constants import override

from serving import lines

MANY = [{"n": n, "text": "é" * n} for n in range(50)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log" / "2026-01-31.jsonl"


def test_what_is_appended_is_read_in_order(file: Path):
    lines.append(file, MANY[:20])
    lines.append(file, MANY[20:], to_disk=True)
    assert list(lines.read(file)) == MANY


def test_reading_goes_on_from_a_byte_offset(file: Path):
    lines.append(file, MANY[:20])
    size = file.stat().st_size
    lines.append(file, MANY[20:])
    assert list(lines.read(file, size)) == MANY[20:]


def test_a_file_that_does_not_exist_has_no_records(file: Path):
    assert [*lines.read(file), *lines.read_backwards(file, 0, 100), *lines.read_folder(file.parent)] == []


@pytest.mark.parametrize("cut", ['{"n": 9, "te', "", "null", "7", '"text"', "[1, 2]", "\xff", '{"n": 9}{"n": 10}'])
def test_a_line_that_is_no_record_is_passed_over(file: Path, cut: str):
    lines.append(file, MANY[:2])
    with file.open("ab") as log:
        log.write(cut.encode("latin-1") + b"\n")
    lines.append(file, MANY[2:4])
    assert list(lines.read(file)) == MANY[:4]
    assert list(lines.read_backwards(file, 0, 10_000)) == MANY[3::-1]


def test_a_line_counts_only_once_it_has_its_newline(file: Path):
    lines.append(file, MANY[:2])
    with file.open("a") as log:
        log.write(json.dumps(MANY[2]))
    assert list(lines.read(file)) == MANY[:2]
    assert list(lines.read_backwards(file, 0, 10_000)) == MANY[1::-1]
    lines.append(file, MANY[3:5])  # closes the line that was left open
    assert list(lines.read(file)) == MANY[:5]


@pytest.mark.parametrize("block", [1, 7, 64, 10_000])
def test_reading_backwards_takes_the_whole_lines_of_a_range(file: Path, monkeypatch: pytest.MonkeyPatch, block: int):
    override(monkeypatch, lines, BLOCK_BYTES=block)
    lines.append(file, MANY)
    ends = list(accumulate(len(line) for line in file.read_bytes().splitlines(keepends=True)))
    assert list(lines.read_backwards(file, 0, ends[-1])) == MANY[::-1]
    assert list(lines.read_backwards(file, ends[46], ends[-1] + 99)) == MANY[:46:-1]
    for some in range(1, 5):  # a part of a line is no line
        assert list(lines.read_backwards(file, ends[46] - some, ends[48])) == MANY[48:46:-1]
        assert list(lines.read_backwards(file, ends[45], ends[48] - some)) == MANY[47:45:-1]


def test_an_append_says_where_its_lines_will_be(file: Path):
    for some in (MANY[:3], MANY[3:5]):
        before = file.stat().st_size if file.exists() else 0
        noted = list[int]()
        lines.append(file, some, note=lambda first, after, noted=noted: noted.extend([first, after]))
        assert noted == [before, file.stat().st_size]


def test_reading_backwards_parses_only_lines_with_the_prefix(file: Path):
    lines.append(file, MANY)
    assert list(lines.read_backwards(file, 0, 10_000, b'{"n":4')) == [*MANY[:39:-1], MANY[4]]


def test_the_files_of_a_folder_are_read_in_the_order_of_their_names(file: Path):
    lines.append(file.with_name("2026-02-01.jsonl"), MANY[20:])
    lines.append(file, MANY[:20])
    file.with_name("2026-01-01.txt").write_text('{"n": 0}\n')
    assert list(lines.read_folder(file.parent)) == MANY
