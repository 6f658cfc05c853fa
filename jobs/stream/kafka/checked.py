"""From messages of the source topic to rows of the keyed topics. Each function is given one message. `state` is what
the engine keeps of an event id, and forgets again if the transaction fails."""

from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple

from pydantic_core import to_json

from brokers import message_key
from features.utc import MICROSECOND
from features.windows.events import LONGEST_STRING, Row
from features.windows.keyed import event_from_bytes, event_to_bytes, reached, remember
from features.windows.tiles import NEVER
from jobs.stream.kafka.folded import State
from jobs.stream.kafka.places import Places
from jobs.stream.lines import parse
from jobs.stream.sources import Line
from jobs.stream.status import Counts

_EVENT = "event"
#: What is remembered of an event goes this much later than no window reaches it: the clocks of brokers differ.
SLACK = timedelta(days=1)
#: Bytes of an id at most. A dead letter has no more of its key: a broker takes 1 MB, and the letter may be 0.6 MB.
LONGEST_KEY = 4 * LONGEST_STRING


class Sent(NamedTuple):
    """A message for a topic."""

    topic: str
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Valid:
    """The row of an event, as it arrived."""

    row: Row


@dataclass(frozen=True)
class Dead:
    """A dead letter, as JSON, and the key of its message."""

    letter: bytes
    key: bytes | None


class Checking:
    """`hash_key` is the secret with which events are sealed."""

    def __init__(self, places: Places, hash_key: bytes) -> None:
        self._places, self._hash_key = places, hash_key
        self._raw = places.stream.raw
        self._topics = [(tables, places.keyed_topic(tables)) for tables in places.keyed]
        self._kept_for = _kept_for(places)
        #: Of this run of the worker. What a failed transaction repeats is counted again.
        self.counts = Counts()

    def check(self, text: bytes | None, key: bytes | None, timestamp: int, partition: int, offset: int) -> Valid | Dead:
        """What a message is. It was received when the broker says so, in ms since 1970, so a transaction that is
        repeated gives the same. Its key must be the event's id: versions of an event that lie in several partitions
        have no order."""
        at = f"{self._places.source.name} partition {partition} at offset {offset}"
        batch = parse(self._places.stream, [Line(text or b"", at)], timestamp * 1000, self._hash_key)
        if batch.rows and key != message_key(batch.rows[0], self._raw.id_column):
            reason = f"the key of the message is not the event's {self._raw.id_column}. Send it under that key again"
            batch = parse(self._places.stream, [Line(text or b"", at, reason)], 0, self._hash_key)
        if batch.dead:
            self.counts.dead_letters += 1
            return Dead(batch.dead[0], key and key[:LONGEST_KEY])
        return Valid(batch.rows[0])

    def remember(self, valid: Valid, offset: int, state: State) -> list[Row | Sent]:
        """What a version of an event changes: its row for the offline log, and rows of keyed topics. Nothing, if it
        was processed before."""
        stored = state.get_bytes(_EVENT)
        event = None if stored is None else event_from_bytes(self._raw, stored)
        event, change = remember(self._raw, event, valid.row, offset)
        if change is None:
            self.counts.duplicates += 1
            return []
        self.counts.events += 1
        state.set_bytes(_EVENT, event_to_bytes(event), ttl=self._kept_for)
        rows = [
            Sent(topic, to_json(key), to_json(of_key))
            for tables, topic in self._topics
            for key, of_key in tables.rows(change)
        ]
        return [valid.row, *rows]


def _kept_for(places: Places) -> timedelta | None:
    """How long after its last message an event is remembered; None for ever."""
    oldest = reached([live for tables in places.keyed for live in tables.live], 0)
    return None if oldest <= NEVER else -oldest * MICROSECOND + SLACK
