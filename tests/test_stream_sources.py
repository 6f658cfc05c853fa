"""A stream job reads each line of a file once, also where the file grows, is truncated, or does not exist yet."""

import json
import os
import threading
from pathlib import Path

import pytest

import settings
from errors import BadParameter
from jobs.stream.sources import Line, Position, open_source
from serving import lines

PLENTY = 10**6


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


class Reader:
    """Reads a source, each time from where it was."""

    def __init__(self, path: Path) -> None:
        self.source = open_source(settings.root(), f"jsonl:{path}", "swipes")
        self.position: Position = {}
        self.faults: list[Line] = []

    def read(self, most_bytes: int = PLENTY, final: bool = False) -> list[bytes]:
        read, self.position = self.source.read(self.position, most_bytes, final)
        self.position = json.loads(json.dumps(self.position))  # as the state file keeps it
        self.faults += [line for line in read if line.fault]
        return [line.text for line in read if not line.fault]


def test_half_a_line_of_a_growing_file_waits_for_its_other_half(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    reader, texts = Reader(file), []
    for text in (b"", b"one\n", b"tw", b"", b"o\nthree\nfo", b"ur\n"):
        with file.open("ab") as growing:
            growing.write(text)
        texts.append(reader.read())
    assert texts == [[], [b"one"], [], [], [b"two", b"three"], [b"four"]]


@pytest.mark.parametrize(("final", "texts"), [(False, [b"one"]), (True, [b"one", b"two"])])
def test_a_last_line_without_an_end_counts_only_if_it_is_final(tmp_path: Path, final: bool, texts: list[bytes]) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"one\ntwo")
    assert Reader(tmp_path / "events.jsonl").read(final=final) == texts


def test_blank_lines_and_carriage_returns_are_no_lines(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"\n\r\n  \none\r\n\n\ntwo\n\n")
    reader = Reader(tmp_path / "events.jsonl")
    assert [text.strip() for text in reader.read()] == [b"one", b"two"]
    assert reader.source.behind(reader.position) == 0


def test_a_folder_is_read_in_the_order_of_names_with_files_that_are_new(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "2026-03-02.jsonl").write_bytes(b"c\n")
    (folder / "2026-03-01.jsonl").write_bytes(b"a\nb\n")
    (folder / "2026-03-01.txt").write_bytes(b"no\n")
    reader = Reader(folder)
    assert [reader.read(), reader.read(), reader.read()] == [[b"a", b"b"], [b"c"], []]
    (folder / "2026-03-03.jsonl").write_bytes(b"d\n")
    assert reader.read() == [b"d"]


@pytest.mark.parametrize("is_read_empty", [True, False])
def test_a_truncated_file_is_read_from_its_beginning(tmp_path: Path, is_read_empty: bool) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"one\ntwo\n")
    reader = Reader(file)
    reader.read()
    file.write_bytes(b"")
    if is_read_empty:
        assert reader.read() == []
    file.write_bytes(b"a new line\n" if is_read_empty else b"new\n")
    assert [*reader.read(), *reader.read()] == [b"a new line" if is_read_empty else b"new"]
    assert [line.at for line in reader.faults] == ["events.jsonl at byte 8"]


@pytest.mark.parametrize("final", [False, True])
def test_a_line_longer_than_a_read_is_whole(tmp_path: Path, final: bool) -> None:
    texts = [b"x" * 10, b"y" * 1000, b"z", b"w" * 99]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(texts) + b"\n")
    reader, read = Reader(tmp_path / "events.jsonl"), list[bytes]()
    while more := reader.read(most_bytes=16, final=final):
        read += more
    assert read == texts


def test_a_line_says_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_bytes(b"one\n\ntwo\n")
    read, _ = Reader(tmp_path / "events.jsonl").source.read({}, PLENTY, False)
    assert [line.at for line in read] == ["events.jsonl at byte 0", "events.jsonl at byte 5"]


def test_a_source_that_does_not_exist_yet_is_empty_until_it_does(tmp_path: Path) -> None:
    reader = Reader(tmp_path / "events.jsonl")
    assert (reader.read(), reader.source.behind({})) == ([], 0)
    (tmp_path / "events.jsonl").write_bytes(b"one\n")
    assert reader.read() == [b"one"]
    log = open_source(settings.root(), "log", "swipes")
    assert log.read({}, PLENTY, False) == ([], {})


@pytest.mark.parametrize(
    "source", ["", "kafka:x", "jsonl:", "jsonl", "log:x", "jsonl:/nowhere/at/all.jsonl", "jsonl:/tmp/a.jsonl.gz"]
)
def test_an_unknown_source_is_refused_with_the_choices(source: str) -> None:
    with pytest.raises(BadParameter, match=r"Choose log, or jsonl:PATH|[Gg]ive (a|the) file of JSON lines"):
        open_source(settings.root(), source, "swipes")


def test_lines_that_are_taken_back_on_a_full_disk_are_never_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "events.jsonl"
    lines.append(file, [{"n": 1}])
    reader, is_written, read = Reader(file), threading.Event(), list[list[bytes]]()
    reader.read()

    def fail(_: int) -> None:
        is_written.set()
        reading.join(0.2)
        raise OSError(28, "No space left on device")

    def read_once_written() -> None:
        is_written.wait()
        read.append(reader.read())

    monkeypatch.setattr(os, "fsync", fail)
    reading = threading.Thread(target=read_once_written)
    reading.start()
    with pytest.raises(OSError, match="No space"):
        lines.append(file, [{"never": "accepted"}], to_disk=True)
    reading.join()
    lines.append(file, [{"two": "longer than the lines that were taken back"}])
    assert [*read, reader.read()] == [[], [b'{"two":"longer than the lines that were taken back"}']]
