"""A job that reads a file once a night, right after it was rotated, loses no night: nothing of the new file is there to
read yet, and by the next run that file has another name, too."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from constants import override
from line_reader import Reader, lines, whole

from jobs.stream.sources import json_lines


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "app.jsonl"


@pytest.fixture(params=["one process", "a process for each read"])
def is_new(request: pytest.FixtureRequest) -> bool:
    return request.param != "one process"


@pytest.fixture(params=["file", "folder"])
def reader(request: pytest.FixtureRequest, file: Path, is_new: bool, monkeypatch: pytest.MonkeyPatch) -> Reader:
    override(monkeypatch, json_lines, SEARCH_SECONDS=0.0)
    return Reader(file if request.param == "file" else file.parent, is_new)


def shift(file: Path, night: int) -> None:
    for n in range(night, 0, -1):
        for suffix in ("", ".gz"):
            if (older := file.with_name(f"{file.name}.{n}{suffix}")).exists():
                older.rename(file.with_name(f"{file.name}.{n + 1}{suffix}"))
    file.rename(file.with_name(f"{file.name}.1"))


def compress(file: Path) -> None:
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    os.utime(packed, ns=(file.stat().st_mtime_ns,) * 2)  # as gzip does
    file.unlink()


def shift_and_compress(file: Path, night: int) -> None:
    shift(file, night)
    compress(file.with_name(f"{file.name}.1"))


def shift_and_compress_later(file: Path, night: int) -> None:
    shift(file, night)
    if (older := file.with_name(f"{file.name}.2")).exists():
        compress(older)


def name_by_date(file: Path, night: int) -> None:
    file.rename(file.with_name(f"{file.name}-2026030{night + 1}"))


ROTATIONS = [shift, shift_and_compress, shift_and_compress_later, name_by_date]


@pytest.mark.parametrize("is_begun", [False, True])
@pytest.mark.parametrize("nights", [1, 2])
@pytest.mark.parametrize("rotate", ROTATIONS)
def test_a_file_that_is_begun_and_rotated_between_two_reads_is_read(
    reader: Reader, file: Path, rotate: Callable[[Path, int], None], nights: int, is_begun: bool
) -> None:
    texts = list[bytes]()
    for night in range(6):
        file.write_bytes(whole(lines(2 * night, 2)))
        os.utime(file, (1_700_000_000 + night,) * 2)
        if night == 0:
            texts += reader.read()
        rotate(file, night)
        if is_begun:
            file.touch()
        if night % nights == 0:
            texts += reader.read()
    assert (texts + reader.read(), reader.faults) == (lines(0, 12), [])


@pytest.mark.parametrize("rotate", ROTATIONS)
def test_a_rotated_file_goes_on_being_read_under_each_name(
    reader: Reader, file: Path, rotate: Callable[[Path, int], None]
) -> None:
    few_bytes, texts = len(whole(lines(0, 1))), list[bytes]()
    for night in range(4):
        file.write_bytes(whole(lines(9 * night, 9)))
        os.utime(file, (1_700_000_000 + night,) * 2)
        read, reader.position = reader.source.read(reader.position, few_bytes, False)
        texts += [line.text for line in read]
        rotate(file, night)
    assert (sorted(texts + reader.read()), reader.faults) == (lines(0, 36), [])


def test_a_file_of_which_one_rotation_is_kept_is_read_each_night(reader: Reader, file: Path) -> None:
    texts = list[bytes]()
    for night in range(5):
        file.write_bytes(whole(lines(3 * night, 3)))
        os.utime(file, (1_700_000_000 + night,) * 2)
        if night == 0:
            texts += reader.read()
        file.rename(file.with_name("app.jsonl.1"))
        texts += reader.read()
    assert (texts, reader.faults) == (lines(0, 15), [])


@pytest.mark.parametrize("is_read", [False, True])
@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_file_that_is_being_compressed_is_read_once(reader: Reader, file: Path, part: float, is_read: bool) -> None:
    rotated, packed = file.with_name("app.jsonl.1"), file.with_name("app.jsonl.1.gz")
    file.write_bytes(whole(lines(0, 2000)))
    texts = reader.read()
    with file.open("ab") as log:
        log.write(whole(lines(2000, 100)))
    file.rename(rotated)
    texts += reader.read() if is_read else []
    content = gzip.compress(rotated.read_bytes())
    packed.write_bytes(content[: int(part * len(content))])
    texts += reader.read()
    packed.write_bytes(content)
    rotated.unlink()
    assert (texts + reader.read() + reader.read(), reader.faults) == (lines(0, 2100), [])


def test_a_compressed_file_that_is_damaged_is_reported_once_and_stops_nothing(reader: Reader, file: Path) -> None:
    file.write_bytes(whole(lines(0, 1)))
    texts = reader.read()
    file.rename(file.with_name("app.jsonl.1"))
    texts += reader.read()
    content = gzip.compress(os.urandom(100_000).hex().encode())
    packed = file.with_name("app.jsonl.2.gz")
    packed.write_bytes(content[:50_000])
    assert (reader.read(behind=50_000), reader.faults) == ([], [])  # its second half may follow
    os.utime(packed, (packed.stat().st_mtime - 100,) * 2)
    os.utime(file.with_name("app.jsonl.1"), (packed.stat().st_mtime - 200,) * 2)
    assert reader.read() == []
    file.write_bytes(whole(lines(1, 2)))
    assert texts + reader.read() + reader.read() == lines(0, 3)
    assert [fault.at for fault in reader.faults] == ["app.jsonl.2.gz at byte 0"]
