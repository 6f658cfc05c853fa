"""How far a file was read, and what tells its content from that of another file under the same name.

A name and a length do not tell: a file is renamed and begun again, copied and cut, or replaced by a longer one. So a
mark has checksums of the bytes that were read. A file continues a mark if it begins with those bytes, whatever its name
is.
"""

import os
import re
import zlib
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import IO, Any

from jobs.stream.sources.compressed import COMPRESSED, EDGE_BYTES, PIECE_BYTES, Unpacked, plain

#: A rotated file stands beside the file, or in a folder beside it. No more files than this are looked at.
MOST_CANDIDATES = 200
#: What a rotation adds to a file's name: a number, or a date.
_ROTATED = re.compile(r"[.-]\d[\d.T-]*(\.gz)?")
_AT_END = re.compile(rf"({_ROTATED.pattern}|\.gz)$")

#: As JSON. `offset`: the bytes that were read; `left`: those that were not, then. `all`, `head`, `tail`: CRC-32 of the
#: bytes that were read, and of the first and the last `EDGE_BYTES` of them. `file`: device and inode. `changed`: when
#: the content of the file had last changed; of a file of which nothing was read, the content of the one before it.
#: `touched`: when anything of the file had changed, both in ns since 1970. `skips`: the offset is inside a line that is
#: too long, and the rest of the line is no event. The mark of a compressed file has no `tail`, and its `left` is 1
#: where there is more to read, and 0 at its end.
Mark = dict[str, Any]


def mark_of(kept: Any) -> Mark:
    """A mark as a position keeps it. Before marks had checksums, it was the offset alone."""
    return {"offset": kept} if isinstance(kept, int) else kept or {"offset": 0}


def after(mark: Mark, log: IO[bytes], read: bytes) -> Mark:
    """The mark once `read` was read at its offset. `log` is the open file, not a compressed one."""
    offset, status = mark["offset"] + len(read), os.fstat(log.fileno())
    before = mark["all"] if "all" in mark else _checksum(log, mark["offset"]) or 0
    edges = {"head": _edge(log, 0, offset), "tail": _edge(log, max(0, offset - EDGE_BYTES), offset)}
    file = [status.st_dev, status.st_ino]
    return {
        "offset": offset, "left": max(0, status.st_size - offset), "all": zlib.crc32(read, before), **edges,
        "file": file, "changed": status.st_mtime_ns, "touched": status.st_ctime_ns,
    }  # fmt: skip


def continues(log: IO[bytes], mark: Mark, is_known: bool = False) -> bool:
    """Whether an open file, not a compressed one, begins with the bytes that the mark was made of. A file that this
    process knows (`is_known`) and that has grown is taken for the same: all of it is read again only where it was
    written over, or where another file may have the inode of one that is gone."""
    offset, status = mark["offset"], os.fstat(log.fileno())
    if status.st_size < offset:
        return False
    if offset == 0 or "all" not in mark:
        return True
    edges = {"head": 0, "tail": max(0, offset - EDGE_BYTES)}
    if any(name in mark and mark[name] != _edge(log, begin, offset) for name, begin in edges.items()):
        return False
    has_grown = is_known and status.st_size > offset + mark["left"]
    is_same = mark.get("file") == [status.st_dev, status.st_ino] and (
        has_grown or mark.get("touched") == status.st_ctime_ns
    )
    return is_same or _checksum(log, offset) == mark["all"]


def is_at(file: Path, mark: Mark) -> bool:
    """Whether the file at a path, which may be compressed, begins with the bytes that the mark was made of."""
    try:
        if file.suffix == COMPRESSED:
            with closing(Unpacked(file)) as unpacked:
                head, offset = unpacked.head(mark["offset"]), mark["offset"]
                return head == mark.get("head", head) and unpacked.checksum(offset) == mark.get("all")
        with file.open("rb") as log:
            return continues(log, mark)
    except OSError:
        return False


def candidates(file: Path, but: Iterable[Path]) -> list[Path]:
    """The files that a file may have become when it was rotated, the one that changed last first. A file that is being
    compressed is still there, and its compressed one is not whole yet."""
    files, others, own = [], {file, *but}, Path(_AT_END.sub("", file.name))
    for pattern in (f"{own}*", f"{own.stem}*", f"*/{own.stem}*"):
        files += [other for other in file.parent.glob(pattern) if other not in others and other.is_file()]
        others |= set(files)
    files = [other for other in files if (before := _plain(other)) in (other, file) or not before.exists()]
    return sorted(files, key=_changed, reverse=True)[:MOST_CANDIDATES]


def is_rotated(file: Path) -> bool:
    """Whether rotated files of `file` are beside it: it is no file of one day, after which none gets its name."""
    return bool(_rotated(file, []))


def newer(file: Path, mark: Mark, but: Iterable[Path]) -> list[Path]:
    """The rotated files of `file` that have changed after the mark was made, oldest first: the file was rotated more
    than once."""
    return [other for other in reversed(_rotated(file, but)) if _changed(other) > mark.get("changed", _changed(other))]


def _rotated(file: Path, but: Iterable[Path]) -> list[Path]:
    return [other for other in candidates(file, but) if _ROTATED.fullmatch(other.name.removeprefix(file.name))]


def _plain(file: Path) -> Path:
    return file.with_name(plain(file.name))


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _edge(log: IO[bytes], begin: int, end: int) -> int:
    return zlib.crc32(os.pread(log.fileno(), min(EDGE_BYTES, end - begin), begin))


def _checksum(log: IO[bytes], size: int) -> int | None:
    """CRC-32 of the first bytes; None where there are fewer."""
    checksum = 0
    log.seek(0)
    while size:
        piece = log.read(min(size, PIECE_BYTES))
        if not piece:
            return None
        checksum, size = zlib.crc32(piece, checksum), size - len(piece)
    return checksum
