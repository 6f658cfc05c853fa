"""A file of a stream that is renamed, replaced, copied, cut or compressed loses no line that is still there, and says
where lines may be gone."""

import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from line_reader import Reader, lines, whole


@pytest.fixture(params=["one process", "a process for each read"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    return Reader(tmp_path / "app.jsonl", request.param != "one process")


@pytest.fixture(params=["file", "folder"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    return Reader(tmp_path / "app.jsonl" if request.param == "file" else tmp_path)


def app(reader: Reader) -> Path:
    return reader.path / "app.jsonl" if reader.path.is_dir() else reader.path


LENGTHS = {"longer": 9, "as long": 3, "shorter": 2, "longer by a multiple": 6}


@pytest.mark.parametrize("pad", [0, 5000])
@pytest.mark.parametrize("how", ["replace", "write over", "rename and write", "remove and write"])
@pytest.mark.parametrize("count", LENGTHS.values(), ids=LENGTHS)
def test_a_file_that_took_the_place_of_another_is_read_whole(reader: Reader, count: int, how: str, pad: int) -> None:
    file, new = reader.path, whole(lines(10, count, pad))
    file.write_bytes(whole(lines(0, 3, pad)))
    assert reader.read() == lines(0, 3, pad)
    if how == "replace":
        file.with_suffix(".new").write_bytes(new)
        os.replace(file.with_suffix(".new"), file)
    elif how == "write over":
        file.write_bytes(new)
    elif how == "rename and write":
        file.rename(file.with_name("app.jsonl.1"))
        file.write_bytes(new)
    else:
        file.unlink()
        file.write_bytes(new)
    assert reader.read() == lines(10, count, pad)
    assert len(reader.faults) == (how != "rename and write")
    assert reader.read() == []


@pytest.mark.parametrize("how", ["write over", "remove and write"])
def test_a_file_as_long_and_with_the_same_ends_is_another_one(reader: Reader, how: str) -> None:
    """A new file may have the inode of the removed one, and a program may set the time of the change."""
    file, begin, end = reader.path, lines(0, 300), lines(300, 300)
    file.write_bytes(whole([*begin, *lines(1000, 300), *end]))
    os.utime(file, (1_700_000_000, 1_700_000_000))
    reader.read()
    if how != "write over":
        file.unlink()
    file.write_bytes(whole([*begin, *lines(2000, 300), *end]))
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert reader.read() == [*begin, *lines(2000, 300), *end]


def test_a_link_that_is_moved_to_the_next_file_loses_nothing(reader: Reader) -> None:
    link, first, second = (reader.path.with_name(name) for name in ("app.jsonl", "app-1.jsonl", "app-2.jsonl"))
    first.write_bytes(whole(lines(0, 3)))
    link.symlink_to(first.name)
    texts = reader.read()
    with first.open("ab") as log:
        log.write(whole(lines(3, 2)))
    second.write_bytes(whole(lines(5, 2)))
    link.with_name("next").symlink_to(second.name)
    os.replace(link.with_name("next"), link)
    assert (texts + reader.read(), reader.faults) == (lines(0, 7), [])


def test_a_file_that_is_cut_in_its_middle_and_goes_on_is_read_again(reader: Reader) -> None:
    reader.path.write_bytes(whole(lines(0, 5)))
    reader.read()
    os.truncate(reader.path, len(whole(lines(0, 2))))
    texts = reader.read()
    with reader.path.open("ab") as log:
        log.write(whole(lines(10, 9)))
    assert texts + reader.read() == [*lines(0, 2), *lines(10, 9)]
    assert len(reader.faults) == 1


def rename(file: Path) -> None:
    file.rename(file.with_name("app.jsonl.1"))


def rename_with_the_date(file: Path) -> None:
    file.rename(file.with_name("app.jsonl-20260301"))


def rename_before_the_suffix(file: Path) -> None:
    file.rename(file.with_name("app.1.jsonl"))


def move_to_a_folder(file: Path) -> None:
    file.parent.joinpath("old").mkdir(exist_ok=True)
    file.rename(file.parent / "old" / "app.jsonl.1")


def copy_and_truncate(file: Path) -> None:
    shutil.copy(file, file.with_name("app.jsonl.1"))
    os.truncate(file, 0)


def compress(file: Path) -> None:
    with gzip.open(file.with_name("app.jsonl.1.gz"), "wb") as packed:
        packed.write(file.read_bytes())
    file.unlink()


ROTATIONS = [rename, rename_with_the_date, rename_before_the_suffix, move_to_a_folder, copy_and_truncate, compress]


@pytest.mark.parametrize("is_read_between", [False, True])
@pytest.mark.parametrize("rotate", ROTATIONS)
def test_what_was_not_read_before_a_rotation_is_read_after_it(
    either: Reader, rotate: Callable[[Path], None], is_read_between: bool
) -> None:
    file, texts = app(either), list[bytes]()
    file.write_bytes(whole(lines(0, 3)))
    texts += either.read()
    with file.open("ab") as log:
        log.write(whole(lines(3, 2)))
    rotate(file)
    if is_read_between:
        texts += either.read()
    with file.open("ab") as log:
        log.write(whole(lines(5, 7)))
    texts += either.read()
    assert (texts, either.faults) == (lines(0, 12), [])


def test_a_writer_may_go_on_writing_to_the_file_that_was_renamed(reader: Reader) -> None:
    with reader.path.open("ab", buffering=0) as old:
        old.write(whole(lines(0, 2)))
        texts = reader.read()
        rename(reader.path)
        old.write(whole(lines(2, 1)))
        reader.path.write_bytes(whole(lines(3, 1)))
        texts += reader.read()
        old.write(whole(lines(4, 1)))
        texts += reader.read()
    assert (texts, reader.faults) == (lines(0, 5), [])


def test_rotations_that_shift_the_numbers_lose_nothing_and_read_nothing_twice(reader: Reader) -> None:
    file, number = reader.path, 1
    file.write_bytes(whole(lines(0, number)))
    texts = reader.read()
    for round_ in range(9):
        for count in range(round_ % 3):
            with file.open("ab") as log:
                log.write(whole(lines(number, count + 1)))
            number += count + 1
            if count:
                texts += reader.read()
        for n in (3, 2, 1):
            if (older := file.with_name(f"app.jsonl.{n}")).exists():
                older.rename(file.with_name(f"app.jsonl.{n + 1}"))
        if file.exists():
            rename(file)
    assert texts + reader.read() == lines(0, number)
    assert reader.faults == []


def test_two_rotations_between_two_reads_lose_nothing(reader: Reader) -> None:
    file = reader.path
    file.write_bytes(whole(lines(0, 2)))
    texts = reader.read()
    for first in (2, 4):
        file.with_name("app.jsonl.1").exists() and file.with_name("app.jsonl.1").rename(file.with_name("app.jsonl.2"))
        rename(file)
        file.write_bytes(whole(lines(first, 2)))
        os.utime(file, (os.stat(file).st_mtime + first,) * 2)  # as some seconds later
    assert (texts + reader.read(), reader.faults) == (lines(0, 6), [])


def test_what_followed_in_a_file_that_is_gone_is_reported_with_its_place(reader: Reader) -> None:
    reader.path.write_bytes(whole(lines(0, 3)))
    reader.read()
    reader.path.write_bytes(whole(lines(10, 4)))
    assert reader.read() == lines(10, 4)
    (fault,) = reader.faults
    assert fault.at == f"app.jsonl at byte {len(whole(lines(0, 3)))}"
    assert "is lost" in fault.fault


def test_other_files_beside_a_file_are_not_read(reader: Reader) -> None:
    for name in ("app.jsonl.bak", "app.jsonl.tmp", "app2.jsonl", "app.jsonl.1"):
        reader.path.with_name(name).write_bytes(whole(lines(90, 1)))
    reader.path.write_bytes(whole(lines(0, 2)))
    assert reader.read() == lines(0, 2)
    reader.path.write_bytes(whole(lines(2, 1)))
    assert reader.read() == lines(2, 1)


def test_a_copy_of_the_file_in_its_place_is_not_read_again(reader: Reader) -> None:
    reader.path.write_bytes(whole(lines(0, 3)))
    reader.read()
    shutil.copy(reader.path, reader.path.with_name("copy"))
    os.replace(reader.path.with_name("copy"), reader.path)
    with reader.path.open("ab") as log:
        log.write(whole(lines(3, 1)))
    assert (reader.read(), reader.faults) == (lines(3, 1), [])


def test_a_position_of_an_earlier_version_goes_on_where_it_was(reader: Reader) -> None:
    reader.path.write_bytes(whole(lines(0, 3)))
    reader.position = {"app.jsonl": len(whole(lines(0, 2)))}
    assert reader.read() == lines(2, 1)
    reader.path.write_bytes(whole(lines(10, 4)))
    assert reader.read() == lines(10, 4)


def test_a_line_that_is_too_long_is_a_fault_and_never_in_memory_whole(reader: Reader) -> None:
    long = b"x" * 5_000_000
    reader.path.write_bytes(whole([*lines(0, 1), long, *lines(1, 1)]) + long)
    assert reader.read(most_bytes=100_000) == lines(0, 2)
    with reader.path.open("ab") as log:
        log.write(long + b"\n" + whole(lines(2, 1)))
    assert reader.read(most_bytes=100_000) == lines(2, 1)
    assert [len(line.text) < 1_200_000 and "longer than" in line.fault for line in reader.faults] == [True] * 2
