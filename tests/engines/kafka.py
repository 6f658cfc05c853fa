"""A real Kafka broker for tests: one process with KRaft, from the jars of Maven Central that `kafka_pom.xml` names.
What it says is kept in a file beside its data."""

import shutil
import struct
import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec
from processes import RUN_SECONDS, WAIT_SECONDS, started, wait_until
from servers import free_port

import settings
from files import locked, sha256

POM = Path(__file__).with_name("kafka_pom.xml")
#: Attempts to start: another process may take a port in the meantime.
ATTEMPTS = 3
#: The clients say nothing about a broker that is gone: the tests ask for it.
QUIET = 0
#: Of the broker, where its places are known.
PROPERTIES = """
controller.quorum.voters=1@{controller}
advertised.listeners=PLAINTEXT://{servers},SASL_PLAINTEXT://{guarded}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=\\
  org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
controller.listener.names=CONTROLLER
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
listeners=PLAINTEXT://{servers},SASL_PLAINTEXT://{guarded}"""
#: What the first broker of a cluster has beside that, and the second one.
FIRST = """,CONTROLLER://{controller}
process.roles=broker,controller
node.id=1
"""
SECOND = """
process.roles=broker
node.id=2
"""


#: Who may sign in at the second listener.
USER, PASSWORD = "risk", "a secret of the tests"


class Broker:
    """A broker at `servers`, and for those who sign in as `USER` with SASL's PLAIN, at `guarded`. `log` has everything
    that it has said. It is the second of a cluster whose first one is given."""

    def __init__(self, jars: Path, folder: Path, first: "Broker | None" = None) -> None:
        self._jars, self._folder, self.log, self._first = jars, folder, folder / "broker.log", first
        self._properties = folder / "server.properties"
        self._stack = ExitStack()
        self._admin: AdminClient | None = None
        self.servers = self.guarded = self.controller = self.cluster = ""

    def begin(self) -> None:
        """Format its folder for free ports, and start it."""
        port, guarded, first = free_port(), free_port(), self._first
        self.servers, self.guarded, self._admin = f"127.0.0.1:{port}", f"127.0.0.1:{guarded}", None
        self.controller, self.cluster = (
            (first.controller, first.cluster) if first else (f"127.0.0.1:{free_port()}", str(uuid.uuid4()))
        )
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        own = PROPERTIES.format(
            servers=self.servers, guarded=self.guarded, controller=self.controller, folder=self._folder,
            user=USER, password=PASSWORD,
        )  # fmt: skip
        self._properties.write_text(own + (SECOND if first else FIRST).format(controller=self.controller))
        formatting = ["kafka.tools.StorageTool", "format", "-t", self.cluster, "-c", str(self._properties)]
        subprocess.run(self._java(*formatting), check=True, capture_output=True, timeout=RUN_SECONDS)
        self.start()

    def _java(self, *arguments: str) -> list[str]:
        return ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{self._jars}/*", *arguments]

    def start(self) -> None:
        """Start it, with what it has stored."""
        with self.log.open("ab") as log:
            command = ["sh", "-c", 'exec "$@" 2>&1', "sh", *self._java("kafka.Kafka", str(self._properties))]
            child = self._stack.enter_context(started(command, pipe=log.fileno()))
        wait_until(self._answers, what=f"the broker answers at {self.servers}; see {self.log}", child=child)

    def stop(self) -> None:
        """Stop it. What it has stored stays."""
        self._stack.close()

    def restart(self) -> None:
        """Stop it and start it again, at the same address."""
        self.stop()
        self.start()

    @property
    def admin(self) -> AdminClient:
        if self._admin is None:  # one for all: what it has not answered yet goes with it
            self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": QUIET})
        return self._admin

    def _answers(self) -> bool:
        try:
            return bool(self.admin.list_topics(timeout=2).brokers)
        except KafkaException:
            return False

    def create(self, topic: str, partitions: int = 1, replicas: int = 1, **config: str) -> str:
        """A new topic; its name. `config` has underscores for dots."""
        options = {name.replace("_", "."): value for name, value in config.items()}
        for future in self.admin.create_topics([NewTopic(topic, partitions, replicas, config=options)]).values():
            future.result(WAIT_SECONDS)
        return topic

    def delete(self, topic: str) -> None:
        """Delete a topic, and wait until its name is free."""
        for future in self.admin.delete_topics([topic]).values():
            future.result(WAIT_SECONDS)
        wait_until(lambda: topic not in self.admin.list_topics().topics, what=f"{topic} is gone")

    def send(
        self,
        topic: str,
        messages: Iterable[tuple[bytes | None, bytes | None]],
        timestamp: Callable[[int], int] = lambda nth: 0,
    ) -> None:
        """Send keys and values, and wait until the broker has them. `timestamp` gives the one of the nth message, in ms
        since 1970; 0 for now."""
        producer = Producer(
            {"bootstrap.servers": self.servers, "partitioner": "murmur2", "acks": "all", "log_level": QUIET}
        )
        for nth, (key, value) in enumerate(messages):
            producer.produce(topic, value, key, timestamp=timestamp(nth))
        assert producer.flush(WAIT_SECONDS) == 0

    def open_messages(self, prefix: str) -> int:
        """How many messages no reader gets yet, as a transaction is open: in all topics with names that begin so."""
        admin = self.admin
        topics = {name: topic for name, topic in admin.list_topics().topics.items() if name.startswith(prefix)}
        places = [TopicPartition(name, number) for name, topic in topics.items() for number in topic.partitions]
        ends = []
        for isolation in (IsolationLevel.READ_UNCOMMITTED, IsolationLevel.READ_COMMITTED):
            futures = admin.list_offsets(dict.fromkeys(places, OffsetSpec.latest()), isolation_level=isolation)
            ends.append(sum(future.result(WAIT_SECONDS).offset for future in futures.values()))
        return ends[0] - ends[1]

    def transaction_timeouts_ms(self) -> dict[str, int]:
        """Name of a producer with transactions → after how long the broker ends one of its transactions that stays
        open. The broker keeps both in a topic of its own."""
        timeouts = {}
        for message in self.messages("__transaction_state"):
            if value := message.value():
                *_, timeout = struct.unpack_from(">hqhi", value)  # version, number and epoch of the producer, time-out
                timeouts[message.key()[4:].decode()] = timeout  # after the version and the length of the name
        return timeouts

    def messages(self, topic: str) -> list[Message]:
        """The committed messages of a topic, partition by partition, each in the order of its offsets."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers, "group.id": f"reader-{uuid.uuid4()}", "enable.auto.commit": False,
                "isolation.level": "read_committed", "enable.partition.eof": True, "log_level": QUIET,
            }
        )  # fmt: skip
        try:
            numbers = consumer.list_topics(topic, WAIT_SECONDS).topics[topic].partitions
            consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
            messages, ended = [], set[int]()
            while ended != set(numbers):
                message = consumer.poll(WAIT_SECONDS)
                assert message is not None, f"{topic} gave nothing in {WAIT_SECONDS:.0f} s"
                if message.error():
                    ended.add(message.partition())
                else:
                    messages.append(message)
        finally:
            consumer.close()
        return sorted(messages, key=lambda message: (message.partition(), message.offset()))


def jars() -> Path:
    """The folder of the broker's jars. They are fetched once, and again where the pom has changed."""
    folder = settings.PROJECT / "build" / f"kafka-{sha256(POM)[:12]}"
    with locked(folder.with_suffix(".lock")):
        if not folder.exists():
            fetched = folder.with_suffix(".part")
            goals = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={fetched}"]
            subprocess.run(["mvn", "-q", "-B", "-f", POM, *goals], check=True, timeout=RUN_SECONDS)
            fetched.rename(folder)
    return folder


@contextmanager
def broker(folder: Path, first: Broker | None = None) -> Iterator[Broker]:
    """A running broker, which keeps its data and its log below `folder`. With `first`, it joins that one's cluster."""
    running = Broker(jars(), folder, first)
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                running.begin()
                break
            except BaseException:
                running.stop()
                if attempt == ATTEMPTS or "Address already in use" not in running.log.read_text(errors="replace"):
                    raise
        yield running
    finally:
        running.stop()
