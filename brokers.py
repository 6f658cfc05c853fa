"""A topic of a Kafka broker, as an option names it: `kafka://HOST:PORT/TOPIC`; what names of topics begin with, as a
setting says it; and who we are there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from choices import did_you_mean
from errors import BadSetting

#: `HOST:PORT`, several with commas between them, then the name of a topic as Kafka allows it.
_URL = re.compile(r"kafka://([\w.\[\]:-]+:\d{1,5}(?:,[\w.\[\]:-]+:\d{1,5})*)/([A-Za-z0-9._-]{1,200})")
#: Events with equal ids must meet in one partition, whoever sends them. This is what Java clients and Quix Streams do.
PARTITIONER = "murmur2"
FORM, EVENTS_FORM = "kafka://HOST:PORT/TOPIC", "kafka://HOST:PORT/PREFIX"
INSTALL = "Run: pip install -e '.[kafka]' -c requirements-engines.txt"
OPTIONS = "docs/how-to/switch-to-kafka.md#tls-and-passwords"
#: What the file of RISK_KAFKA may set, by the names of librdkafka, and the values of those that are words.
SECURITY: dict[str, frozenset[str] | None] = {
    "security.protocol": frozenset({"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}),
    "sasl.mechanism": frozenset({"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI"}),
    "sasl.oauthbearer.method": frozenset({"default", "oidc"}),
    "ssl.endpoint.identification.algorithm": frozenset({"https", "none"}),
    **dict.fromkeys(("sasl.username", "sasl.password", "sasl.kerberos.service.name", "sasl.kerberos.principal",
                     "sasl.kerberos.keytab", "sasl.oauthbearer.client.id", "sasl.oauthbearer.client.secret",
                     "sasl.oauthbearer.scope", "sasl.oauthbearer.extensions", "sasl.oauthbearer.token.endpoint.url",
                     "ssl.ca.location", "ssl.crl.location", "ssl.certificate.location", "ssl.key.location",
                     "ssl.key.password", "ssl.keystore.location", "ssl.keystore.password", "ssl.cipher.suites")),
}  # fmt: skip


@dataclass(frozen=True)
class KafkaTopic:
    """`servers` are the brokers to ask first, as `HOST:PORT` with commas between them. `name` is the topic, or where
    there are several, what their names begin with. `security` are options of the client; nobody prints them."""

    servers: str
    name: str
    security: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def client(self) -> dict[str, Any]:
        """The options of a client that connects."""
        return {"bootstrap.servers": self.servers, **self.security}

    @property
    def url(self) -> str:
        """As an option names it."""
        return f"kafka://{self.servers}/{self.name}"


def topic_of(url: str, security: Mapping[str, str] | None = None) -> KafkaTopic | None:
    """The topic that a URL names; None where it is no such URL.

    >>> topic_of("kafka://10.0.0.7:9092,10.0.0.8:9092/events")
    KafkaTopic(servers='10.0.0.7:9092,10.0.0.8:9092', name='events')
    >>> topic_of("kafka://10.0.0.7/events") is None
    True
    """
    match = _URL.fullmatch(url)
    return KafkaTopic(match[1], match[2], security or {}) if match else None


def security_of(setting: str) -> dict[str, str]:
    """The options in the file that `RISK_KAFKA` names, a line for each: `sasl.username=risk`. None where it names no
    file. What is wrong is named by its line: a value may be a secret. Raises BadSetting."""
    if not setting:
        return {}
    try:
        lines = Path(setting).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise BadSetting(f"RISK_KAFKA is {setting!r}, which cannot be read: {reason}. Set it to a file.") from None
    options = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, is_set, value = (part.strip() for part in line.partition("="))
        name = "sasl.mechanism" if name == "sasl.mechanisms" else name
        if not (is_set and name in SECURITY):
            near = did_you_mean(name, SECURITY) if is_set else ""
            raise BadSetting(
                f"Line {number} of {setting} sets no option of TLS or SASL. {near}Write name=value, with a name that "
                f"{OPTIONS} lists."
            )
        words = SECURITY[name]
        if words and value not in words:
            raise BadSetting(f"Line {number} of {setting} sets {name} to none of {', '.join(sorted(words))}.")
        options[name] = value
    return options


def events_topic(setting: str, security: Mapping[str, str]) -> KafkaTopic | None:
    """What `RISK_EVENTS` says; None where it says nothing. Raises BadSetting."""
    if not setting:
        return None
    topic = topic_of(setting, security)
    if topic is None:
        raise BadSetting(
            f"RISK_EVENTS is {setting!r}. Set it to {EVENTS_FORM}, or unset it for the event log on the disk."
        )
    if find_spec("confluent_kafka") is None:
        raise BadSetting(f"RISK_EVENTS needs confluent-kafka, which is not installed. {INSTALL}")
    return topic


def message_key(event: Mapping[str, Any], id_column: str) -> bytes:
    """The key of the message of an event.

    >>> message_key({"order_id": "o1"}, "order_id"), message_key({"nr": 17}, "nr")
    (b'o1', b'17')
    """
    return str(event[id_column]).encode()
