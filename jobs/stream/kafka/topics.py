"""The topics that a stream job derives from its source."""

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, NewTopic, TopicMetadata
from quixstreams import Application
from quixstreams.models.serializers import SerializationContext, Serializer
from quixstreams.models.topics import Topic, TopicConfig

from brokers import KafkaTopic
from errors import BadParameter, BadSetting
from jobs.stream.kafka.checked import Sent
from jobs.stream.kafka.places import Places
from serving.kafka_log import REFUSALS

TIMEOUT_SECONDS = 10
#: As Quix Streams names the topic with the states that belong to the rows of a topic.
CHANGELOG = "--".join(("changelog__{group}", "{topic}", "default"))

logger = logging.getLogger(__name__)


class _Value(Serializer):
    """The value of a message is bytes already, and stands beside its key."""

    def __call__(self, value: Sent, ctx: SerializationContext) -> bytes:
        return value.value


def topics_of(
    application: Application, places: Places, wanted: Mapping[str, str], changelogs: Iterable[str] = ()
) -> dict[str, Topic]:
    """The wanted topics by their names. `wanted` gives each its clean-up policy: delete, or compact, which keeps the
    newest message of each key. Those that are not there are created, with as many partitions and replicas as the
    source. So are the changelogs of the states of the topics in `changelogs`. Raises BadParameter, BadSetting,
    KafkaException."""
    client, known = connected(places.source)
    partitions = known[places.source.name].partitions
    size = len(partitions), len(partitions[0].replicas)
    configs = {name: {"message.timestamp.type": "LogAppendTime", "cleanup.policy": wanted[name]} for name in wanted}
    compacted = {CHANGELOG.format(group=places.group, topic=name): {"cleanup.policy": "compact"} for name in changelogs}
    new = [NewTopic(name, *size, config=config) for name, config in (configs | compacted).items() if name not in known]
    # Quix Streams would make one after the other, and wait a second for each. What fails here it tries again, and says
    # what is wrong.
    for future in client.create_topics(new).values() if new else ():
        with suppress(KafkaException):
            future.result(TIMEOUT_SECONDS)
    return {
        name: application.topic(name, "bytes", "bytes", _Value(), "bytes", TopicConfig(*size, config))
        for name, config in configs.items()
    }


def id_of(source: KafkaTopic, name: str) -> str:
    """The id that the brokers of `source` gave a topic when it was created, as Kafka's tools print it. Raises
    KafkaException."""
    client = AdminClient({**source.client, "logger": logger})  # it answers as long as it is there
    described = client.describe_topics(TopicCollection([name]), request_timeout=TIMEOUT_SECONDS)
    return str(described[name].result().topic_id).translate(str.maketrans("+/", "-_"))


def connected(source: KafkaTopic) -> tuple[AdminClient, dict[str, TopicMetadata]]:
    """A client of the brokers, and their topics. Raises BadParameter, BadSetting, KafkaException."""
    refusals: list[KafkaError] = []
    client = AdminClient({**source.client, "logger": logger, "error_cb": refusals.append})
    try:
        topics: dict[str, TopicMetadata] = client.list_topics(timeout=TIMEOUT_SECONDS).topics
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
    return client, topics
