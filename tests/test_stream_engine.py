"""The start of the stream job on another engine, without the engine."""

import pytest
from constants import override
from processes import jobs

from brokers import KafkaTopic
from errors import BadSetting, Busy
from features.domains import stream_of
from jobs.stream.flink import cluster
from jobs.stream.flink.places import FlinkPlaces
from jobs.stream.kafka.places import Places
from root import Root

TOPIC = KafkaTopic("127.0.0.1:9", "orders")
CHARGEBACK = stream_of("chargeback")


def job(tmp_path):
    return cluster.Cluster(Root(tmp_path), FlinkPlaces(TOPIC, CHARGEBACK), pytest.fail)


@pytest.mark.slow
def test_an_engine_without_a_topic_is_refused(tmp_path):
    ended = jobs(tmp_path, "stream", "chargeback", "--engine", "flink", code=1)
    assert "--engine flink reads a topic. Name it: --source kafka://HOST:PORT/TOPIC" in ended.stderr


def test_without_flink_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    override(monkeypatch, cluster, PYTHON=tmp_path / "python")
    with pytest.raises(BadSetting, match="Run make flink"), job(tmp_path):
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
