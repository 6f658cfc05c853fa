"""How far the stream jobs on Kafka have read: the lag of their consumer groups, and since when a message waits.

The end of a transaction has an offset too, and so has what a failed one left. So where a group is not at the end, this
looks whether there is a message.
"""

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, OffsetSpec

from brokers import KafkaTopic
from features.domains import Stream
from features.utc import EPOCH
from serving.event_log import Waiting
from serving.intake import group_of

#: The brokers answer each question within this time, or not at all.
ANSWER_SECONDS = 3.0
#: A look at the brokers counts for so long: a probe and a scrape of each process need not look each time.
FRESH = timedelta(seconds=2)
#: Topic and partition.
Place = tuple[str, int]


class Lag(NamedTuple):
    """Of a partition: how many messages its group has not read, and when the oldest of them was sent, in ms since
    1970."""

    messages: int
    oldest_ms: int


class LagReader:
    """Looks at the lag of the stream job that reads `source`."""

    def __init__(self, source: KafkaTopic, stream: Stream) -> None:
        self._source, self._group = source, group_of(source.name, stream)
        self._looking = threading.Lock()
        self._lag, self._seen_at = dict[Place, Lag](), EPOCH

    def lag(self, now: datetime) -> Mapping[Place, Lag]:
        """Of each partition of the source and of the topics that are made of it. One thread looks at a time. Raises
        KafkaException."""
        with self._looking:
            if abs(now - self._seen_at) >= FRESH:
                self._lag, self._seen_at = self._look(), now
            return self._lag

    def waiting(self, now: datetime, command: str) -> Waiting:
        """The same as the service shows it. Raises KafkaException."""
        lag = self.lag(now)
        oldest = [EPOCH + timedelta(milliseconds=of_place.oldest_ms) for of_place in lag.values() if of_place.messages]
        messages = {place: of_place.messages for place, of_place in lag.items()}
        return Waiting(max(now - min(oldest), timedelta(0)) if oldest else None, command, messages=messages)

    def _look(self) -> dict[Place, Lag]:
        admin = AdminClient({**self._source.client, "log_level": 0})
        topics = admin.list_topics(timeout=ANSWER_SECONDS).topics
        if self._source.name not in topics:
            return {}
        lag: dict[Place, Lag] = {}
        groups = self._groups(admin)
        read = {place for committed in groups.values() for place in committed}
        if not any(topic == self._source.name for topic, _ in read):
            groups[self._group] = {(self._source.name, number): 0 for number in topics[self._source.name].partitions}
        for group, committed in groups.items():
            names = {topic for topic, _ in committed if topic in topics}
            offsets = {(name, n): committed.get((name, n), 0) for name in names for n in topics[name].partitions}
            lag |= _lag_of_group(admin, self._source, group, offsets)
        return lag

    def _groups(self, admin: AdminClient) -> dict[str, dict[Place, int]]:
        """Group → the offsets that it has committed. Where one engine is at work, only its groups count: those of
        another one stand still."""
        groups = admin.list_consumer_groups(request_timeout=ANSWER_SECONDS).result().valid
        own = {g.group_id: g.state for g in groups if f"{g.group_id}.".startswith(f"{self._group}.")}
        by_engine: dict[str, list[str]] = {}
        for name in own:
            by_engine.setdefault(name.removeprefix(self._group).strip(".").partition(".")[0], []).append(name)
        working = [
            names
            for names in by_engine.values()
            if any(own[name] not in (ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD) for name in names)
        ]
        return {name: _committed(admin, name) for names in working or by_engine.values() for name in names}


def _committed(admin: AdminClient, group: str) -> dict[Place, int]:
    request = [ConsumerGroupTopicPartitions(group)]
    (future,) = admin.list_consumer_group_offsets(request, request_timeout=ANSWER_SECONDS).values()
    return {(place.topic, place.partition): max(place.offset, 0) for place in future.result().topic_partitions}


def _lag_of_group(admin: AdminClient, source: KafkaTopic, group: str, offsets: Mapping[Place, int]) -> dict[Place, Lag]:
    wanted = {TopicPartition(*place): OffsetSpec.latest() for place in offsets}
    ends = admin.list_offsets(wanted, request_timeout=ANSWER_SECONDS)
    behind = {
        (place.topic, place.partition): end.result().offset - offsets[place.topic, place.partition]
        for place, end in ends.items()
    }
    oldest = _oldest(source, group, {place: offsets[place] for place, messages in behind.items() if messages > 0})
    return {place: Lag(behind[place], oldest[place]) if place in oldest else Lag(0, 0) for place in offsets}


def _oldest(source: KafkaTopic, group: str, offsets: Mapping[Place, int]) -> dict[Place, int]:
    """When the first message from an offset on was sent, for each partition that has one."""
    if not offsets:
        return {}
    consumer = Consumer(
        {
            **source.client, "group.id": group, "enable.auto.commit": False, "enable.partition.eof": True,
            "isolation.level": "read_committed", "auto.offset.reset": "earliest", "log_level": 0,
            "queued.min.messages": 1, "fetch.message.max.bytes": 65_536,
        }
    )  # fmt: skip
    oldest: dict[Place, int] = {}
    try:
        left = set(offsets)
        consumer.assign(_places(offsets))
        while left and (message := consumer.poll(ANSWER_SECONDS)) is not None:
            place = message.topic(), message.partition()
            if place in left and message.error() is None:
                oldest[place] = message.timestamp()[1]
            left.discard(place)
            consumer.pause([TopicPartition(*place)])
    finally:
        consumer.close()
    if left:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
    return oldest


def _places(offsets: Mapping[Place, int]) -> Iterable[TopicPartition]:
    return [TopicPartition(topic, number, offset) for (topic, number), offset in offsets.items()]
