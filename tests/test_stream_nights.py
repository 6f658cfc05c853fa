"""A job that reads a file once a night, right after it was rotated, loses no night: nothing of the new file is there to
read yet, and by the next run that file has another name, too."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from line_reader import Reader, lines, whole

from jobs.stream.sources import json_lines


@pytest.fixture(params=["one process", "a process for each read"])
def reader(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    monkeypatch.setattr(json_lines, "SEARCH_SECONDS", 0.0)
    return Reader(tmp_path / "app.jsonl", request.param != "one process")


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
    reader: Reader, rotate: Callable[[Path, int], None], nights: int, is_begun: bool
) -> None:
    file, texts = reader.path, list[bytes]()
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
def test_a_rotated_file_goes_on_being_read_under_each_name(reader: Reader, rotate: Callable[[Path, int], None]) -> None:
    file, few_bytes, texts = reader.path, len(whole(lines(0, 1))), list[bytes]()
    for night in range(4):
        file.write_bytes(whole(lines(9 * night, 9)))
        os.utime(file, (1_700_000_000 + night,) * 2)
        read, reader.position = reader.source.read(reader.position, few_bytes, False)
        texts += [line.text for line in read]
        rotate(file, night)
    assert (sorted(texts + reader.read()), reader.faults) == (lines(0, 36), [])
