"""How far the workers have read, the numbers of one of them, and how often it commits."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from quixstreams.processing import ProcessingContext

from jobs.stream.kafka.places import Places
from jobs.stream.kafka.topics import connected
from jobs.stream.status import COUNTERS, GAUGES, Counts
from serving.kafka_lag import LagReader

STATUS_SECONDS = 10
#: However long a commit took, the next one begins this long after it, at the latest.
MOST_COMMIT_SECONDS = 1.0
BEHIND = "Messages of a partition that the workers have not processed: the lag of their group."
LAG = "How long the oldest message has been waiting for the workers, 0 if none waits."

TIMEOUT_SECONDS = 10
#: Topic and partition → the offset behind its last message.
_Ends = dict[tuple[str, int], int]


class CatchUp:
    """Whether the workers have processed all that the source had when this was asked for the first time: first its
    messages, then the rows that these became."""

    def __init__(self, places: Places) -> None:
        self._source, self._steps = places.source, places.steps
        self._last = self._steps[-1]
        self._ends: _Ends | None = None

    def has_begun(self) -> bool:
        """Whether the workers have processed rows of the last step. Raises BadParameter, BadSetting, KafkaException."""
        group, topics = self._last
        _, known = connected(self._source)
        consumer = self._consumer(group)
        try:
            rows = [TopicPartition(topic, n) for topic in topics if topic in known for n in known[topic].partitions]
            committed = (
                [place for place in consumer.committed(rows, TIMEOUT_SECONDS) if place.offset > 0] if rows else []
            )
            return any(p.offset > consumer.get_watermark_offsets(p, TIMEOUT_SECONDS)[0] for p in committed)
        finally:
            consumer.close()

    def is_done(self) -> bool:
        """Look again. False, too, where the brokers do not answer, or have not all of the topics yet."""
        try:
            while self._steps:
                if not self._has_read(*self._steps[0]):
                    return False
                self._steps.pop(0)
                self._ends = None
        except KafkaException:
            return False
        return True

    def _consumer(self, group: str) -> Consumer:
        """It never subscribes, so it is no member of the group."""
        options = {
            **self._source.client, "group.id": group, "log_level": 0, "enable.auto.commit": False,
            "enable.partition.eof": True, "isolation.level": "read_uncommitted", "auto.offset.reset": "earliest",
        }  # fmt: skip
        return Consumer(options)

    def _has_read(self, group: str, topics: list[str]) -> bool:
        consumer = self._consumer(group)
        try:
            if self._ends is None:
                self._ends = _ends(consumer, topics)
            return _has_read(consumer, self._ends)
        finally:
            consumer.close()


class Numbers:
    """Of a worker: its counts since it was started, and the lag of its group. `report` gets a line about the counts now
    and then while they change. Of a job on Flink, which counts elsewhere, there is the lag alone."""

    def __init__(self, places: Places, report: Callable[[str], object], counts: Counts | None = None) -> None:
        self._domain, self._report, self._counts = places.stream.domain, report, counts
        self._lag = LagReader(places.source, places.stream)
        self._watermark = 0
        self._reported, self._last = time.monotonic(), self._line()

    def noted(self, late: int, newest: int) -> None:
        """Count late entries. `newest`: the newest timestamp of some states, µs since 1970."""
        if self._counts is not None:
            self._counts.late += late
        self._watermark = max(self._watermark, newest)
        if time.monotonic() - self._reported > STATUS_SECONDS:
            self.report()

    def report(self) -> None:
        """Report the counts, if they have changed."""
        self._reported, line = time.monotonic(), self._line()
        if line != self._last:
            self._last = line
            self._report(line)

    def _line(self) -> str:
        c = self._counts or Counts()
        return (
            f"{self._domain}: {c.events:,} events, {c.late:,} late, {c.duplicates:,} duplicate, "
            f"{c.dead_letters:,} dead-lettered by this worker"
        )

    def registry(self) -> CollectorRegistry:
        """All of them for Prometheus, as they are when it asks."""
        registry = CollectorRegistry()
        registry.register(self)  # type: ignore[arg-type]
        return registry

    def describe(self) -> list[Metric]:
        """The registry calls this instead of `collect` when it gets to know the numbers."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The registry calls this."""
        for name, text in COUNTERS.items() if self._counts is not None else ():
            counter = CounterMetricFamily(f"stream_{name}", text, labels=["domain"])
            counter.add_metric([self._domain], getattr(self._counts, name))
            yield counter
        if self._watermark:
            yield self._gauge("watermark_seconds", GAUGES["watermark_seconds"], self._watermark / 1e6)
        with suppress(KafkaException):  # a broker that is gone has no lag
            waiting = self._lag.waiting(datetime.now(UTC), "")
            yield self._gauge("lag_seconds", LAG, waiting.oldest.total_seconds() if waiting.oldest else 0.0)
            behind = GaugeMetricFamily("stream_behind_messages", BEHIND, labels=["domain", "topic", "partition"])
            for (topic, partition), messages in waiting.messages.items():
                behind.add_metric([self._domain, topic, str(partition)], messages)
            yield behind

    def _gauge(self, name: str, text: str, value: float) -> GaugeMetricFamily:
        gauge = GaugeMetricFamily(f"stream_{name}", text, labels=["domain"])
        gauge.add_metric([self._domain], value)
        return gauge


def _ends(consumer: Consumer, topics: list[str]) -> _Ends:
    known = consumer.list_topics(timeout=TIMEOUT_SECONDS).topics
    if not known.keys() >= set(topics):
        raise KafkaException(KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))
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


def paced(context: ProcessingContext, clock: Callable[[], float] = time.monotonic) -> None:
    """Let a worker wait after a commit for its interval, and as long as that commit took: it spends half of its time
    in commits, at most. A commit has costs of its own, so one for more messages costs less for each."""
    commit, init, least = context.commit_checkpoint, context.init_checkpoint, context.commit_interval
    began = list[float]()

    def timed_commit(force: bool = False, revoking: bool = False) -> None:
        began[:] = [clock()]
        commit(force, revoking)

    def timed_init() -> None:
        seconds = clock() - began[0] if began else 0.0
        context.commit_interval = max(least, min(seconds, MOST_COMMIT_SECONDS))
        init()

    context.commit_checkpoint, context.init_checkpoint = timed_commit, timed_init  # type: ignore[method-assign]
