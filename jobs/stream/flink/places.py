"""The names of what a stream job on Flink has at a Kafka broker and on the disk, and what its messages are."""

from functools import cached_property

from features.windows.state import LiveTable
from jobs.stream.kafka.places import Places

#: The folder below that of a job of what it goes on from; and in it, the last file of each whole checkpoint.
CHECKPOINTS, WHOLE = "checkpoints", "*/chk-*/_metadata"


class FlinkPlaces(Places):
    """The topics of a job on Flink, and the consumer group of the workers that read them."""

    @cached_property
    def group(self) -> str:
        """As in `Places`. Both engines may have the stream at the same time."""
        return f"{super().group}.flink"

    @property
    def events(self) -> str:
        """The topic of the versions of events that are new."""
        return f"{self.group}.events"

    def states(self, live: LiveTable) -> str:
        """The topic of a table's states: key → the newest."""
        return f"{self.group}.{live.table.name}"

    @property
    def reader(self) -> str:
        """The consumer group of the job. Flink commits there how far a checkpoint has read, and does not need it."""
        return f"{self.group}.source"

    @property
    def steps(self) -> list[tuple[str, list[str]]]:
        """As in `Places`."""
        return [(self.reader, [self.source.name]), (self.group, [*self.rows, *map(self.states, self.live)])]

    @property
    def written(self) -> list[str]:
        """All topics that the job writes."""
        return [self.dead_letters, *self.rows, *map(self.states, self.live)]

    @property
    def rows(self) -> list[str]:
        """The topics that become logs: of events, and of the rows of each key."""
        return [self.events, *map(self.keyed_topic, self.keyed)]


def row_message(number: int, row: bytes) -> bytes:
    """A row of a keyed topic as a message, with its number among the rows of its key.

    >>> row_of_message(row_message(3, b"[]"))
    (3, b'[]')
    """
    return b"%d\n%b" % (number, row)


def row_of_message(message: bytes) -> tuple[int, bytes]:
    """What `row_message` was given."""
    number, _, row = message.partition(b"\n")
    return int(number), row


def state_message(newest: int, version: int, created: int, state: bytes) -> bytes:
    """A state as a message. `newest` and `created`: µs since 1970.

    >>> state_of_message(state_message(5, 0, 7, b"{}"))
    (5, 0, 7, b'{}')
    """
    return b"%d %d %d\n%b" % (newest, version, created, state)


def state_of_message(message: bytes) -> tuple[int, int, int, bytes]:
    """What `state_message` was given."""
    head, _, state = message.partition(b"\n")
    newest, version, created = map(int, head.split())
    return newest, version, created, state
