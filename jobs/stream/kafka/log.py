"""The offline log of a stream job on Kafka: the versions of events that the job has processed, each with the partition
and the offset of its message in the name of its file.

How far the log has a partition lies in a file beside it, with the `created` of the last row. A transaction that fails
leaves rows that its successor does not write again, so each row is in the log once, whoever works on the partition
meanwhile. `created` grows with the offset, and a row that is written again has the same.

Each topic begins at offset 0, also one of the same name that was deleted and created again. So the log knows each by
the id that its brokers gave it. The names of the first topic have no id: other topics are rare.
"""

import uuid
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json
from quixstreams.sinks import BaseSink

from errors import LogUnavailable
from features.windows.events import Row
from features.windows.raw import RawTable
from files import locked, replacing
from jobs.raw import offline_log
from root import Root

#: Offset, µs since 1970 when the broker appended it, and the row of the event as it arrived.
_Row = tuple[int, int, Row]


class _Note(NamedTuple):
    """Of a partition: the offset and `created` of the last row that the log has, who wrote it, and the id of the topic.
    An older version did not note the last, and before that not `created`."""

    offset: int = -1
    created: int = 0
    writer: str = ""
    topic: str = ""


class EventsSink(BaseSink):
    """The versions of events since the last commit."""

    def __init__(self, root: Root, raw: RawTable, topic: str, prefix: str = "") -> None:
        """`topic` is the id of the topic. `prefix` tells what different engines write, in the names of files."""
        super().__init__()
        self._folder, self._raw = root.offline_log(raw.name), raw
        self._rows: dict[int, list[_Row]] = {}
        self._topic, self._prefix, self._writer = topic, prefix, uuid.uuid4().hex

    def add(self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int) -> None:
        """Take one row. Quix Streams calls it."""
        self._rows.setdefault(partition, []).append((offset, timestamp * 1000, value))

    def flush(self) -> None:
        """Write the rows to the log. Raises OSError and LogUnavailable; then the transaction fails too."""
        rows, self._rows = self._rows, {}
        for partition, of_partition in rows.items():
            with locked(self._note(f"{self._prefix}{partition}").with_suffix(".lock")):
                self._write(self._named(partition), of_partition)

    def on_paused(self) -> None:
        """Forget the rows: Quix Streams gives them again."""
        self._rows = {}

    def _note(self, partition: str) -> Path:
        return self._folder / f".partition-{partition}"

    def _named(self, partition: int) -> str:
        """A partition of this topic, in the names of files."""
        first = f"{self._prefix}{partition}"
        is_first = _read(self._note(first)).topic in ("", self._topic)
        return first if is_first else f"{self._prefix}{self._topic}-{partition}"

    def _write(self, partition: str, rows: Sequence[_Row]) -> None:
        """Write those rows of a partition, in the order of their offsets, that the log does not have yet. After a
        failed transaction, they come to another sink."""
        note, raw = self._note(partition), self._raw
        logged = _read(note)
        if logged.writer == self._writer and (offset := rows[0][0]) <= logged.offset:
            raise LogUnavailable(
                f"Kafka gave offset {offset} of partition {partition} after offset {logged.offset}. Was the topic "
                "created again?"
            )
        rows = [row for row in rows if row[0] > logged.offset]
        if not rows:
            return
        if logged.writer != self._writer:  # it may have died with a part of its rows in files
            offline_log.remove_after(self._folder, logged.offset, partition)
            _replace(note, logged._replace(writer=self._writer, topic=self._topic))
        offsets, appended, versions = zip(*rows, strict=True)
        created = _growing(appended, logged.created)
        table = offline_log.dated(raw, versions, created)
        files = offline_log.write_offsets(self._folder, table, raw.time, offsets[0], offsets[-1], partition)
        _replace(note, _Note(offsets[-1], created[-1], self._writer, self._topic))
        for file in files:
            offline_log.compact(file, raw.time)


def _growing(appended: Iterable[int], last: int) -> list[int]:
    """`created` of rows in the order of their offsets, after one with `last`, µs since 1970. Many rows come in one ms,
    and the clock of a broker may go back: each is created at least a µs after the one before."""
    return list(accumulate(appended, lambda before, at: max(before + 1, at), initial=last))[1:]


def _read(note: Path) -> _Note:
    if not note.exists():
        return _Note()
    content: list[Any] = from_json(note.read_bytes())
    return _Note(content[0], 0, content[1]) if len(content) == 2 else _Note(*content)


def _replace(note: Path, content: _Note) -> None:
    with replacing(note) as beside:
        beside.write_bytes(to_json(content))
