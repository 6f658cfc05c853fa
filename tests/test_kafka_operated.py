"""A worker on Kafka as it is operated: it signs in, ends with its topic, and says how far it is."""

import signal
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import coupon_root
import pytest
from confluent_kafka import KafkaError, KafkaException
from engines import kafka as engine
from engines.kafka import Broker
from engines.need import need
from fake import Fake
from processes import WAIT_SECONDS, Child, environment, jobs, started, started_job, wait_until
from pydantic_core import to_json
from servers import free_port

import settings
from app import create_app
from brokers import KafkaTopic
from features.domains import stream_of
from jobs.raw import offline_log
from jobs.stream.kafka import worker
from jobs.stream.kafka.places import Places
from jobs.stream.kafka.progress import CatchUp, paced

need("java", "mvn", modules=("confluent_kafka", "quixstreams"))
pytestmark = [pytest.mark.slow, pytest.mark.engine]
COUPON = stream_of("coupon")
PREFIX, PARTITIONS, EVENTS, MORE = "operated", 3, 200, 7
TOPIC = f"{PREFIX}.{COUPON.raw.name}"
#: `python -m jobs` with another Python for Flink, and with so many seconds between two starts of it.
JOBS = """
import runpy, sys
from pathlib import Path
import pytest
from constants import override
from jobs.stream.flink import cluster
override(pytest.MonkeyPatch(), cluster, PYTHON=Path(sys.argv[1]), RESTART_SECONDS=float(sys.argv[2]))
del sys.argv[1:3]
runpy.run_module("jobs", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module")
def root(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root, and a topic with events and a message that is none."""
    root = tmp_path_factory.mktemp("operated")
    coupon_root.make(root)
    kafka.send(kafka.create(TOPIC, PARTITIONS), [*attempts(0, EVENTS), (b"x", b"no event")])
    return root


@pytest.fixture(autouse=True)
def signed_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sign_in(monkeypatch, tmp_path, engine.PASSWORD)


def sign_in(monkeypatch: pytest.MonkeyPatch, folder: Path, password: str) -> None:
    file = folder / "kafka.properties"
    lines = ["# at the second listener", "security.protocol=SASL_PLAINTEXT", "sasl.mechanism=PLAIN"]
    file.write_text("\n".join([*lines, f"sasl.username = {engine.USER}", f"sasl.password={password}"]))
    monkeypatch.setenv("RISK_KAFKA", str(file))


def attempts(first: int, count: int) -> Iterator[tuple[bytes, bytes]]:
    for n in range(first, first + count):
        event = {
            "msg_id": f"c{n}", "device_id": f"d{n % 7}", "location_code": f"L{n % 3}", "response": "INVALID",
            "coupon_code": f"1234-5678-9012-{n:04}", "create_time": datetime.now(UTC).isoformat(),
        }  # fmt: skip
        yield event["msg_id"].encode(), to_json(event)


def source(kafka: Broker) -> str:
    return f"kafka://{kafka.guarded}/{TOPIC}"


def rows(root: Path) -> int:
    folder = settings.Root(root).offline_log(COUPON.raw.name)
    return sum(offline_log.pq.read_metadata(file).num_rows for file in offline_log.files(folder))


def text_of(url: str) -> str:
    with urllib.request.urlopen(url) as answer:
        return str(answer.read().decode())


def numbers(text: str, name: str) -> dict[str, float]:
    """Labels of a metric → its value."""
    lines = [line.rpartition(" ") for line in text.splitlines() if line.startswith(name)]
    return {labels.removeprefix(name): float(value) for labels, _, value in lines}


def client(kafka: Broker, monkeypatch: pytest.MonkeyPatch, folder: Path, later: timedelta = timedelta(0)) -> Any:
    """The service, whose clock is ahead by `later`."""
    monkeypatch.setenv("RISK_DATA", str(folder))
    monkeypatch.setenv("RISK_EVENTS", f"kafka://{kafka.guarded}/{PREFIX}")
    return create_app(Fake(), clock=lambda: datetime.now(UTC) + later).test_client()


def test_once_ends_when_all_is_processed_that_the_topic_had(kafka: Broker, root: Path) -> None:
    ended = jobs(root, "stream", "coupon", "--source", source(kafka), "--once")
    assert f"coupon: {EVENTS} events, 0 late, 0 duplicate, 1 dead-lettered" in ended.stderr
    assert rows(root) == EVENTS
    assert "events" not in jobs(root, "stream", "coupon", "--source", source(kafka), "--once").stderr
    assert engine.PASSWORD not in ended.output


def test_the_service_says_what_waits_for_workers_that_are_gone(
    kafka: Broker, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = client(kafka, monkeypatch, tmp_path)
    idle = service.get("/metrics").text
    waiting = numbers(idle, f'risk_stream_waiting_messages{{partition="0",stream="{COUPON.raw.name}"')
    assert set(waiting.values()) == {0}, idle
    kafka.send(TOPIC, attempts(EVENTS, MORE))
    service = client(kafka, monkeypatch, tmp_path, later=timedelta(minutes=2))
    behind = numbers(service.get("/metrics").text, "risk_stream_waiting_messages")
    assert sum(value for labels, value in behind.items() if f'topic="{TOPIC}"' in labels) == MORE
    assert sum(behind.values()) == MORE
    assert numbers(service.get("/metrics").text, "risk_stream_waiting_seconds")[f'{{stream="{COUPON.raw.name}"}}'] > 100
    (check,) = [
        c for c in service.get("/api/health-check/ready").json["checks"] if c["name"] == "stream coupon_attempts"
    ]
    assert f"python -m jobs stream coupon --source {source(kafka)}" in check["problem"]
    page = service.get("/console/monitor").text
    assert "the oldest event has been waiting for" in page
    assert f"in {TOPIC} partition" in page


def test_a_worker_tells_prometheus_its_counts_and_its_lag(kafka: Broker, root: Path) -> None:
    port = free_port()
    with started_job(root, "stream", "coupon", "--source", source(kafka), "--metrics", str(port)) as job:
        wait_until(lambda: rows(root) == EVENTS + MORE, what="the worker has the events", child=job)

        def is_idle() -> bool:
            text = text_of(f"http://127.0.0.1:{port}/metrics")
            behind = numbers(text, "stream_behind_messages")
            topics = {labels.partition('topic="')[2].partition('"')[0] for labels in behind}
            return len(topics) == 4 and not any(behind.values()) and 'stream_lag_seconds{domain="coupon"} 0.0' in text

        wait_until(is_idle, what="nothing waits", child=job)
        text = text_of(f"http://127.0.0.1:{port}/metrics")
    assert numbers(text, "stream_events_total") == {'{domain="coupon"}': MORE}
    assert numbers(text, "stream_watermark_seconds")['{domain="coupon"}'] > datetime.now(UTC).timestamp() - 86400


def test_a_wrong_password_is_said_and_not_shown(
    kafka: Broker, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sign_in(monkeypatch, tmp_path, "another secret")
    ended = jobs(root, "stream", "coupon", "--source", source(kafka), code=1)
    assert "bad_setting" in ended.stderr
    assert "Correct the file of RISK_KAFKA" in ended.stderr
    (_, event), *_ = attempts(0, 1)
    answer = client(kafka, monkeypatch, tmp_path).post(
        f"/api/v1/events/{COUPON.raw.name}", data=event, content_type="application/json"
    )
    assert (answer.status_code, answer.json["error"]["name"]) == (503, "log_unavailable")
    assert "RISK_KAFKA" in answer.json["error"]["message"]
    assert "another secret" not in ended.output + answer.text


def test_a_topic_is_not_caught_up_before_its_derived_topics_are_there(kafka: Broker) -> None:
    topic = KafkaTopic(kafka.servers, kafka.create("without-a-worker"))
    assert not CatchUp(Places(topic, COUPON)).is_done()


def test_brokers_that_do_not_answer_are_said_so_in_words() -> None:
    message = worker._message(KafkaException(KafkaError(KafkaError._TRANSPORT)))
    assert message is not None
    assert message.startswith("Kafka does not answer (")
    assert "set RISK_KAFKA" in message


def without_flink(kafka: Broker, root: Path, folder: Path, seconds: float) -> AbstractContextManager[Child]:
    """The job on Flink, whose environment is broken."""
    python = folder / "python"
    python.write_text("#!/bin/sh\necho 'No module named pyflink'; exit 7\n")
    python.chmod(0o700)
    command = [sys.executable, "-c", JOBS, python, str(seconds), "stream", "coupon", "--engine", "flink"]
    env = environment(RISK_DATA=root) | {"PYTHONPATH": str(Path(__file__).parent)}
    return started([*command, "--source", source(kafka)], env=env)


def test_flink_that_cannot_start_ends_the_command(kafka: Broker, root: Path, tmp_path: Path) -> None:
    with without_flink(kafka, root, tmp_path, 0) as job:
        ended = job.ended(1)
    assert ended.stderr.splitlines()[-1].startswith("bad_setting: Flink cannot start: 3 times")
    assert "ended with 7. It printed last: No module named pyflink. Correct" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_wait_for_flink(number: signal.Signals, kafka: Broker, root: Path, tmp_path: Path) -> None:
    with without_flink(kafka, root, tmp_path, 2 * WAIT_SECONDS) as job:
        wait_until(lambda: "starts again in" in job.stderr, what="Flink has ended", child=job)
        job.send(number)
        job.ended()


def test_a_worker_waits_for_the_next_commit_as_long_as_the_last_one_took():
    """It commits when the interval has passed, or a limit of messages is reached."""
    now, intervals = 0.0, list[float]()

    class Context:
        commit_interval = 0.2

        def init_checkpoint(self) -> None:
            intervals.append(self.commit_interval)

        def commit_checkpoint(self, force: bool, revoking: bool) -> None:
            nonlocal now
            now += next(durations)
            self.init_checkpoint()

    durations, context = iter([0.1, 0.7, 30.0, 0.1]), Context()
    paced(context, lambda: now)  # type: ignore[arg-type]
    context.init_checkpoint()
    for _ in range(4):
        context.commit_checkpoint(False, False)
        now += 5
    assert intervals == pytest.approx([0.2, 0.2, 0.7, 1.0, 0.2])
