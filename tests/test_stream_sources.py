"""A stream reads each line once, from files that grow, are cut off, or are not there yet."""

import os
import threading

import pytest

import settings
from errors import BadParameter
from jobs.stream.sources import open_source
from serving import lines

PLENTY = 10**6


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


class Reader:
    """Reads on from where it was."""

    def __init__(self, path):
        self.source, self.position = open_source(settings.root(), f"jsonl:{path}", "swipes"), {}

    def read(self, most=PLENTY, final=False):
        found, self.position = self.source.read(self.position, most, final)
        return [line.text for line in found]


def test_a_file_that_grows_is_read_on_and_half_a_line_waits_for_its_other_half(tmp_path):
    file = tmp_path / "events.jsonl"
    reader, found = Reader(file), []
    for text in (b"", b"one\n", b"tw", b"", b"o\nthree\nfo", b"ur\n"):
        with file.open("ab") as grown:
            grown.write(text)
        found.append(reader.read())
    assert found == [[], [b"one"], [], [], [b"two", b"three"], [b"four"]]


@pytest.mark.parametrize(("final", "found"), [(False, [b"one"]), (True, [b"one", b"two"])])
def test_a_last_line_without_an_end_counts_only_if_nothing_will_be_added(tmp_path, final, found):
    (tmp_path / "events.jsonl").write_bytes(b"one\ntwo")
    assert Reader(tmp_path / "events.jsonl").read(final=final) == found


def test_blank_lines_and_ends_of_windows_are_no_lines(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(b"\n\r\n  \none\r\n\n\ntwo\n\n")
    reader = Reader(tmp_path / "events.jsonl")
    assert [text.strip() for text in reader.read()] == [b"one", b"two"]
    assert reader.source.behind(reader.position) == 0


def test_a_folder_is_read_in_the_order_of_names_with_the_files_that_come(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "2026-03-02.jsonl").write_bytes(b"c\n")
    (folder / "2026-03-01.jsonl").write_bytes(b"a\nb\n")
    (folder / "2026-03-01.txt").write_bytes(b"no\n")
    reader = Reader(folder)
    assert [reader.read(), reader.read(), reader.read()] == [[b"a", b"b"], [b"c"], []]
    (folder / "2026-03-03.jsonl").write_bytes(b"d\n")
    assert reader.read() == [b"d"]


@pytest.mark.parametrize("is_seen_empty", [True, False])
def test_a_file_that_was_cut_off_is_read_from_its_beginning(tmp_path, is_seen_empty):
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"one\ntwo\n")
    reader = Reader(file)
    reader.read()
    file.write_bytes(b"")
    if is_seen_empty:
        assert reader.read() == []
    file.write_bytes(b"a new line\n" if is_seen_empty else b"new\n")
    assert reader.read() == [b"a new line" if is_seen_empty else b"new"]


@pytest.mark.parametrize("final", [False, True])
def test_lines_longer_than_what_is_read_at_a_time_are_whole(tmp_path, final):
    texts = [b"x" * 10, b"y" * 1000, b"z", b"w" * 99]
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(texts) + b"\n")
    reader, found = Reader(tmp_path / "events.jsonl"), []
    while more := reader.read(most=16, final=final):
        found += more
    assert found == texts


def test_a_line_says_where_it_stands(tmp_path):
    (tmp_path / "events.jsonl").write_bytes(b"one\n\ntwo\n")
    found, _ = open_source(settings.root(), f"jsonl:{tmp_path / 'events.jsonl'}", "swipes").read({}, PLENTY, False)
    assert [line.at for line in found] == ["events.jsonl at byte 0", "events.jsonl at byte 5"]


def test_what_is_not_there_yet_is_waited_for(tmp_path):
    reader = Reader(tmp_path / "events.jsonl")
    assert (reader.read(), reader.source.behind({})) == ([], 0)
    (tmp_path / "events.jsonl").write_bytes(b"one\n")
    assert reader.read() == [b"one"]
    source = open_source(settings.root(), "log", "swipes")
    assert source.read({}, PLENTY, False) == ([], {})


@pytest.mark.parametrize("source", ["", "kafka:x", "jsonl:", "jsonl", "log:x", "jsonl:/nowhere/at/all.jsonl"])
def test_a_source_that_cannot_be_is_refused_with_what_can(source):
    with pytest.raises(BadParameter, match=r"Choose log, or jsonl:PATH|Give a file of JSON lines"):
        open_source(settings.root(), source, "swipes")


def test_what_is_taken_back_because_the_disk_is_full_was_never_read(tmp_path, monkeypatch):
    file = tmp_path / "events.jsonl"
    lines.append(file, [{"n": 1}])
    reader, is_written, found = Reader(file), threading.Event(), []
    reader.read()

    def full(_):
        is_written.set()
        reading.join(0.2)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    reading = threading.Thread(target=lambda: (is_written.wait(), found.append(reader.read())))
    reading.start()
    with pytest.raises(OSError, match="No space"):
        lines.append(file, [{"never": "accepted"}], to_disk=True)
    reading.join()
    lines.append(file, [{"two": "longer than what was taken back"}])
    assert [*found, reader.read()] == [[], [b'{"two":"longer than what was taken back"}']]
