"""What is said about a feature of a decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from features.utc import EPOCH, MICROSECOND
from features.windows.live import FIRST_COMMIT_US
from features.windows.raw import RawTable
from jobs.batch.folded import Window


@dataclass(frozen=True)
class Event:
    """A raw event. `id` is None where the raw table names no events, or where the name is a secret."""

    id: str | None
    event_timestamp: datetime


@dataclass(frozen=True)
class Explained:
    """A feature of a decision.

    definition          what it is, in words
    logged, recomputed  its value in the log, and the one that the raw events give now
    equal               whether they are the same; `reason` says why not
    key                 the columns of its key and their values
    since, until        the edges of its window: events from `since` on, before `until`. None: there is no edge
    known_until         up to when events were known; None where none was, and where they are known by offset
    events, newest      how many events it folds, and the newest of them
    fields              what it takes of the request
    """

    name: str
    definition: str
    logged: Any
    recomputed: Any = None
    equal: bool = False
    reason: str | None = None
    view: str | None = None
    source: str | None = None
    key: Mapping[str, Any] = field(default_factory=dict)
    since: datetime | None = None
    until: datetime | None = None
    known_until: datetime | None = None
    events: int | None = None
    newest: tuple[Event, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)


def window_of(window: Window, source: RawTable, known: int | None) -> dict[str, Any]:
    """The window's part of an `Explained`. `known` in µs since 1970, None where nothing was known."""
    hidden = source.id is None or source.column(source.id).is_secret
    return {
        "source": source.name,
        "since": None if window.since is None else timestamp(window.since),
        "until": timestamp(window.until),
        "known_until": None if known is None or 0 <= known < FIRST_COMMIT_US else timestamp(known),
        "events": window.events,
        "newest": tuple(Event(None if hidden else name, timestamp(time)) for time, name in window.newest),
    }


def timestamp(microseconds: int) -> datetime:
    """Of µs since 1970."""
    return EPOCH + microseconds * MICROSECOND
