"""Files that other processes read: replaced as a whole, locked, and told apart by a fingerprint."""

import errno
import fcntl
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

DATA_SUFFIXES = (".parquet", ".csv")
#: A file that changed less than this ago may change again and look the same: a file system counts time in steps.
SETTLED_NS = 2_000_000_000
#: The file system writes many syncs that wait together as one. On ext4, 850 files took 6 s one after the other, and
#: 0.4 s with this many waiting at a time.
SYNC_THREADS = 16
#: What nobody but the owner and the group of a file may do: read it, write it, or look into a folder.
NOTHING_FOR_OTHERS = 0o027


def keep_from_others() -> None:
    """Let every file that this process makes from now on be 0640 or less, and every folder 0750."""
    os.umask(NOTHING_FOR_OTHERS)


def hide(path: Path) -> None:
    """Take the rights of others from a file or folder, whatever the umask was: a notebook is no process of ours."""
    path.chmod(path.stat().st_mode & ~NOTHING_FOR_OTHERS)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write to. When the block ends, the file there becomes `target`; when it raises,
    `target` stays as it was.

    A reader sees the old content or the new content, each whole. That holds after a crash and after a power cut too,
    and once this returns, a power cut keeps the new content. Missing folders are made.

    Only one writer may work on a `target` at a time. A writer that is killed leaves `.<name>.tmp`: its name begins with
    a dot and does not end as `target` does, so no reader of the folder takes it for data. The next writer of the same
    target overwrites it; where every target has a name of its own, `remove_left` removes it.
    """
    make_folder(target.parent)
    beside = target.with_name(f".{target.name}.tmp")
    try:
        yield beside
        hide(beside)
        replace({beside: target})
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def remove_left(folder: Path) -> None:
    """Remove what killed writers left in a folder. The caller is its only writer."""
    for left in folder.glob(".*.tmp"):
        left.unlink()


def replace(targets: Mapping[Path, Path]) -> None:
    """Rename each key, a file or a folder, to its value, on one file system. A power cut afterwards keeps all of them
    under their new names. A power cut in the middle leaves some old and some new, each whole.

    A file at a target is replaced; a folder at a target must be empty. Missing folders are made. The files in a folder
    that is renamed need a `sync` of their own.
    """
    sync(*targets)  # content first: otherwise a power cut can leave the new name without the content
    changed: set[Path] = set()
    for source, target in targets.items():
        changed |= {target.parent, *_make(target.parent)}
        os.replace(source, target)
    sync(*changed)


def make_folder(folder: Path) -> None:
    """Make a folder, and those above it. A power cut afterwards keeps them."""
    sync(*_make(folder))


def _make(folder: Path) -> list[Path]:
    """Make a folder, and those above it. Returns the folders in which a name is new."""
    if folder.is_dir():
        return []
    changed = [*_make(folder.parent), folder.parent]
    folder.mkdir(0o777 & ~NOTHING_FOR_OTHERS, exist_ok=True)
    return changed


def sync(*paths: Path) -> None:
    """Wait until the disk holds the content of each file, and the names in each folder."""
    if len(paths) < 2:
        list(map(_sync, paths))
    else:
        with ThreadPoolExecutor(SYNC_THREADS) as pool:
            list(pool.map(_sync, paths))


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def locked(path: Path, busy: Exception | None = None) -> Iterator[None]:
    """Hold the lock `path`, so that no other thread or process holds it meanwhile. The file is made, and stays. The
    system releases the lock when the process ends, also when it is killed.

    While another holds the lock, this waits; or with `busy`, raises that at once.
    """
    _make(path.parent)
    with open(path, "w", opener=_private) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise busy or error from None
        yield


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o666 & ~NOTHING_FOR_OTHERS)


#: Inode, size in bytes, and the times at which a file was written and changed, in ns. Nobody can set the last one back.
Signature = tuple[int, int, int, int]


def signature(path: str | Path) -> Signature:
    """What a file looks like from outside. Raises OSError."""
    state = os.stat(path)
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def is_settled(seen: Signature) -> bool:
    """Whether a change of the file from now on would give another signature."""
    return time.time_ns() - seen[-1] > SETTLED_NS


#: What a fault of a file is raised as: by the system, or by SQLite.
FileFaults = (OSError, sqlite3.DatabaseError)
_READ_AND_WRITE = "Let this process read and write it."
_MOVE = "Move it away"
_BY_ERRNO = {
    errno.ENOSPC: "Free space on its disk.",
    errno.EDQUOT: "Free space, or raise the quota of this user.",
    errno.EACCES: _READ_AND_WRITE,
    errno.EPERM: _READ_AND_WRITE,
    errno.EROFS: "Mount its disk for writing.",
    errno.EIO: "Check its disk.",
    errno.EMFILE: "Let this process have more files open.",
    errno.ENFILE: "Let the system have more files open.",
    errno.EISDIR: f"A file is needed, and this is a folder. {_MOVE}.",
    errno.ENOTDIR: f"A folder is needed, and a part of the path is a file. {_MOVE}.",
    errno.EEXIST: f"A folder is needed, and this is a file. {_MOVE}.",
}
_BY_SQLITE = {
    sqlite3.SQLITE_FULL: _BY_ERRNO[errno.ENOSPC],
    sqlite3.SQLITE_READONLY: _READ_AND_WRITE,
    sqlite3.SQLITE_PERM: _READ_AND_WRITE,
    sqlite3.SQLITE_CANTOPEN: f"{_READ_AND_WRITE[:-1]}, and the folder that it is in.",
    sqlite3.SQLITE_IOERR: _BY_ERRNO[errno.EIO],
    sqlite3.SQLITE_BUSY: "Another process is writing it. Try again.",
    sqlite3.SQLITE_LOCKED: "Another process is writing it. Try again.",
}


def fault(error: Exception, path: Path | None = None, damaged: str = f"{_MOVE}, and make it again.") -> str:
    """What is wrong with a file or folder, and what to do, for a person. `path` is named where the error does not name
    its file. `damaged` says what to do with a file that cannot be read as what it should be, or that is gone.

    >>> fault(OSError(errno.EACCES, "Permission denied", "a.db"))
    'a.db: Permission denied. Let this process read and write it.'
    """
    if isinstance(error, OSError):
        named, words = error.filename or path, (error.strerror or _first_line(error)).rstrip(".")
        remedy = _BY_ERRNO.get(error.errno or 0, damaged)
    else:
        named, words = path, _first_line(error)
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        is_folder = path is not None and path.is_dir()
        remedy = _BY_ERRNO[errno.EISDIR] if is_folder else _BY_SQLITE.get(code, damaged)
    words = words.rstrip(". ")
    return f"{os.fsdecode(named)}: {words}. {remedy}" if named else f"{words}. {remedy}"


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


@contextmanager
def explained(path: Path, error_class: Callable[[str], Exception], damaged: str) -> Iterator[None]:
    """Inside, a fault of the file or folder `path` is raised as an error of ours, with the message of `fault`."""
    try:
        yield
    except FileFaults as error:
        raise error_class(fault(error, path, damaged)) from error


def is_file_fault(error: BaseException) -> bool:
    """Whether a file or a disk is at fault: the system, SQLite, DuckDB or Arrow says so."""
    library = type(error).__module__.partition(".")[0]
    # DuckDB raises `Error` itself where a page of a Parquet file is broken.
    names = {"IOException", "InvalidInputException", "ArrowInvalid", "SerializationException", "Error"}
    of_table = library in ("duckdb", "_duckdb", "pyarrow") and type(error).__name__ in names
    return of_table or isinstance(error, FileFaults)


@contextmanager
def read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A SQLite file to read. It is not made, and not changed. Raises sqlite3.DatabaseError."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        yield connection


def listing(*places: Path) -> list[list[Any]]:
    """Path, size in bytes and time of change in ns of each Parquet and CSV file. A place is such a file, or a folder
    that has them at any depth. A path is listed by its last four parts."""
    files = [f for place in places for f in ([place] if place.is_file() else sorted(place.rglob("*")))]
    data = [f for f in files if f.suffix in DATA_SUFFIXES]
    return [[str(f.relative_to(f.parents[3])), f.stat().st_size, f.stat().st_mtime_ns] for f in data]


def sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON value, in hex. The order of an object's keys does not matter."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
