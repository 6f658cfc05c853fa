"""Files that a reader sees whole or not at all: written in a hidden folder beside their place, then moved there."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

#: What the stores make is for its owner and group only.
PRIVATE_FILE, PRIVATE_FOLDER = 0o640, 0o750
#: The start of the name of a hidden folder.
_NEW = ".new-"
#: By then, a process that has made a hidden folder has locked it too.
_LOCKED_SECONDS = 60


@contextmanager
def moving_into(folder: Path) -> Iterator[Path]:
    """A hidden folder inside `folder`, to write new files to. Makes `folder` if there is none.

    When the block ends, each file moves to the same place in `folder`, in one step, and replaces the file that was
    there. A power cut afterwards keeps all of them. If the block fails, the new files are removed and `folder` stays as
    it was. What a process left that was killed in its block, a later block for the same folder removes.
    """
    make_folder(folder)
    for left in folder.glob(f"{_NEW}*"):
        _remove_if_left(left)
    with tempfile.TemporaryDirectory(prefix=_NEW, dir=folder) as name, _locked(Path(name)):
        hidden = Path(name)
        yield hidden
        new_files = sorted(path for path in hidden.rglob("*") if path.is_file())
        for new_file in new_files:
            new_file.chmod(new_file.stat().st_mode & PRIVATE_FILE)
            _sync(new_file)  # content first: otherwise a power cut can leave the new name without the content
        changed = {folder.parent, folder}
        for new_file in new_files:
            target = folder / new_file.relative_to(hidden)
            make_folder(target.parent)
            os.replace(new_file, target)
            changed.update(parent for parent in target.parents if parent.is_relative_to(folder))
        for changed_folder in changed:
            _sync(changed_folder)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A path to write the new file to. When the block ends, the file there replaces `target`, as `moving_into` says."""
    with moving_into(target.parent) as hidden:
        yield hidden / target.name


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it."""
    if not folder.is_dir():
        make_folder(folder.parent)
        folder.mkdir(PRIVATE_FOLDER, exist_ok=True)


@contextmanager
def _locked(folder: Path, flags: int = 0) -> Iterator[None]:
    """Hold the lock of a folder. The system releases it when the process ends, also when it is killed."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | flags)
        yield
    finally:
        os.close(opened)


def _remove_if_left(hidden: Path) -> None:
    with suppress(OSError), _locked(hidden, fcntl.LOCK_NB):  # else its process is at work, or has removed it
        if time.time() - hidden.stat().st_mtime > _LOCKED_SECONDS:
            shutil.rmtree(hidden)


def _sync(path: Path) -> None:
    """Wait until the disk holds the content of a file, or the names in a folder."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
