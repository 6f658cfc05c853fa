"""The chain of the audit log. The end of a line is its link: the record's number, which counts from 1, and the digest
of the record before it. Whoever changes, removes or moves a record breaks the link after it."""

import hashlib
import os
import re
from typing import NamedTuple

from pydantic_core import from_json

#: A file is read from its end by this many bytes at a time.
BLOCK_BYTES = 16 * 1024
_LINK = re.compile(rb',?"number":(\d{1,18}),"previous":"([0-9a-f]{64})"\}\Z')
#: No link is longer.
_LONGEST_LINK = 128


class Head(NamedTuple):
    """A record of the chain: its number, and the SHA-256 of its line without the newline, in hex."""

    number: int
    digest: str


#: What the first record of a new log follows.
START = Head(0, "0" * 64)


def digest(line: bytes) -> str:
    """The digest of a record: of its line without the newline."""
    return hashlib.sha256(line).hexdigest()


def linked(record: bytes, head: Head) -> tuple[bytes, Head]:
    """The line of a record that follows `head`, without the newline, and the head that it is. `record` is an object of
    JSON."""
    comma = b"" if record == b"{}" else b","
    line = b'%s%s"number":%d,"previous":"%s"}' % (record[:-1], comma, head.number + 1, head.digest.encode())
    return line, Head(head.number + 1, digest(line))


def link_of(line: bytes) -> Head | None:
    """The number of a record, and the digest of the record before it, from its line without the newline. None if the
    line has no link: an older version wrote it, or it is no record."""
    match = _LINK.search(line, max(0, len(line) - _LONGEST_LINK))
    return Head(int(match[1]), match[2].decode()) if match else None


def is_record(line: bytes) -> bool:
    """Whether a line holds an object of JSON. What a crash cut does not."""
    try:
        return isinstance(from_json(line), dict)
    except ValueError:
        return False


def last(file: int, size: int) -> Head | None:
    """The last record in the first `size` bytes of an open file, None if there is none. A record without a link has the
    number of the last one that has a link, or 0. A record that lacks only its newline counts: the next append closes
    it."""
    begin, rest, unlinked = size, b"", ""
    while begin:
        begin, end = max(0, begin - BLOCK_BYTES), begin
        head, *whole = (os.pread(file, end - begin, begin) + rest).split(b"\n")
        rest = head + b"\n" if whole else head
        for line in reversed(whole if begin else [head, *whole]):
            if is_record(line):
                if link := link_of(line):
                    return Head(link.number, unlinked or digest(line))
                unlinked = unlinked or digest(line)
    return Head(0, unlinked) if unlinked else None
