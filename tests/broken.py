"""Ways to break a file of a root, and what a root holds."""

import shutil
from pathlib import Path

import pytest


def garbage(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"\xff\x00 no such format " * 100)


def empty(path: Path) -> None:
    path.unlink()
    path.touch()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def gone(path: Path) -> None:
    path.unlink()


def file(path: Path) -> None:
    """A file where a folder is needed."""
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


by_name = pytest.mark.parametrize(
    "damage", [garbage, empty, folder, gone], ids=["garbage", "empty", "a folder", "gone"]
)


def names(root: Path) -> set[str]:
    """The files and folders of a root, without those that SQLite keeps beside its own."""
    paths = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    return {name for name in paths if not name.endswith(("-wal", "-shm", "-journal"))}
