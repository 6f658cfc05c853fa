"""A folder of files, one for each day, of which somebody compresses those that are over: before the job read them, in
the middle, or after. Each line is read once, in the order of the days."""

import gzip
import os
from pathlib import Path

import pytest
from line_reader import Reader, lines, whole
from test_stream_nights import compress

from jobs.stream.sources import compressed
from jobs.stream.sources.chunks import LONGEST_LINE_BYTES

#: Random digits, of which the compressed file has half as many bytes.
NOISE = os.urandom(100_000).hex().encode()


@pytest.fixture(params=["one process", "a process for each read"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    return Reader(tmp_path, request.param != "one process")


def day(reader: Reader, number: int, name: str = "2026-03-0{}.jsonl") -> Path:
    return reader.path / name.format(number)


def pack(content: bytes, file: Path) -> Path:
    packed = file.with_name(f"{file.name}.gz")
    packed.write_bytes(gzip.compress(content))
    return packed


@pytest.mark.parametrize("is_there_at_first", [False, True])
def test_days_that_were_compressed_before_a_read_are_read_in_order(reader: Reader, is_there_at_first: bool) -> None:
    texts = [] if is_there_at_first else reader.read()
    for number in (1, 2, 3, 4):
        day(reader, number).write_bytes(whole(lines(2 * number, 2)))
        if number < 4:
            compress(day(reader, number))
    assert (texts + reader.read() + reader.read(), reader.faults) == (lines(2, 8), [])


@pytest.mark.parametrize("read", [0, 1, 5])
def test_a_day_of_which_a_part_was_read_is_read_to_its_end(reader: Reader, read: int) -> None:
    day(reader, 1).write_bytes(whole(lines(0, read)))
    texts = reader.read()
    day(reader, 1).write_bytes(whole(lines(0, 5)))
    compress(day(reader, 1))
    day(reader, 2).write_bytes(whole(lines(5, 1)))
    assert (sorted(texts + reader.read() + reader.read()), reader.faults) == (lines(0, 6), [])


def test_a_folder_forgets_the_files_that_are_gone(reader: Reader) -> None:
    texts = list[bytes]()
    for number in (1, 2, 3, 4):
        day(reader, number).write_bytes(whole(lines(number, 1)))
        texts += reader.read()
        compress(day(reader, number)) if number % 2 else day(reader, number).unlink()
        texts += reader.read()
    assert (texts, reader.faults) == (lines(1, 4), [])
    assert [*reader.position] == ["2026-03-01.jsonl.gz", "2026-03-03.jsonl.gz"]
    for packed in reader.path.iterdir():
        packed.unlink()
    assert (reader.read(), reader.faults, reader.position) == ([], [], {})


def test_a_day_that_is_unpacked_again_is_not_read_again(reader: Reader) -> None:
    packed = pack(whole(lines(0, 3000)), day(reader, 1))
    texts = reader.read()
    day(reader, 1).write_bytes(gzip.decompress(packed.read_bytes()) + whole(lines(3000, 1)))
    packed.unlink()
    assert (texts + reader.read() + reader.read(), reader.faults) == (lines(0, 3001), [])


def test_a_file_that_was_renamed_and_compressed_is_not_read_again(reader: Reader) -> None:
    texts = list[bytes]()
    for night in range(4):
        day(reader, 0, "app.jsonl").write_bytes(whole(lines(3 * night, 3)))
        texts += reader.read()
        compress(day(reader, 0, "app.jsonl").rename(day(reader, night, "app-{}.jsonl")))
        texts += reader.read() if night % 2 else []
    assert (texts + reader.read(), reader.faults) == (lines(0, 12), [])


def test_a_compressed_file_is_read_in_pieces_and_unpacked_once(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, really = list[Path](), gzip.open
    monkeypatch.setattr(compressed.gzip, "open", lambda file: opened.append(file) or really(file))
    pack(whole(lines(0, 500)), day(reader, 1))
    assert reader.read(most_bytes=100) == lines(0, 500)
    reader.read()
    assert len(opened) == 1


def test_a_line_that_is_too_long_is_one_fault(reader: Reader) -> None:
    pack(whole([*lines(0, 1), b"x" * (3 * LONGEST_LINE_BYTES), *lines(1, 1)]) + lines(2, 1)[0], day(reader, 1))
    assert reader.read(most_bytes=1000) == lines(0, 3)
    assert [fault.at for fault in reader.faults] == ["2026-03-01.jsonl.gz at byte 17"]


def test_what_comes_before_a_damage_is_read_and_the_rest_is_reported_once(reader: Reader) -> None:
    good = whole(lines(0, 2000))
    packed = pack(good + NOISE + b"\n" + whole(lines(2000, 5)), day(reader, 1))
    content = packed.read_bytes()
    packed.write_bytes(content[:-50_000])
    texts = reader.read(behind=packed.stat().st_size)  # its second half may follow
    assert (texts, reader.faults) == (lines(0, 2000), [])
    os.utime(packed, (packed.stat().st_mtime - 100,) * 2)
    assert reader.read() + reader.read() == []
    assert [(fault.at, "damaged" in fault.fault) for fault in reader.faults] == [
        (f"2026-03-01.jsonl.gz at byte {len(good)}", True)
    ]
    packed.write_bytes(content)
    assert [text for text in reader.read() if text != NOISE] == lines(2000, 5)


def test_a_file_that_is_not_compressed_in_spite_of_its_name_is_a_fault(reader: Reader) -> None:
    packed = day(reader, 1, "2026-03-0{}.jsonl.gz")
    packed.write_bytes(whole(lines(0, 1)))
    os.utime(packed, (packed.stat().st_mtime - 100,) * 2)
    day(reader, 2).write_bytes(whole(lines(1, 1)))
    pack(b"", day(reader, 3))
    day(reader, 4, "2026-03-0{}.jsonl.gz").touch()
    assert reader.read() == lines(1, 1)
    assert [fault.at for fault in reader.faults] == ["2026-03-01.jsonl.gz at byte 0"]
