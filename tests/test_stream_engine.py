"""The start of the stream job on another engine, without the engine."""

from threading import TIMEOUT_MAX, Event

import pytest
from constants import override
from processes import WAIT_SECONDS, jobs, wait_until

from brokers import KafkaTopic
from errors import BadSetting, Busy
from features.domains import stream_of
from jobs.stream.flink import cluster
from jobs.stream.flink.places import CHECKPOINTS, FlinkPlaces
from jobs.stream.kafka.places import Places
from root import Root

TOPIC = KafkaTopic("127.0.0.1:9", "orders")
CHARGEBACK = stream_of("chargeback")
PLACES = FlinkPlaces(TOPIC, CHARGEBACK)
#: What a job prints that Java, the start of Java, or Python has ended; and what says why.
TRACES = [
    (
        """Traceback (most recent call last):
  File "job.py", line 1, in <module>
py4j.protocol.Py4JJavaError: An error occurred while calling o1.await.
: java.util.concurrent.ExecutionException: it failed
\tat java.base/java.lang.Thread.run(Unknown Source)
Caused by: java.net.Bad: no such host.

Available hosts are:
\t... 27 more

""",
        "Caused by: java.net.Bad: no such host",
    ),
    (
        "Invalid heap size: -Xmx9q\nError: No Java.\nError: It ends.\n",
        "Invalid heap size: -Xmx9q / Error: No Java. / Error: It ends",
    ),
    (
        'Traceback (most recent call last):\n  File "job.py"\nBadSetting: Flink knows no words.',
        "BadSetting: Flink knows no words",
    ),
    ("", "nothing"),
]
#: Takes the place of Flink's Python, whose fifth argument is the folder of the job.
CHECKPOINT = """
mkdir "$5/checkpoints/run" && mkdir "$5/checkpoints/run/chk-1" && touch "$5/checkpoints/run/chk-1/_metadata"
"""


def job(tmp_path, report=pytest.fail):
    return cluster.Cluster(Root(tmp_path), PLACES, report)


def stand_in(tmp_path, monkeypatch, script, **constants):
    """Run a script in place of Flink's Python."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o700)
    override(monkeypatch, cluster, PYTHON=python, **({"RESTART_SECONDS": 0} | constants))


@pytest.mark.slow
def test_an_engine_without_a_topic_is_refused(tmp_path):
    ended = jobs(tmp_path, "stream", "chargeback", "--engine", "flink", code=1)
    assert "--engine flink reads a topic. Name it: --source kafka://HOST:PORT/TOPIC" in ended.stderr


def test_without_flink_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    override(monkeypatch, cluster, PYTHON=tmp_path / "python")
    with pytest.raises(BadSetting, match="Run make flink"), job(tmp_path):
        pass


def test_what_java_has_no_word_for_is_refused_before_flink_starts(tmp_path, monkeypatch):
    (tmp_path / "python").touch()
    override(monkeypatch, cluster, PYTHON=tmp_path / "python")
    topic = KafkaTopic(TOPIC.servers, TOPIC.name, {"ssl.cipher.suites": "any"})
    places = FlinkPlaces(topic, CHARGEBACK)
    with (
        pytest.raises(BadSetting, match="Flink knows no ssl"),
        cluster.Cluster(Root(tmp_path), places, str),
    ):
        pass


def test_one_process_at_a_time_runs_flink_on_a_root(tmp_path, monkeypatch):
    (tmp_path / "python").touch()
    override(monkeypatch, cluster, PYTHON=tmp_path / "python", END_SECONDS=0)
    with job(tmp_path), pytest.raises(Busy, match="Stop it first"), job(tmp_path):
        pass
    with job(tmp_path):  # it has ended, so another may
        pass


def test_both_engines_have_topics_of_their_own():
    quix, flink = Places(TOPIC, CHARGEBACK), FlinkPlaces(TOPIC, CHARGEBACK)
    assert flink.group == f"{quix.group}.flink"
    assert not {quix.keyed_topic(tables) for tables in quix.keyed} & set(flink.written)
    assert len(set(flink.written)) == len(flink.live) + len(flink.keyed) + 2
    assert quix.dead_letters in flink.written


def run_until_it_gives_up(tmp_path, report):
    given_up = Event()
    with job(tmp_path, report) as running:
        running.start(1, given_up.set)
        assert given_up.wait(WAIT_SECONDS)


@pytest.mark.slow
@pytest.mark.parametrize(("trace", "words"), TRACES)
def test_flink_that_cannot_start_ends_the_job_with_what_it_printed_last(trace, words, tmp_path, monkeypatch):
    """A checkpoint of an earlier run does not count."""
    stand_in(tmp_path, monkeypatch, f"cat {tmp_path}/trace; exit 7")
    (tmp_path / "trace").write_text(trace)
    earlier = Root(tmp_path).kafka_states(PLACES.group) / "flink" / CHECKPOINTS / "earlier" / "chk-9"
    earlier.mkdir(parents=True)
    (earlier / "_metadata").touch()
    reports = []
    message = f"{cluster.ATTEMPTS} times .* ended with 7. It printed last: {words}. Correct"
    with pytest.raises(BadSetting, match=message):
        run_until_it_gives_up(tmp_path, reports.append)
    assert len(reports) == cluster.ATTEMPTS - 1
    assert all(f"It printed last: {words}." in report for report in reports)


@pytest.mark.slow
def test_flink_that_made_a_checkpoint_is_started_again_ever_more_rarely(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, CHECKPOINT, RESTART_SECONDS=0.001, MOST_RESTART_SECONDS=0.004)
    reports = []
    with job(tmp_path, reports.append) as running:
        running.start(1, pytest.fail)
        wait_until(lambda: len(reports) > 2 * cluster.ATTEMPTS, what="Flink is started again")
    pauses = [float(report.partition("starts again in ")[2].partition(" s")[0]) for report in reports]
    assert pauses[:4] == [0.001, 0.002, 0.004, 0.004]


@pytest.mark.slow
def test_flink_that_cannot_be_executed_is_said_to_be_so(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "")
    (tmp_path / "python").chmod(0o600)
    with pytest.raises(BadSetting, match="python: Permission denied"):
        run_until_it_gives_up(tmp_path, str)


@pytest.mark.slow
def test_the_end_of_the_command_does_not_wait_until_flink_starts_again(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "exit 1", RESTART_SECONDS=TIMEOUT_MAX)
    reports = []
    with job(tmp_path, reports.append) as running:
        running.start(1, pytest.fail)
        wait_until(lambda: reports, what="Flink has ended")
    assert len(reports) == 1
