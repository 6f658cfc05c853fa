"""The stream job on a real Flink and a real Kafka broker: whatever is killed, it has the states of the embedded job."""

import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import coupon_root
import coupon_traffic
import psutil
import pyarrow.parquet as pq
import pytest
from confluent_kafka import Producer
from engines.kafka import QUIET, Broker
from engines.need import need
from processes import WAIT_SECONDS, Child, environment, is_gone, jobs, jobs_command, started, started_job, wait_until
from pydantic_core import from_json, to_json
from stream_world import Sink, new_job

import settings
from brokers import PARTITIONER, KafkaTopic, message_key
from features.domains import stream_of
from features.utc import since_1970
from features.windows.live import seen_of, state_of
from jobs.raw import offline_log
from jobs.stream.flink.cluster import PYTHON
from jobs.stream.flink.places import FlinkPlaces
from jobs.stream.kafka.progress import CatchUp
from serving.retrieval import FeastStore

need("java", "mvn", str(PYTHON), modules=("confluent_kafka", "quixstreams"))
pytestmark = [pytest.mark.slow, pytest.mark.engine, pytest.mark.flink]
COUPON = stream_of("coupon")
#: When the brokers got the events. No window reaches them today.
NOW = datetime.now(UTC) - timedelta(days=4)
PARTITIONS = 4
TOPIC = "attempts"
POISON = b"no event"
#: To look all the time would take a core from Flink.
LOOK_SECONDS = 0.5


@pytest.fixture(scope="module", autouse=True)
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A root with the views of this one domain. Its registry has its paths, so all tests have this root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(tmp_path_factory.mktemp("applied")))
        coupon_root.apply()
        yield


def attempts() -> list[dict[str, Any]]:
    """Attempts of 20 minutes, some of them hours late; then later versions of some, which correct them; duplicates."""
    chance, words = random.Random(14), ("VALID", "INVALID")
    events = [
        {
            "msg_id": f"c{n}", "device_id": f"d{chance.randrange(8)}", "location_code": f"L{chance.randrange(4)}",
            "coupon_code": f"1234-5678-{chance.randrange(3):04d}-{n:04d}", "response": chance.choice(words),
            "create_time": (NOW - timedelta(hours=6 * (n % 25 == 0), seconds=chance.randrange(1200))).isoformat(),
        }
        for n in range(300)
    ]  # fmt: skip
    for n in range(0, 300, 10):
        events.insert(chance.randrange(n + 1, len(events)), events[n])
        corrected = events[n] | {"response": "INVALID", "device_id": f"d{n % 8}", "is_attack": 1}
        events.insert(chance.randrange(n + 2, len(events) + 1), corrected)
    return events


@contextmanager
def flink_job(servers: str) -> Iterator[Child]:
    command = jobs_command("stream", "coupon", "--source", f"kafka://{servers}/{TOPIC}", "--engine", "flink")
    with started(command, env=environment(RISK_DATA=settings.root())) as job:
        yield job


def processes_below(job: Child) -> list[psutil.Process]:
    return psutil.Process(job.pid).children(recursive=True)


def logged() -> list[dict[str, Any]]:
    """The rows of the offline log, without when they were created."""
    folder = settings.root().offline_log(COUPON.raw.name)
    tables = [pq.read_table(file, partitioning=None) for file in offline_log.files(folder)] if folder.exists() else []
    return [row for table in tables for row in table.drop_columns("created").to_pylist()]


def wait_for(events: list[dict[str, Any]], job: Child) -> None:
    """Wait until all events are in the offline log."""
    ids = {event["msg_id"] for event in events}

    def missing() -> int:
        time.sleep(LOOK_SECONDS)
        return len(ids - {row["msg_id"] for row in logged()})

    wait_until(missing, lambda count: count == 0, what="events are in the offline log", child=job)


def counted(rows: list[dict[str, Any]]) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for row in rows)


def in_store(places: FlinkPlaces, keys: set[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, bytes]]:
    """View and key → event time and state, as far as they are in the online store."""
    time.sleep(LOOK_SECONDS)
    store, rows = FeastStore(settings.FEATURE_REPO), dict[tuple[str, str], tuple[int, bytes]]()
    for live in places.live:
        view, names = state_of(live.table), (state_of(live.table), seen_of(live.table))
        of_view = sorted(key for name, key in keys if name == view)
        stored = store.kept(view, names, [tuple(from_json(key)) for key in of_view])
        rows |= {(view, key): (row[0], row[1][0]) for key, row in zip(of_view, stored, strict=True) if row}
    return rows


def test_what_was_served_from_states_of_flink_is_computed_again(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = KafkaTopic(kafka.servers, kafka.create(f"parity.{COUPON.raw.name}", PARTITIONS))
    coupon_root.make(tmp_path)
    monkeypatch.setenv("RISK_EVENTS", f"kafka://{kafka.servers}/parity")
    command = ["stream", "coupon", "--source", topic.url, "--engine", "flink"]
    with coupon_root.service(tmp_path) as url, started_job(tmp_path, *command) as job:
        decisions = coupon_traffic.serve(url, tmp_path, job)
        # The rows of keys come on another topic than the states, and may be in the log a bit later.
        wait_until(CatchUp(FlinkPlaces(topic, COUPON)).is_done, what="the keyed log has all rows", child=job)
        coupon_traffic.check(url, tmp_path, decisions)


def test_a_killed_flink_job_has_the_states_of_the_embedded_job(kafka: Broker, tmp_path: Path) -> None:
    kafka.create(TOPIC, PARTITIONS)
    places, events = FlinkPlaces(KafkaTopic(kafka.servers, TOPIC), COUPON), attempts()

    producer = Producer({"bootstrap.servers": kafka.servers, "partitioner": PARTITIONER, "logger": QUIET})

    def send(part: list[dict[str, Any]]) -> None:
        for event in part:
            producer.produce(TOPIC, to_json(event), message_key(event, "msg_id"), timestamp=since_1970(NOW) // 1000)
        assert producer.flush(WAIT_SECONDS) == 0

    sink = Sink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(tmp_path))
        with closing(new_job([[event] for event in events], sink, COUPON, NOW)) as embedded:
            embedded.recover()
            while embedded.step():
                pass
        versions = logged()
    expected = {(view, key): (since_1970(datetime.fromisoformat(at)), state) for view, key, at, state in sink.rows()}
    assert len(versions) > len({event["msg_id"] for event in events})

    producer.produce(TOPIC, POISON, b"p", timestamp=since_1970(NOW) // 1000)
    send(events[:120])
    with flink_job(kafka.servers) as job:
        wait_for(events[:120], job)
        (java,) = [process for process in processes_below(job) if process.name() == "java"]
        addresses = [place.laddr.ip for place in java.net_connections() if place.status == psutil.CONN_LISTEN]
        assert all(ip_address(text.removeprefix("::ffff:")).is_loopback for text in addresses)
        send(events[120:240])
        java.kill()
        wait_for(events[:240], job)
        children = processes_below(job)
        send(events[240:])
        job.send(signal.SIGKILL)
        job.ended(-signal.SIGKILL)
        wait_until(lambda: all(is_gone(child.pid) for child in children), what="Flink ends with its parent")
    with flink_job(kafka.servers) as job:
        wait_for(events, job)
        wait_until(lambda: in_store(places, expected.keys()) == expected, what="all states are online", child=job)
        assert counted(logged()) == counted(versions)
        for partition in range(PARTITIONS):  # in each, it is four days later now
            producer.produce(TOPIC, POISON, b"p", partition)

        def sent_again() -> int:
            send(events[:1])
            time.sleep(LOOK_SECONDS)
            return len(logged())

        wait_until(sent_again, lambda count: count > len(versions), what="an old event is forgotten", child=job)
        children = processes_below(job)
        job.send(signal.SIGTERM)
        job.ended()
        assert all(is_gone(child.pid) for child in children)
    for live in places.live:
        keys = {tuple(from_json(message.key() or b"")) for message in kafka.messages(places.states(live))}
        assert keys == {tuple(from_json(key)) for view, key in expected if view == state_of(live.table)}
    letters = [from_json(message.value() or b"") for message in kafka.messages(places.dead_letters)]
    assert [letter["line"] for letter in letters] == [POISON.decode()] * (1 + PARTITIONS)


def test_flink_without_java_ends_the_command_with_the_reason(
    kafka: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = KafkaTopic(kafka.servers, kafka.create("without-java"))
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    coupon_root.make(tmp_path)
    ended = jobs(tmp_path, "stream", "coupon", "--source", topic.url, "--engine", "flink", code=1)
    assert ended.stderr.splitlines()[-1].startswith("bad_setting: Flink cannot start")
    assert "No such file or directory: '/nowhere/bin/java'. Correct that" in ended.stderr
