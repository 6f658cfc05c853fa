"""The offline log of a real topic: the order of its rows is that of the offsets, whatever the clocks say."""

from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from confluent_kafka import Message
from engines.kafka import Broker
from engines.need import need
from stream_world import BEGIN, RAW

from features.utc import since_1970
from jobs.raw import offline_log
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


def write(root: Path, messages: list[Message], cuts: list[int]) -> None:
    """Write messages by one worker, with a commit at each cut."""
    sink = EventsSink(Root(root), RAW)
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
