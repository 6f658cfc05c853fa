"""The event log: the events that the service accepts for a stream. They are safe before the service answers: on the
disk, as JSON lines in a file for each UTC day, or at a Kafka broker (`serving/kafka_log.py`)."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

from errors import LogUnavailable
from features.domains import stream_named
from features.numbers import Ranges
from features.windows.events import ACCEPTED
from files import fault, sync
from root import Root
from serving import intake, lines
from serving.commit import GroupCommit

Event = Mapping[str, Any]
#: Waits until events are safe. Raises LogUnavailable.
Wait = Callable[[], None]


@dataclass(frozen=True)
class Waiting:
    """What the stream job has not processed of the accepted events of a stream.

    oldest     how long the oldest event has been waiting; None where none waits
    command    what starts a stream job
    bytes      of events in files
    messages   topic and partition → how many messages wait there
    """

    oldest: timedelta | None
    command: str
    bytes: int = 0
    messages: Mapping[tuple[str, int], int] = field(default_factory=dict)


class EventLog(Protocol):
    """Where the accepted events of all streams go."""

    def append(self, stream: str, events: Iterable[Event], accepted_at: datetime) -> Wait:
        """Append events of a stream, sealed. They are accepted once the function that this returns has returned. Raises
        LogUnavailable."""

    def check(self, stream: str) -> None:
        """Look whether events of a stream can be appended. Raises RootBroken, LogUnavailable."""

    def waiting(self, stream: str, now: datetime) -> Waiting:
        """What the stream job has not processed. Raises RootBroken, LogUnavailable, OSError."""

    def missing(self, stream: str, producer: str, last: int) -> Ranges:
        """The numbers from 1 to `last` of a producer that the stream job has not received, as ranges with both ends.
        Raises BadParameter, RootBroken."""


class EventFiles:
    """The event log of a root, on its disk."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def append(self, stream: str, events: Iterable[Event], accepted_at: datetime) -> Wait:
        """As `EventLog.append`: all events or none."""
        return append(self._root.event_log(stream), events, accepted_at)

    def check(self, stream: str) -> None:
        """As `EventLog.check`. Raises RootBroken."""
        lines.check_writable(self._root.event_log(stream))

    def waiting(self, stream: str, now: datetime) -> Waiting:
        """As `EventLog.waiting`. Raises RootBroken, OSError."""
        log, state = self._root.event_log(stream), self._root.stream_state(stream_named(stream).domain)
        oldest = intake.oldest_waiting(log, state, now)
        return Waiting(oldest, "python -m jobs stream all", bytes=intake.waiting_bytes(log, state))

    def missing(self, stream: str, producer: str, last: int) -> Ranges:
        """As `EventLog.missing`."""
        return intake.missing(self._root.stream_state(stream_named(stream).domain), producer, last)


def append(folder: Path, events: Iterable[Event], accepted_at: datetime) -> Wait:
    """Append all events or none. Raises LogUnavailable. If the wait raises it, the events stay in the log, and may be
    processed."""
    path = folder / f"{accepted_at.date()}{lines.SUFFIX}"
    try:
        lines.append(path, (dated(event, accepted_at) for event in events))
    except OSError as error:
        raise LogUnavailable(
            f"The events could not be written, and nothing was accepted. {fault(error, folder)}"
        ) from error
    return partial(_waited, path, _commit(path).ticket())


@lru_cache(maxsize=64)
def _commit(path: Path) -> GroupCommit:
    return GroupCommit(partial(sync, path))


def _waited(path: Path, wait: Wait) -> None:
    try:
        wait()
    except OSError as error:
        raise LogUnavailable(
            f"The events are not safe on the disk. Send them again: each counts once. {fault(error, path)}"
        ) from error


def dated(event: Event, accepted_at: datetime) -> dict[str, Any]:
    """An event as the log has it: with the time at which the service accepted it."""
    return {**event, ACCEPTED: accepted_at}
