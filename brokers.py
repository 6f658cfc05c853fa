"""A topic of a Kafka broker, as a setting or an option names it: `kafka://HOST:PORT/TOPIC`."""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, NamedTuple

from errors import BadSetting

#: `HOST:PORT`, several with commas between them, then the name of a topic as Kafka allows it.
_URL = re.compile(r"kafka://([\w.\[\]:-]+:\d{1,5}(?:,[\w.\[\]:-]+:\d{1,5})*)/([A-Za-z0-9._-]{1,200})")
#: Events with equal ids must meet in one partition, whoever sends them. This is what Java clients and Quix Streams do.
PARTITIONER = "murmur2"
FORM = "kafka://HOST:PORT/TOPIC"
INSTALL = "Run: pip install '.[kafka]'"


class KafkaTopic(NamedTuple):
    """`servers` are the brokers to ask first, as `HOST:PORT` with commas between them. `name` is the topic, or where
    there are several, what their names begin with."""

    servers: str
    name: str

    @property
    def url(self) -> str:
        """As an option names it."""
        return f"kafka://{self.servers}/{self.name}"


def topic_of(url: str) -> KafkaTopic | None:
    """The topic that a URL names; None where it is no such URL.

    >>> topic_of("kafka://10.0.0.7:9092,10.0.0.8:9092/events")
    KafkaTopic(servers='10.0.0.7:9092,10.0.0.8:9092', name='events')
    >>> topic_of("kafka://10.0.0.7/events") is None
    True
    """
    match = _URL.fullmatch(url)
    return KafkaTopic(match[1], match[2]) if match else None


def events_topic(setting: str) -> KafkaTopic | None:
    """What `RISK_EVENTS` says; None where it says nothing. Raises BadSetting."""
    if not setting:
        return None
    topic = topic_of(setting)
    if topic is None:
        raise BadSetting(f"RISK_EVENTS is {setting!r}. Set it to {FORM}, or unset it for the event log on the disk.")
    if find_spec("confluent_kafka") is None:
        raise BadSetting(f"RISK_EVENTS needs confluent-kafka, which is not installed. {INSTALL}")
    return topic


def message_key(event: Mapping[str, Any], id_column: str) -> bytes:
    """The key of the message of an event.

    >>> message_key({"order_id": "o1"}, "order_id"), message_key({"nr": 17}, "nr")
    (b'o1', b'17')
    """
    return str(event[id_column]).encode()
