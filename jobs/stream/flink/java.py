"""The options of Flink's client, which is Java's, from those of librdkafka."""

from pydantic_core import to_json

from brokers import KafkaTopic
from errors import BadSetting

#: `sasl.mechanism` → what signs in with a user and a password.
_LOGINS = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
_SAME = ("security.protocol", "sasl.mechanism")


def java_client(topic: KafkaTopic) -> dict[str, str]:
    """The options of a client that connects. Raises BadSetting where Java has no such option."""
    security = dict(topic.security)
    options = {"bootstrap.servers": topic.servers} | {name: security.pop(name) for name in _SAME if name in security}
    if (user := security.pop("sasl.username", None)) is not None:
        login = _LOGINS.get(options.get("sasl.mechanism", ""))
        if login is None:
            raise BadSetting(f"Flink signs in with {', '.join(_LOGINS)}. Set sasl.mechanism in the file of RISK_KAFKA.")
        words = {"username": user, "password": security.pop("sasl.password", "")}
        identity = " ".join(f"{name}={to_json(word).decode()}" for name, word in words.items())
        options["sasl.jaas.config"] = f"{login} required {identity};"
    if (authorities := security.pop("ssl.ca.location", None)) is not None:
        options |= {"ssl.truststore.type": "PEM", "ssl.truststore.location": authorities}
    if security:
        raise BadSetting(f"Flink knows no {', '.join(sorted(security))}. Leave it out, or take --engine quix.")
    return options
