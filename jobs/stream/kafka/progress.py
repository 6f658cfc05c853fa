"""How far the workers have read."""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from jobs.stream.kafka.places import Places

TIMEOUT_SECONDS = 10
#: Topic and partition → the offset behind its last message.
_Ends = dict[tuple[str, int], int]


class CatchUp:
    """Whether the workers have processed all that the source had when this was asked for the first time: first its
    messages, then the rows that these became."""

    def __init__(self, places: Places) -> None:
        self._servers, self._steps = places.source.servers, places.steps
        self._ends: _Ends | None = None

    def is_done(self) -> bool:
        """Look again. False, too, where the brokers do not answer."""
        try:
            while self._steps:
                if not self._has_read(*self._steps[0]):
                    return False
                self._steps.pop(0)
                self._ends = None
        except KafkaException:
            return False
        return True

    def _has_read(self, group: str, topics: list[str]) -> bool:
        options = {
            "bootstrap.servers": self._servers, "group.id": group, "log_level": 0, "enable.auto.commit": False,
            "enable.partition.eof": True, "isolation.level": "read_uncommitted", "auto.offset.reset": "earliest",
        }  # fmt: skip
        consumer = Consumer(options)  # it never subscribes, so it is no member of the group
        try:
            if self._ends is None:
                self._ends = _ends(consumer, topics)
            return _has_read(consumer, self._ends)
        finally:
            consumer.close()


def _ends(consumer: Consumer, topics: list[str]) -> _Ends:
    known = consumer.list_topics(timeout=TIMEOUT_SECONDS).topics
    places = [TopicPartition(topic, number) for topic in topics for number in known[topic].partitions]
    return {(p.topic, p.partition): consumer.get_watermark_offsets(p, TIMEOUT_SECONDS)[1] for p in places}


def _has_read(consumer: Consumer, ends: _Ends) -> bool:
    """Whether a group has committed all messages before the ends. The end of a transaction has an offset too, and is no
    message: so this looks whether there is one."""
    committed = consumer.committed([TopicPartition(*place) for place in ends], TIMEOUT_SECONDS)
    left = {(p.topic, p.partition): max(p.offset, 0) for p in committed}
    left = {place: offset for place, offset in left.items() if offset < ends[place]}
    consumer.assign([TopicPartition(*place, offset) for place, offset in left.items()])
    while left:
        message = consumer.poll(TIMEOUT_SECONDS)
        if message is None:
            return False
        place, error = (message.topic(), message.partition()), message.error()
        if error is None and message.offset() < ends[place]:
            return False
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            return False
        left.pop(place, None)
    return True
