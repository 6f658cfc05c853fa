"""The offline log of a stream job on Kafka: the versions of events that the job has processed, each with the partition
and the offset of its message in the name of its file.

How far the log has a partition lies in a file beside it, with the `created` of the last row. A transaction that fails
leaves rows that its successor does not write again, so each row is in the log once, whoever works on the partition
meanwhile. `created` grows with the offset, and a row that is written again has the same.
"""

import uuid
from collections.abc import Iterable, Sequence
from itertools import accumulate
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
#: Of a partition: the offset and `created` of the last row that the log has, and who wrote it.
_Note = tuple[int, int, str]


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
        self._rows.setdefault(partition, []).append((offset, timestamp * 1000, value))

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
            logged, last, writer = _read(note)
            rows = [row for row in rows if row[0] > logged]
            if not rows:
                return
            if writer != self._writer:  # it may have died with a part of its rows in files
                offline_log.remove_after(self._folder, logged, partition)
                _replace(note, (logged, last, self._writer))
            offsets, appended, versions = zip(*rows, strict=True)
            created = _growing(appended, last)
            table = offline_log.dated(raw, versions, created)
            files = offline_log.write_offsets(self._folder, table, raw.time, offsets[0], offsets[-1], partition)
            _replace(note, (offsets[-1], created[-1], self._writer))
            for file in files:
                offline_log.compact(file, raw.time)


def _growing(appended: Iterable[int], last: int) -> list[int]:
    """`created` of rows in the order of their offsets, after one with `last`, µs since 1970. Many rows come in one ms,
    and the clock of a broker may go back: each is created at least a µs after the one before."""
    return list(accumulate(appended, lambda before, at: max(before + 1, at), initial=last))[1:]


def _read(note: Path) -> _Note:
    if not note.exists():
        return -1, 0, ""
    content: list[Any] = from_json(note.read_bytes())
    offset, *created, writer = content  # an older version did not note `created`
    return offset, created[0] if created else 0, writer


def _replace(note: Path, content: _Note) -> None:
    with replacing(note) as beside:
        beside.write_bytes(to_json(content))
