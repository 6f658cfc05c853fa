"""Compressed files of JSON lines. Nothing is appended to one. To find a place in one, all before it is unpacked, so the
file that was read last stays open."""

import gzip
import os
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

from serving.lines import whole_lines

if TYPE_CHECKING:
    from jobs.stream.sources.marks import Mark

COMPRESSED = ".gz"
#: A content is told by the checksum of this many bytes of its beginning, before more of it is read.
EDGE_BYTES = 4096
PIECE_BYTES = 1024 * 1024
#: What reading a compressed file raises where it has no end yet, or other bytes than were written.
_DAMAGES = (EOFError, zlib.error, gzip.BadGzipFile)


class Unpacked:
    """The content of a compressed file, from its beginning to its end, or to where it is damaged."""

    def __init__(self, file: Path) -> None:
        self._log = gzip.open(file)  # noqa: SIM115 closed by `close`
        #: What a mark says of the file: `file` and `touched`.
        self.told = _told(os.fstat(self._log.fileno()))
        self.offset, self.is_damaged = 0, False
        self._ahead = b""
        self._first = self._ahead = self._unpack(EDGE_BYTES)
        #: What `lines` has read, of which it takes a part.
        self._since = bytearray()

    def read(self, size: int) -> bytes:
        """The next `size` bytes; fewer at the end."""
        piece = self._take(size)
        self._since += piece
        return piece

    def lines(self, most_bytes: int, longest: int) -> bytes:
        """As `whole_lines`. The last line needs no newline, unless the file is damaged after it."""
        self._since.clear()
        begin = self.offset
        chunk = whole_lines(cast(IO[bytes], self), most_bytes, False, longest)
        if not chunk and not self.is_damaged:
            chunk = bytes(self._since)
        self._ahead, self.offset = bytes(self._since[len(chunk) :]) + self._ahead, begin + len(chunk)
        return chunk

    def has_more(self) -> bool:
        """Whether the content goes on."""
        self._ahead = self._unpack(1)
        return bool(self._ahead)

    def head(self, offset: int) -> int:
        """CRC-32 of the first `EDGE_BYTES` of the bytes up to an offset."""
        return zlib.crc32(self._first[:offset])

    def checksum(self, size: int) -> int | None:
        """CRC-32 of the next bytes; None where there are fewer."""
        checksum = 0
        while size:
            piece = self._take(min(size, PIECE_BYTES))
            if not piece:
                return None
            checksum, size = zlib.crc32(piece, checksum), size - len(piece)
        return checksum

    def close(self) -> None:
        """Close the file."""
        self._log.close()

    def _take(self, size: int) -> bytes:
        pieces = self._unpack(size)
        piece, self._ahead = pieces[:size], pieces[size:]
        self.offset += len(piece)
        return piece

    def _unpack(self, size: int) -> bytes:
        """What is ahead, with more, so that it has so many bytes if the file has."""
        pieces = bytearray(self._ahead)
        try:
            while len(pieces) < size and not self.is_damaged and (more := self._log.read1(size - len(pieces))):
                pieces += more
        except _DAMAGES:
            self.is_damaged = True
        return bytes(pieces)


class Compressed:
    """Reads compressed files after their marks."""

    def __init__(self) -> None:
        self._last: tuple[Path, Unpacked] | None = None

    def read(self, file: Path, mark: "Mark", most_bytes: int, longest: int) -> "tuple[bytes, Mark] | None":
        """The lines after a mark, as `whole_lines`, and the mark after them. There is no line at the end, and where the
        file is damaged; then something is `left`. None where the file does not begin with the bytes of the mark."""
        log = self._at(file, mark)
        if log is None:
            return None
        chunk = log.lines(most_bytes, longest)
        after = {
            "offset": log.offset, "left": int(log.has_more() or log.is_damaged),
            "all": zlib.crc32(chunk, mark.get("all", 0)), "head": log.head(log.offset), **log.told,
        }  # fmt: skip
        if "changed" in mark:
            after["changed"] = mark["changed"]
        if not after["left"]:
            self._close()
        return chunk, after

    def _at(self, file: Path, mark: "Mark") -> Unpacked | None:
        if self._last is not None:
            path, log = self._last
            if path == file and log.offset == mark["offset"] and log.told == _told(file.stat()):
                return log
        self._close()
        log = Unpacked(file)
        self._last = file, log
        if log.checksum(mark["offset"]) != mark.get("all", 0):
            self._close()
            return None
        return log

    def _close(self) -> None:
        if self._last is not None:
            self._last[1].close()
        self._last = None


def plain(name: str) -> str:
    """The name of a file before it was compressed."""
    return name.removesuffix(COMPRESSED)


def is_read(file: Path, mark: "Mark") -> bool:
    """Whether a compressed file was read to its end, and has not changed since."""
    return mark.get("left") == 0 and {name: mark.get(name) for name in ("file", "touched")} == _told(file.stat())


def unread(file: Path, mark: "Mark") -> int:
    """How many bytes of a compressed file are not read, at most; packed ones."""
    return 0 if is_read(file, mark) else file.stat().st_size


def _told(status: os.stat_result) -> dict[str, Any]:
    return {"file": [status.st_dev, status.st_ino], "touched": status.st_ctime_ns}
