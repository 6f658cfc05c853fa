"""Lines of a file that is rotated, and a reader of them that goes on where it was."""

import json
from pathlib import Path

import settings
from jobs.stream.sources import Line, Position, open_source


def lines(begin: int, count: int, pad: int = 0) -> list[bytes]:
    return [b'{"id": "c%05d"}' % n + b" " * pad for n in range(begin, begin + count)]


def whole(texts: list[bytes]) -> bytes:
    return b"".join(text + b"\n" for text in texts)


class Reader:
    """Reads a file, each time from where it was. With `is_new`, each time as a new process."""

    def __init__(self, path: Path, is_new: bool = False) -> None:
        self.path, self.is_new, self.position = path, is_new, Position()
        self.source = open_source(settings.root(), f"jsonl:{path}", "swipes")
        self.faults: list[Line] = []

    def read(self, most_bytes: int = 10**6, behind: int = 0) -> list[bytes]:
        """All lines that there are. So many bytes cannot be read yet."""
        texts: list[bytes] = []
        if self.is_new:
            self.source = open_source(settings.root(), f"jsonl:{self.path}", "swipes")
        while True:
            position = json.loads(json.dumps(self.position))
            read, self.position = self.source.read(position, most_bytes, False)
            if self.position == position:
                assert self.source.behind(self.position) == behind
                return texts
            texts += [line.text for line in read if not line.fault]
            self.faults += [line for line in read if line.fault]
