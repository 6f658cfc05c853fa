"""The names of what a stream job has at a Kafka broker."""

from dataclasses import dataclass
from functools import cached_property

from brokers import KafkaTopic
from features.domains import Stream
from features.windows.keyed import KeyedTables, by_keys
from features.windows.state import LiveTable
from serving.intake import group_of, version_of


@dataclass(frozen=True)
class Places:
    """The topics and the consumer group of the stream job that reads `source`.

    States of another definition mean something else. So what the job derives is named after the definitions of its
    tables: with other ones, the job reads the source again from its beginning, into new topics and new states.
    """

    source: KafkaTopic
    stream: Stream

    @cached_property
    def keyed(self) -> tuple[KeyedTables, ...]:
        """The live tables of the stream, by their keys."""
        return by_keys(self.stream.raw, self.stream.tables)

    @cached_property
    def version(self) -> str:
        """Of the definitions of the tables."""
        return version_of(self.stream)

    @property
    def live(self) -> list[LiveTable]:
        """All live tables."""
        return [live for tables in self.keyed for live in tables.live]

    @cached_property
    def group(self) -> str:
        """The consumer group of all workers."""
        return group_of(self.source.name, self.stream)

    def keyed_topic(self, tables: KeyedTables) -> str:
        """The topic with the rows of the tables of one key."""
        return f"{self.group}.by-{'-'.join(tables.keys)}"

    @property
    def steps(self) -> list[tuple[str, list[str]]]:
        """What an event passes, one after the other: a consumer group, and the topics that it reads."""
        return [(self.group, [self.source.name]), (self.group, [self.keyed_topic(tables) for tables in self.keyed])]

    @property
    def dead_letters(self) -> str:
        """The topic of what is no event."""
        return f"{self.source.name}.dead-letters"
