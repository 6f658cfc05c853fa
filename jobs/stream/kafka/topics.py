"""The topics that a stream job derives from its source."""

import logging
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from quixstreams import Application
from quixstreams.models.serializers import SerializationContext, Serializer
from quixstreams.models.topics import Topic, TopicConfig

from brokers import KafkaTopic
from errors import BadParameter, BadSetting
from jobs.stream.kafka.checked import Sent
from jobs.stream.kafka.places import Places
from serving.kafka_log import REFUSALS

logger = logging.getLogger(__name__)


class _Value(Serializer):
    """The value of a message is bytes already, and stands beside its key."""

    def __call__(self, value: Sent, ctx: SerializationContext) -> bytes:
        return value.value


def topics_of(application: Application, places: Places) -> Callable[..., Topic]:
    """Gives the topic of a name. One that is not there is created, with as many partitions and replicas as the source;
    with `cleanup="compact"` it keeps the newest message of each key. Raises BadParameter, KafkaException."""
    size = _size(places.source)

    def topic(name: str, cleanup: str = "delete") -> Topic:
        config = TopicConfig(*size, {"message.timestamp.type": "LogAppendTime", "cleanup.policy": cleanup})
        return application.topic(name, "bytes", "bytes", _Value(), "bytes", config)

    return topic


def _size(source: KafkaTopic) -> tuple[int, int]:
    """Partitions and replicas of a topic: what is derived from it has as many. Raises BadParameter, BadSetting,
    KafkaException."""
    refusals: list[KafkaError] = []
    client = AdminClient({**source.client, "logger": logger, "error_cb": refusals.append})
    try:
        topics = client.list_topics(timeout=10).topics
    except KafkaException:
        client.poll(0)  # it calls back
        for error in refusals:
            if error.code() in REFUSALS:
                raise BadSetting(
                    f"{source.servers} refuses us: {error.str()}. Correct the file of RISK_KAFKA."
                ) from None
        raise
    if source.name not in topics:
        raise BadParameter(
            f"{source.servers} has no topic {source.name}. Create it, with as many partitions as there will ever be "
            "workers: see docs/how-to/switch-to-kafka.md"
        )
    partitions = topics[source.name].partitions
    return len(partitions), len(partitions[0].replicas)
