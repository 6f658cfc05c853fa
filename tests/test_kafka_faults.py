"""Workers on a real Kafka broker go on where they can, and say what is wrong and what to do where they cannot."""

import os
import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from engines.kafka import Broker
from engines.need import need
from processes import Child, environment, started, wait_until
from pydantic_core import from_json, to_json
from stream_world import RAW, Sink, event

import settings
from jobs.raw import offline_log
from root import Root

need("java", "mvn", modules=("quixstreams",))
from kafka_worker import STREAM  # noqa: E402

from brokers import KafkaTopic  # noqa: E402
from jobs.stream.kafka.places import Places  # noqa: E402

pytestmark = [pytest.mark.slow, pytest.mark.engine]
TESTS = Path(__file__).parent
PATH = os.pathsep.join(map(str, (settings.PROJECT, settings.FEATURE_REPO, settings.PROJECT / "stores", TESTS)))


def worker(kafka: Broker, topic: str, root: Path, sink: Path) -> AbstractContextManager[Child]:
    url = f"kafka://{kafka.servers}/{topic}"
    variables = {**environment(RISK_DATA=root), "PYTHONPATH": PATH}
    return started([sys.executable, TESTS / "kafka_worker.py", url, sink], env=variables)


def feed(kafka: Broker, topic: str, *numbers: int) -> None:
    events = [event(n, n) for n in numbers]
    kafka.send(topic, [(sent["id"].encode(), to_json(sent)) for sent in events])


def logged(root: Path) -> list[str]:
    """The ids of the events in the offline log."""
    files = offline_log.files(Root(root).offline_log(RAW.name))
    return sorted(name for file in files for name in pq.read_table(file, partitioning=None)["id"].to_pylist())


def test_workers_of_one_machine_with_a_root_each_share_a_topic(kafka: Broker, tmp_path: Path) -> None:
    """Under one name, each would end the transactions of the other."""
    topic, roots = kafka.create("two-roots", 4), [tmp_path / "one", tmp_path / "two"]
    workers = [worker(kafka, topic, root, tmp_path / "sink.db") for root in roots]
    with workers[0] as first, workers[1] as second:
        sent = 0
        while sent < 100 or not all(map(logged, roots)):
            feed(kafka, topic, *range(sent, sent := sent + 20))
            wait_until(lambda: sum(len(logged(root)) for root in roots) >= sent, what="all is logged", child=second)
        assert "FENCED" not in first.output + second.output


def test_a_message_with_a_long_key_is_a_dead_letter_and_stops_nothing(kafka: Broker, tmp_path: Path) -> None:
    topic = kafka.create("long-key")
    kafka.send(topic, [(b"k" * 600_000, b"\x01" * 100_000)])
    feed(kafka, topic, 1)
    with worker(kafka, topic, tmp_path, tmp_path / "sink.db") as child:
        wait_until(lambda: logged(tmp_path) == ["e1"], what="the event is logged", child=child)
    (letter,) = kafka.messages(f"{topic}.dead-letters")
    assert from_json(letter.value())["at"] == f"{topic} partition 0 at offset 0"


def test_a_lost_online_store_is_said_and_filled_from_the_keyed_topics(kafka: Broker, tmp_path: Path) -> None:
    topic, old, new = kafka.create("lost-store", 2), tmp_path / "old.db", tmp_path / "new.db"
    places = Places(KafkaTopic(kafka.servers, topic), STREAM)
    feed(kafka, topic, *range(20))
    with worker(kafka, topic, tmp_path, old) as child:
        wait_until(lambda: is_whole(old), what="the store is whole", child=child)
    with worker(kafka, topic, tmp_path, new) as child:
        wait_until(lambda: "Stop all workers, reset that group" in child.stdout, what="it says so", child=child)
    assert Sink(new).rows() == set()
    earliest = [TopicPartition(places.keyed_topic(tables), n, 0) for tables in places.keyed for n in range(2)]
    (reset,) = kafka.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(places.group, earliest)]).values()
    reset.result()
    with worker(kafka, topic, tmp_path, new) as child:
        wait_until(lambda: is_whole(new), what="the new store is whole", child=child)
    assert Sink(new).rows() == Sink(old).rows()


def is_whole(sink: Path) -> bool:
    states = [from_json(state) for (state,) in Sink(sink).db.execute("SELECT state FROM reserved")]
    return len(states) == len(STREAM.tables) and all(state["whole"] for state in states)
