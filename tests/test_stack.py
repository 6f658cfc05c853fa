"""`make stack` gives the numbers of the embedded root, and Ctrl-C ends all of it."""

import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest
import readme
from answers import differences
from engines.need import need
from processes import WAIT_SECONDS, Child, environment, is_gone, run, started, wait_until
from servers import free_port

import settings
from features.domains import streams

need("java", "mvn", "redis-server", modules=("quixstreams", "pyspark", "redis", "psycopg"))
pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.stack]
TESTS = Path(__file__).parent
#: Streams that have a history.
FILLED = {"orders", "purchases", "transactions"}
PATH = os.pathsep.join(map(str, (TESTS, settings.PROJECT, settings.FEATURE_REPO, settings.PROJECT / "stores")))


@dataclass(frozen=True)
class Stack:
    """A running stack, and the settings of commands on it."""

    child: Child
    settings: dict[str, str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack") / "stack"


@contextmanager
def started_stack(world: Path, folder: Path) -> Iterator[Stack]:
    env = environment(RISK_DATA=world, PORT=free_port()) | {"PYTHONPATH": PATH}
    with started([sys.executable, TESTS / "stack.py", folder], env=env) as child:
        wait_until(lambda: "answers. For commands" in child.stdout, what="the stack answers", child=child)
        lines = re.findall(r"^export (\w+)=(.*)$", (folder / "settings.sh").read_text(), re.MULTILINE)
        yield Stack(child, {name: value.strip("'") for name, value in lines})


@pytest.fixture(scope="module")
def stack(world: Path, folder: Path) -> Iterator[Stack]:
    with started_stack(world, folder) as running:
        yield running


@pytest.fixture(scope="module")
def numbers(world: Path, stack: Stack) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the embedded root gives, and what the stack gives, at one moment."""
    now = datetime.now(UTC).isoformat()

    def probe(variables: dict[str, str]) -> dict[str, Any]:
        env = {**environment(), "PYTHONPATH": PATH, **variables}
        return dict(json.loads(run([sys.executable, TESTS / "stack_probe.py", now], env=env).stdout))

    return probe({"RISK_DATA": str(world)}), probe(stack.settings)


def test_online_features_decisions_and_reasons_are_equal(numbers: tuple[dict, dict]):
    embedded, scale = (seen["answers"] for seen in numbers)
    assert scale == embedded
    assert sum(answer.startswith("200") for answer in scale) > 70


def test_the_tables_of_spark_are_those_of_duckdb(numbers: tuple[dict, dict]):
    embedded, scale = (seen["offline"] for seen in numbers)
    assert scale == embedded
    assert all(rows for rows, _ in scale.values())


def test_training_sees_the_same_past(numbers: tuple[dict, dict]):
    embedded, scale = (seen["point in time"] for seen in numbers)
    assert scale == embedded
    assert len({*scale["user_orders__orders_count_7d"]}) > 5


def test_every_stream_has_its_events_and_no_dead_letter(stack: Stack):
    """The demo's events are valid, so each has reached its table."""
    servers, prefix = stack.settings["RISK_EVENTS"].removeprefix("kafka://").split("/")
    ends = ends_of(servers)
    assert {name for name in streams() if ends[f"{prefix}.{name}"]} >= FILLED
    assert {topic: end for topic, end in ends.items() if topic.endswith(".dead-letters") and end} == {}


def test_the_requests_of_the_readme_are_answered_as_shown(numbers: tuple[dict, dict], stack: Stack):
    """After the numbers: requests change them."""
    assert wrong_answers(stack) == {}


def test_ctrl_c_ends_all_of_it_and_it_starts_again(world: Path, folder: Path, stack: Stack):
    """The last test: the stack ends here."""
    end(stack)
    with started_stack(world, folder) as again:
        assert wrong_answers(again) == {}
        end(again)


def end(stack: Stack) -> None:
    """Ctrl-C."""
    processes = psutil.Process(stack.child.pid).children(recursive=True)
    assert {"java", "redis-server", "postgres"} <= {process.name() for process in processes}
    stack.child.send(signal.SIGINT)
    assert stack.child.ended(0).stdout.endswith("All of it has ended.\n")
    assert [process for process in processes if not is_gone(process.pid)] == []


def wrong_answers(stack: Stack) -> dict[str, list[str]]:
    """Request of the README → how the answer of the stack differs from the one that is shown."""
    address, wrong = f"http://127.0.0.1:{stack.settings['PORT']}", {}
    for call in readme.calls(readme.README):
        answer = json.loads(run(shlex.split(call.command.replace("http://127.0.0.1:5000", address))).stdout)
        wrongs = [*differences(call.answer, answer)] if call.answer is not None else []
        if wrongs or "error" in answer:
            wrong[call.command] = wrongs or [str(answer)]
    return wrong


def ends_of(servers: str) -> dict[str, int]:
    """Topic → how many messages it has got."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec

    admin = AdminClient({"bootstrap.servers": servers})
    topics = admin.list_topics(timeout=WAIT_SECONDS).topics
    places = [TopicPartition(name, number) for name, topic in topics.items() for number in topic.partitions]
    ends = dict.fromkeys(topics, 0)
    for place, future in admin.list_offsets(dict.fromkeys(places, OffsetSpec.latest())).items():
        ends[place.topic] += future.result(WAIT_SECONDS).offset
    return ends
