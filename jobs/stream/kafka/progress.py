"""How far the workers have read."""

from collections.abc import Iterable

from confluent_kafka import Consumer, KafkaException, TopicPartition

from jobs.stream.kafka.places import Places

TIMEOUT_SECONDS = 10


class CatchUp:
    """Whether the workers have processed all that the source had when this was asked for the first time: first its
    messages, then the rows that these became."""

    def __init__(self, places: Places) -> None:
        self._options = {"bootstrap.servers": places.source.servers, "group.id": places.group, "log_level": 0}
        self._steps = [[places.source.name], [places.keyed_topic(tables) for tables in places.keyed]]
        self._ends: dict[tuple[str, int], int] | None = None

    def is_done(self) -> bool:
        """Look again. False, too, where the brokers do not answer."""
        consumer = Consumer(self._options)  # it never subscribes, so it is no member of the group
        try:
            while self._steps:
                if self._ends is None:
                    self._ends = _ends(consumer, self._steps[0])
                if not _has_read(consumer, self._ends):
                    return False
                self._steps.pop(0)
                self._ends = None
        except KafkaException:
            return False
        finally:
            consumer.close()
        return True


def _ends(consumer: Consumer, topics: Iterable[str]) -> dict[tuple[str, int], int]:
    known = consumer.list_topics(timeout=TIMEOUT_SECONDS).topics
    places = [TopicPartition(topic, number) for topic in topics for number in known[topic].partitions]
    return {(p.topic, p.partition): consumer.get_watermark_offsets(p, TIMEOUT_SECONDS)[1] for p in places}


def _has_read(consumer: Consumer, ends: dict[tuple[str, int], int]) -> bool:
    """The end of a transaction is a message too, which nobody reads."""
    committed = consumer.committed([TopicPartition(*place) for place in ends], TIMEOUT_SECONDS)
    return all(ends[p.topic, p.partition] - max(p.offset, 0) <= 1 for p in committed)
