"""The offline log of a stream job on Kafka: the versions of events that the job has processed, each with the partition
and the offset of its message in the name of its file.

How far the log has a partition lies in a file beside it. A transaction that fails leaves rows that its successor does
not write again, so each row is in the log once, whoever works on the partition meanwhile.
"""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json
from quixstreams.sinks import BaseSink

from features.windows.events import Row
from features.windows.raw import RawTable
from files import locked, replacing
from jobs.raw import offline_log
from root import Root

#: Offset, µs since 1970 when the broker appended it, and the row of the event as it arrived.
_Row = tuple[int, int, Row]
#: Two versions of an event may come in one ms. Their offsets tell which is the later one.
_MS_US = 1000


class EventsSink(BaseSink):
    """The versions of events since the last commit."""

    def __init__(self, root: Root, raw: RawTable, prefix: str = "") -> None:
        """`prefix` tells the partitions of one topic from those of another, in the names of files."""
        super().__init__()
        self._folder, self._raw = root.offline_log(raw.name), raw
        self._rows: dict[int, list[_Row]] = {}
        self._prefix, self._writer = prefix, uuid.uuid4().hex

    def add(self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int) -> None:
        """Take one row. Quix Streams calls it."""
        created = timestamp * _MS_US + offset % _MS_US
        self._rows.setdefault(partition, []).append((offset, created, value))

    def flush(self) -> None:
        """Write the rows to the log. Raises OSError; then the transaction fails too."""
        rows, self._rows = self._rows, {}
        for partition, of_partition in rows.items():
            self._write(f"{self._prefix}{partition}", of_partition)

    def on_paused(self) -> None:
        """Forget the rows: Quix Streams gives them again."""
        self._rows = {}

    def _write(self, partition: str, rows: Sequence[_Row]) -> None:
        """Write those rows of a partition, in the order of their offsets, that the log does not have yet."""
        note, raw = self._folder / f".partition-{partition}", self._raw
        with locked(note.with_suffix(".lock")):
            logged, writer = from_json(note.read_bytes()) if note.exists() else (-1, "")
            rows = [row for row in rows if row[0] > logged]
            if not rows:
                return
            if writer != self._writer:  # it may have died with a part of its rows in files
                offline_log.remove_after(self._folder, logged, partition)
                _replace(note, (logged, self._writer))
            offsets, created, versions = zip(*rows, strict=True)
            table = offline_log.dated(raw, versions, created)
            files = offline_log.write_offsets(self._folder, table, raw.time, offsets[0], offsets[-1], partition)
            _replace(note, (offsets[-1], self._writer))
            for file in files:
                offline_log.compact(file, raw.time)


def _replace(note: Path, content: tuple[int, str]) -> None:
    with replacing(note) as beside:
        beside.write_bytes(to_json(content))
