"""The job, in Flink's own environment: `python -m jobs.stream.flink.job SOURCE DOMAIN FOLDER PARALLELISM`. It runs on a
cluster of this process, or on the one that `flink run` names, until it is stopped."""

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.table import StreamTableEnvironment

import settings
from brokers import KafkaTopic, topic_of
from features.domains import stream_of
from jobs.stream.flink.functions import MESSAGE, Fold, Remember
from jobs.stream.flink.java import java_client
from jobs.stream.flink.places import CHECKPOINTS, WHOLE, FlinkPlaces

#: A checkpoint commits what the job has sent, so a state is online this much later at the latest, and a bit.
CHECKPOINT_SECONDS = 1
#: A job that stands still for longer loses what its last checkpoint had not committed yet. Brokers allow no more unless
#: told so.
TRANSACTION_MS = 15 * 60 * 1000
#: A job that fails begins again from its last checkpoint after a second, and after so long where it fails again.
RETRY_SECONDS = 10
#: Partitions without events hold the time of the topic back for so long.
IDLE_SECONDS = 60


def configuration(folder: Path, parallelism: int) -> Configuration:
    """How Flink runs the job, from the newest checkpoint below a folder on."""
    checkpoints = folder / CHECKPOINTS
    options = {
        "parallelism.default": parallelism,
        "python.execution-mode": "thread",
        "python.executable": sys.executable,
        "state.backend.type": "rocksdb",
        "execution.checkpointing.interval": f"{CHECKPOINT_SECONDS} s",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.incremental": "true",
        "execution.checkpointing.dir": checkpoints.as_uri(),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.exponential-delay.max-backoff": f"{RETRY_SECONDS} s",
        # Whoever reaches the port of a cluster could have it run any code.
        "rest.bind-address": "127.0.0.1",
        "jobmanager.bind-host": "127.0.0.1",
        "taskmanager.bind-host": "127.0.0.1",
        "web.submit.enable": "false",
        "table.exec.source.idle-timeout": f"{IDLE_SECONDS} s",
    }
    if checkpoint := newest_checkpoint(checkpoints):
        options |= {
            "execution.state-recovery.path": checkpoint.as_uri(),
            "execution.state-recovery.claim-mode": "CLAIM",  # Flink removes it once it needs it no more
        }
    result = Configuration()
    for name, value in options.items():
        result.set_string(name, str(value))
    return result


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint below a folder. Each run has a folder of its own, and counts on."""
    whole = [file.parent for file in folder.glob(WHOLE)]
    return max(whole, key=lambda path: int(path.name.removeprefix("chk-")), default=None)


def run(places: FlinkPlaces, folder: Path, parallelism: int) -> None:
    """Run the job until it is stopped."""
    environment = StreamExecutionEnvironment.get_execution_environment(configuration(folder, parallelism))
    tables = StreamTableEnvironment.create(environment)
    tables.execute_sql(_source_table(places))
    tables.execute_sql(_sink_table(places))
    messages = tables.to_data_stream(tables.from_path("source"))
    step = KafkaTopic(places.source.servers, places.source.name), places.stream.domain  # it connects to no broker
    changes = messages.key_by(lambda message: message[0] or b"").process(Remember(*step), MESSAGE).uid("remember")
    tables.create_temporary_view("changes", tables.from_data_stream(changes))
    keyed = ", ".join(_quoted(places.keyed_topic(of_key)) for of_key in places.keyed)
    rows = tables.to_data_stream(tables.sql_query(f"SELECT * FROM changes WHERE topic IN ({keyed})"))
    states = rows.key_by(lambda row: (row[0], row[1])).process(Fold(*step), MESSAGE).uid("fold")
    tables.create_temporary_view("states", tables.from_data_stream(states))
    tables.execute_sql(
        f"INSERT INTO sink SELECT * FROM changes WHERE topic NOT IN ({keyed}) UNION ALL SELECT * FROM states"
    ).wait()


def _source_table(places: FlinkPlaces) -> str:
    options = {
        "topic": places.source.name,
        "properties.group.id": places.reader,
        "properties.isolation.level": "read_committed",
        "scan.startup.mode": "earliest-offset",
    }
    return (
        "CREATE TABLE source (`key` BYTES, `value` BYTES, `partition` INT METADATA VIRTUAL, `offset` BIGINT METADATA "
        "VIRTUAL, appended TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL, WATERMARK FOR appended AS appended) "
        f"WITH ({_options(places, options)})"
    )


def _sink_table(places: FlinkPlaces) -> str:
    options = {
        "topic": ";".join(places.written),
        "sink.delivery-guarantee": "exactly-once",
        "sink.transactional-id-prefix": places.group,
        "properties.transaction.timeout.ms": TRANSACTION_MS,
    }
    return (
        "CREATE TABLE sink (topic STRING NOT NULL METADATA, `key` BYTES, `value` BYTES) "
        f"WITH ({_options(places, options)})"
    )


def _options(places: FlinkPlaces, more: Mapping[str, object]) -> str:
    options = {
        "connector": "kafka",
        **{f"properties.{name}": value for name, value in java_client(places.source).items()},
        "key.format": "raw",
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
        **more,
    }
    return ", ".join(f"{_quoted(name)} = {_quoted(str(value))}" for name, value in options.items())


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _end_with_parent() -> None:
    # Not `sys.stdin`: where the job fails, Python would wait for its lock, and abort with a message of its own.
    os.read(0, 1)
    os._exit(1)


def main(source: str, domain: str, folder: str, parallelism: str) -> None:
    """Run the job, until the process that started it ends."""
    topic = topic_of(source, settings.kafka())
    assert topic is not None, source
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # the Python inside Java has no path of its own
    run(FlinkPlaces(topic, stream_of(domain)), Path(folder), int(parallelism))


if __name__ == "__main__":
    main(*sys.argv[1:])
