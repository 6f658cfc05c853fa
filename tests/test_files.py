"""A file is replaced as a whole or not at all. A lock has one holder, and none once the holder dies."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import WAIT_SECONDS, Child, started, wait_until

import settings
from errors import Busy
from files import fingerprint, listing, locked, make_folder, replace, replacing, sync

OLD, NEW = b"old " * 1000, b"new " * 1000
#: Writes half of the new content, says so, and waits to be killed.
HALF_WRITER = """
import sys, time
from pathlib import Path
from files import replacing
with replacing(Path(sys.argv[1])) as beside, beside.open("wb") as file:
    file.write(b"new " * 500)
    file.flush()
    print("half is written", flush=True)
    time.sleep(3600)
"""
#: Takes a lock, says so, and waits to be killed.
LOCK_HOLDER = """
import sys, time
from pathlib import Path
from files import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(3600)
"""


@contextmanager
def printing(program: str, path: Path, line: str) -> Iterator[Child]:
    """A Python process that has printed a line."""
    with started(
        [sys.executable, "-c", program, path], env={**os.environ, "PYTHONPATH": str(settings.PROJECT)}
    ) as child:
        wait_until(lambda: line in child.stdout, what=f"the process prints {line!r}", child=child)
        yield child


def kill(child: Child) -> None:
    child.send(signal.SIGKILL)
    child.ended(code=-signal.SIGKILL)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(target: Path, content: bytes) -> None:
    with replacing(target) as beside:
        beside.write_bytes(content)


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_the_old_content_whole(tmp_path: Path) -> None:
    write(tmp_path / "day.parquet", OLD)
    with printing(HALF_WRITER, tmp_path / "day.parquet", "half is written") as writer:
        assert names(tmp_path) == [".day.parquet.tmp", "day.parquet"]
        kill(writer)
    assert (tmp_path / "day.parquet").read_bytes() == OLD


@pytest.mark.slow
def test_what_a_killed_writer_leaves_is_no_data_and_is_overwritten(tmp_path: Path) -> None:
    with printing(HALF_WRITER, tmp_path / "day.parquet", "half is written") as writer:
        kill(writer)
    assert names(tmp_path) == [".day.parquet.tmp"]
    assert (list(tmp_path.glob("*.parquet")), listing(tmp_path)) == ([], [])
    write(tmp_path / "day.parquet", NEW)
    assert names(tmp_path) == ["day.parquet"]
    assert (tmp_path / "day.parquet").read_bytes() == NEW


@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_writer_that_raises_changes_nothing(tmp_path: Path, error: BaseException) -> None:
    write(tmp_path / "file", OLD)

    def fail() -> None:
        with replacing(tmp_path / "file") as beside:
            beside.write_bytes(NEW)
            raise error

    with pytest.raises(type(error)):
        fail()
    assert names(tmp_path) == ["file"]
    assert (tmp_path / "file").read_bytes() == OLD


def test_a_reader_sees_the_old_content_or_the_new_never_a_part(tmp_path: Path) -> None:
    target, is_done = tmp_path / "file", threading.Event()
    write(target, OLD)

    def write_often() -> None:
        for turn in range(200):
            write(target, NEW if turn % 2 else OLD)
        is_done.set()

    writer = threading.Thread(target=write_often)
    writer.start()
    contents = set()
    while not is_done.is_set():
        contents.add(target.read_bytes())
    writer.join(WAIT_SECONDS)
    assert contents <= {OLD, NEW}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What is synced and renamed from here on, in order."""
    recorded: list[tuple[str, str]] = []
    fsync, rename = os.fsync, os.replace

    def recorded_fsync(file: int) -> None:
        recorded.append(("sync", Path(os.readlink(f"/proc/self/fd/{file}")).name))
        fsync(file)

    def recorded_rename(source: Path, target: Path) -> None:
        recorded.append(("rename", Path(target).name))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_rename)
    return recorded


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_content_is_on_disk_before_the_name_and_the_name_after(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    (tmp_path / "folder").mkdir()
    write(tmp_path / "folder" / "file", NEW)
    assert calls == [("sync", ".file.tmp"), ("rename", "file"), ("sync", "folder")]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_names_of_new_folders_are_on_disk_too(tmp_path: Path, calls: list[tuple[str, str]]) -> None:
    make_folder(tmp_path / "a" / "b")
    assert sorted(calls) == sorted([("sync", tmp_path.name), ("sync", "a")])
    calls.clear()
    make_folder(tmp_path / "a" / "b")
    assert calls == []


def test_many_files_are_renamed_into_folders_that_are_made(tmp_path: Path) -> None:
    targets = {tmp_path / str(n): tmp_path / f"month={n % 3}" / f"day={n}" / "part" for n in range(50)}
    for n, source in enumerate(targets):
        source.write_text(str(n))
    replace(targets)
    assert [target.read_text() for target in targets.values()] == [str(n) for n in range(50)]
    assert not any(source.exists() for source in targets)


def test_a_folder_and_a_link_are_renamed_as_files_are(tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "model").write_text("2")
    (tmp_path / "current").symlink_to("version-1")
    (tmp_path / "next").symlink_to("version-2")
    sync(tmp_path / "made" / "model")
    replace({tmp_path / "made": tmp_path / "version-2"})
    replace({tmp_path / "next": tmp_path / "current"})
    assert (tmp_path / "current" / "model").read_text() == "2"


def test_a_second_holder_of_a_lock_is_refused_with_the_given_error(tmp_path: Path) -> None:
    with (
        locked(tmp_path / "folder" / "lock", Busy("first")),
        pytest.raises(Busy, match="second"),
        locked(tmp_path / "folder" / "lock", Busy("second")),
    ):
        raise AssertionError("both hold the lock")


def test_without_an_error_a_second_holder_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "lock"):
            order.append("second")

    with locked(tmp_path / "lock"):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.1)
        order.append("first")
    waiting.join(WAIT_SECONDS)
    assert order == ["first", "second"]


@pytest.mark.slow
def test_a_lock_is_free_after_an_error_and_after_its_holder_is_killed(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="full"), locked(tmp_path / "lock"):
        raise OSError("the disk is full")
    with printing(LOCK_HOLDER, tmp_path / "lock", "locked") as holder:
        with pytest.raises(Busy), locked(tmp_path / "lock", Busy("taken")):
            raise AssertionError("both hold the lock")
        kill(holder)
        with locked(tmp_path / "lock", Busy("taken")):
            pass


def test_a_listing_changes_when_a_data_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "here" / "raw" / "table" / "file.parquet"
    write(file, OLD)
    write(file.with_name("notes.txt"), OLD)
    before = listing(tmp_path / "here")
    assert [row[:2] for row in before] == [["here/raw/table/file.parquet", len(OLD)]]
    assert listing(file) == before
    write(file, NEW + b"!")
    assert listing(tmp_path / "here") != before


def test_a_fingerprint_is_of_the_value_and_not_of_the_order_of_its_keys() -> None:
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
