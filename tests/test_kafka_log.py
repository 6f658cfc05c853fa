"""The offline log of a real topic: the order of its rows is that of the offsets, whatever the clocks say."""

from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Message
from engines.kafka import Broker
from engines.need import need
from stream_world import BEGIN, RAW

from brokers import KafkaTopic
from errors import LogUnavailable
from features.utc import since_1970
from jobs.raw import offline_log
from jobs.stream.kafka import topics
from jobs.stream.kafka.log import EventsSink
from root import Root

need("java", "mvn", modules=("quixstreams",))
pytestmark = [pytest.mark.slow, pytest.mark.engine]
#: More than the offsets that one ms has µs for.
VERSIONS = 2100


@pytest.fixture(scope="module")
def messages(kafka: Broker) -> list[Message]:
    """Versions of one event, all appended in one ms, but for some of which the clock of the broker went back."""
    topic = kafka.create("one-event")
    at = since_1970(BEGIN) // 1000
    kafka.send(topic, ((b"e", b"%d" % n) for n in range(VERSIONS)), lambda n: at - 5 * (n % 700 == 699))
    return kafka.messages(topic)


def write(root: Path, messages: list[Message], cuts: list[int], topic: str = "an-id") -> None:
    """Write messages by one worker, with a commit at each cut."""
    sink = EventsSink(Root(root), RAW, topic)
    for begin, end in pairwise([0, *cuts, len(messages)]):
        for message in messages[begin:end]:
            row = dict.fromkeys(RAW.sent_columns) | {"id": "e", "at": since_1970(BEGIN), "x": float(message.value())}
            sink.add(row, None, message.timestamp()[1], None, "one-event", 0, message.offset())
        sink.flush()


def logged(root: Path) -> list[tuple[int, float]]:
    """`created` and the number of each version, in the order of `created`."""
    files = offline_log.files(Root(root).offline_log(RAW.name))
    rows = [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]
    return sorted((since_1970(row["created"]), row["x"]) for row in rows)


def test_versions_of_one_ms_are_in_the_order_of_their_offsets(messages: list[Message], tmp_path: Path) -> None:
    assert len({message.timestamp()[1] for message in messages}) == 2
    write(tmp_path, messages, [999, 1001, 2000])
    rows = logged(tmp_path)
    assert [version for _, version in rows] == [float(n) for n in range(VERSIONS)]
    assert len({created for created, _ in rows}) == VERSIONS


def test_a_worker_that_begins_again_gives_each_row_the_same_date(messages: list[Message], tmp_path: Path) -> None:
    write(tmp_path / "whole", messages, [])
    write(tmp_path / "parts", messages[:1500], [400])  # it dies, and its offsets are those of the first commit
    write(tmp_path / "parts", messages[400:], [1000])
    assert logged(tmp_path / "parts") == logged(tmp_path / "whole")


def test_a_note_of_an_older_version_is_read(messages: list[Message], tmp_path: Path) -> None:
    write(tmp_path, messages[:10], [])
    note = Root(tmp_path).offline_log(RAW.name) / ".partition-0"
    note.write_text('[9,"somebody"]')
    write(tmp_path, messages, [])
    assert len(logged(tmp_path)) == VERSIONS


def topic(kafka: Broker, name: str, first: int, count: int) -> tuple[list[Message], str]:
    """The messages of a new topic, and its id."""
    kafka.create(name)
    kafka.send(name, ((b"e", b"%d" % n) for n in range(first, first + count)))
    return kafka.messages(name), topics.id_of(KafkaTopic(kafka.servers, name), name)


@pytest.mark.parametrize("name", ["moved", "again"])
def test_a_new_topic_begins_behind_what_the_log_has_of_another(kafka: Broker, name: str, tmp_path: Path) -> None:
    """It has another name, or the same one after it was deleted. A crash leaves a part of its rows too."""
    messages, first = topic(kafka, "again", 0, 10)
    write(tmp_path, messages, [4], first)
    kafka.delete("again")
    others, second = topic(kafka, name, 10, 8)
    write(tmp_path, others[:7], [2, 5], second)
    write(tmp_path, others[5:], [], second)
    assert [version for _, version in logged(tmp_path)] == [float(n) for n in range(18)]
    write(tmp_path, messages, [], first)
    assert len(logged(tmp_path)) == 18
    kafka.delete(name)


def test_a_worker_begins_again_where_its_topic_was_created_again(kafka: Broker, tmp_path: Path) -> None:
    messages, first = topic(kafka, "twice", 0, 10)
    with pytest.raises(LogUnavailable, match=r"offset 3 of partition 0 after offset 9\. Was the topic created again"):
        write(tmp_path, [*messages, *messages[3:]], [10], first)
    assert len(logged(tmp_path)) == 10
