"""The event log at a Kafka broker, a topic for each stream. An event is accepted once the broker has acknowledged it
with `acks=all`. The producer is idempotent: what it sends again by itself is in the topic once.

The key of a message is the id of its event. So all versions of an event are in one partition, in their order.
"""

import logging
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from pydantic_core import to_json

from brokers import PARTITIONER, KafkaTopic, message_key
from errors import BadParameter, LogUnavailable
from features.domains import stream_named
from features.numbers import Ranges
from serving.event_log import Event, Wait, Waiting, dated
from serving.kafka_lag import LagReader

#: Without an acknowledgement by then, the service answers 503.
ACKNOWLEDGED_SECONDS = 5.0
#: The producer gives up a message a bit later than its sender got an answer, never earlier.
_PATIENCE_SECONDS = ACKNOWLEDGED_SECONDS + 2
_CHECK_SECONDS = 2.0
_POLL_SECONDS = 1.0

#: The brokers are there, and refuse us.
REFUSALS = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})

logger = logging.getLogger(__name__)


class _Sent:
    """Messages that were sent together, and the first error about them."""

    def __init__(self) -> None:
        self._lock, self._waiting, self.is_done, self.error = threading.Lock(), 0, threading.Event(), ""

    def expect(self, count: int) -> None:
        """Wait for so many answers."""
        self._waiting = count
        if not count:
            self.is_done.set()

    def answered(self, error: KafkaError | None, _message: Any) -> None:
        """The broker, or the producer that gave up, has answered about one message."""
        with self._lock:
            self._waiting -= 1
            if error is not None:
                self.error = self.error or error.str()
            if self._waiting == 0:
                self.is_done.set()


class KafkaLog:
    """`topic` has the brokers, and what the topics' names begin with: events of the stream `orders` go to
    `<topic>.orders`. A process connects when it appends for the first time, so a fork takes no connection along."""

    def __init__(self, topic: KafkaTopic) -> None:
        self._topic = topic
        self._connecting = threading.Lock()
        self._lags: dict[str, LagReader] = {}
        #: What the client has last said about a connection that the brokers refuse.
        self._refusal = ""

    @cached_property
    def _connected(self) -> Producer:
        producer = Producer(
            {
                **self._topic.client,
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": PARTITIONER,
                "linger.ms": 1,
                "delivery.timeout.ms": int(1000 * _PATIENCE_SECONDS),
                "topic.metadata.propagation.max.ms": 0,  # a topic that is not there is an error at once
                "logger": logger,
                "error_cb": self._failed,
            }
        )
        threading.Thread(target=_hear, args=(producer,), daemon=True, name="kafka-answers").start()
        return producer

    @property
    def _producer(self) -> Producer:
        with self._connecting:
            return self._connected

    def _failed(self, error: KafkaError) -> None:
        if error.code() in REFUSALS:
            self._refusal = f" ({error.str()})"

    def topic(self, stream: str) -> str:
        """The topic of a stream."""
        return f"{self._topic.name}.{stream}"

    def append(self, stream: str, events: Iterable[Event], accepted_at: datetime) -> Wait:
        """As `EventLog.append`. After an error, a part of the events may be in the topic: send all of them again."""
        topic, id_column, sent = self.topic(stream), stream_named(stream).raw.id_column, _Sent()
        messages = [(message_key(event, id_column), to_json(dated(event, accepted_at))) for event in events]
        sent.expect(len(messages))
        try:
            for key, value in messages:
                self._producer.produce(topic, value, key, on_delivery=sent.answered)
        except (BufferError, KafkaException) as error:
            raise self._unavailable(topic, str(error)) from error

        def wait() -> None:
            if not sent.is_done.wait(ACKNOWLEDGED_SECONDS):
                raise self._unavailable(topic, f"no acknowledgement in {ACKNOWLEDGED_SECONDS:.0f} s")
            if sent.error:
                raise self._unavailable(topic, sent.error)
            self._refusal = ""

        return wait

    def check(self, stream: str) -> None:
        """As `EventLog.check`: asks the broker for the topic. Raises LogUnavailable."""
        topic = self.topic(stream)
        try:
            error = self._producer.list_topics(topic, _CHECK_SECONDS).topics[topic].error
        except KafkaException as exception:
            raise self._unavailable(topic, exception.args[0].str()) from exception
        if error is not None:
            raise self._unavailable(topic, error.str())

    def waiting(self, stream: str, now: datetime) -> Waiting:
        """As `EventLog.waiting`: what the consumer groups have not read. Raises LogUnavailable."""
        declared, source = stream_named(stream), replace(self._topic, name=self.topic(stream))
        with self._connecting:
            reader = self._lags.setdefault(stream, LagReader(source, declared))
        try:
            return reader.waiting(now, f"python -m jobs stream {declared.domain} --source {source.url}")
        except KafkaException as error:
            raise self._unavailable(source.name, error.args[0].str()) from error

    def missing(self, stream: str, producer: str, last: int) -> Ranges:
        """As `EventLog.missing`: nobody keeps numbers where any number of workers receive. Raises BadParameter."""
        raise BadParameter(
            "Nobody keeps the numbers of producers while events go to Kafka (RISK_EVENTS). An event that got 202 is "
            "safe: send again each event that got another answer, or none."
        )

    def _unavailable(self, topic: str, reason: str) -> LogUnavailable:
        return LogUnavailable(
            f"Kafka at {self._topic.servers} did not acknowledge all events for the topic {topic}: {reason}"
            f"{self._refusal}. Send all of them again: an event that arrived before changes nothing. Check "
            f"RISK_EVENTS, {'RISK_KAFKA, ' if self._refusal else ''}the brokers and the topic."
        )


def _hear(producer: Producer) -> None:
    """Let the producer call `answered` as soon as an answer is there."""
    while True:
        producer.poll(_POLL_SECONDS)
