"""`make stack`: everything at scale as processes of this machine, on a copy of the demo's data, until Ctrl-C.

The engines are those of the tests (tests/engines/), started by the same code. Each start makes `build/stack/` anew: a
copy of the root, what the engines store and say, and `settings.sh`, with which a command works on the stack.
"""

import ctypes
import os
import shlex
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from engines import kafka, postgres, redis
from processes import Child, run, started, wait_until
from pydantic_core import to_json
from servers import free_port

import settings
from brokers import KafkaTopic, message_key
from features.domains import Stream, streams
from features.utc import EPOCH, MICROSECOND, since_1970
from features.windows.keyed import by_keys, reached
from jobs.raw import places
from jobs.stream.job import prepare
from jobs.stream.kafka.places import Places
from jobs.stream.kafka.progress import CatchUp
from jobs.stream.loop import read_history
from root import Root

FOLDER = settings.PROJECT / "build/stack"
BIN = Path(sys.executable).parent
#: The topics' names begin so: a stream's topic is `risk.orders`.
TOPICS = "risk"
PARTITIONS = 4
#: A driver of Spark and two executors, each a process.
SPARK_MASTER = "local-cluster[2,1,1024]"
#: The demo is small, and each query runs once: few tasks, and no code is compiled.
SPARK_OPTIONS = (
    "spark.sql.shuffle.partitions=2 spark.default.parallelism=2 spark.sql.adaptive.enabled=false "
    "spark.sql.codegen.wholeStage=false spark.sql.codegen.factoryMode=NO_CODEGEN "
    "spark.driver.extraJavaOptions=-XX:TieredStopAtLevel=1 spark.executor.extraJavaOptions=-XX:TieredStopAtLevel=1"
)
#: What the stack makes itself, or what the demo's own service has noted.
LEFT_OUT = (
    "decisions*", "streams", "states", "online.db*", "registry.db*", "materialized", "log", "events", "counters",
    "answers", "*.lock", "scores.db*", "monitor.db*", "replaced",
)  # fmt: skip
_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the stack until Ctrl-C, SIGTERM, or the end of one of its parts. An argument names another folder."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1)  # who loses its parent becomes ours, and `end_descendants` finds it
    folder = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else FOLDER
    try:
        with stack(settings.root(), folder, settings.port()) as parts:
            say(f"http://127.0.0.1:{settings.port()} answers. For commands on the stack: . {folder}/settings.sh")
            while all(part.is_running() for part in parts):
                time.sleep(1)
            (ended, *_) = [part for part in parts if not part.is_running()]
            sys.exit(f"{ended.name} has ended, and so does the stack. It printed:\n{ended.output}")
    except KeyboardInterrupt:
        say("All of it has ended.")
    except pytest.fail.Exception as error:
        sys.exit(str(error))


@contextmanager
def stack(demo: Root, folder: Path, port: int) -> Iterator[list[Child]]:
    """A running stack on a copy of `demo`: the processes that must stay. At the end none of them is left, and none that
    they have started. Raises `pytest.fail.Exception` with what a part has printed that does not start."""
    shutil.rmtree(folder, ignore_errors=True)
    with ExitStack() as running:
        running.callback(end_descendants)
        try:
            yield _parts(running, demo, folder, port)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # at a second Ctrl-C, some of them would stay
            say("Ending all of it.")


def _parts(running: ExitStack, demo: Root, folder: Path, port: int) -> list[Child]:
    """Start one part after the other, each when those that it needs are ready."""
    root, now = Root(folder / "root"), datetime.now(UTC)
    shutil.copytree(demo.path, root.path, symlinks=True, ignore=shutil.ignore_patterns(*LEFT_OUT))
    for stream in streams().values():
        prepare(root, stream)
    say("Starting Kafka, Redis and PostgreSQL.")
    broker = running.enter_context(kafka.broker(folder / "kafka"))
    env = {**os.environ, **_settings(running, root, folder, port, broker.servers)}

    say("Computing the feature tables on Spark, and bringing them online.")
    repository = ["--chdir", str(settings.FEATURE_REPO), "--feature-store-yaml", env["RISK_STORE"]]
    feast = [str(BIN / "feast"), *repository]
    run([*feast, "apply"], env=env)
    run([BIN / "python", "-m", "jobs", "execute", "--all", "--engine", "spark"], env=env)
    run([*feast, "materialize-incremental", f"{now:%Y-%m-%dT%H:%M:%S}"], env=env)

    say("Sending the history of the streams, and folding it.")
    workers = {}
    for name, stream in streams().items():
        broker.create(f"{TOPICS}.{name}", PARTITIONS)
        broker.send(f"{TOPICS}.{name}", history(root, stream, now))
        source = f"{env['RISK_EVENTS']}.{name}"
        command: list[str | Path] = [BIN / "python", "-m", "jobs", "stream", stream.domain, "--source", source]
        workers[name] = running.enter_context(started(command, env=env))
    for name, worker in workers.items():
        wait_until(
            CatchUp(Places(KafkaTopic(broker.servers, f"{TOPICS}.{name}"), streams()[name])).is_done,
            what=f"the worker of {name} has folded all events",
            child=worker,
        )
    service = running.enter_context(started([BIN / "python", settings.PROJECT / "app.py"], env=env))
    wait_until(lambda: _answers(port), what=f"the service answers at {port}", child=service)
    monitor = running.enter_context(started([BIN / "python", "-m", "jobs", "monitor"], env=env))
    return [*workers.values(), service, monitor]


def _settings(running: ExitStack, root: Root, folder: Path, port: int, kafka_servers: str) -> dict[str, str]:
    """Start the stores. The settings of every command on the stack, which are also in `settings.sh`."""
    redis_port, postgres_port = free_port(), free_port()
    (folder / "redis").mkdir()
    running.enter_context(redis.running(folder / "redis", redis_port, "--appendonly", "yes"))
    # Its user must reach the folder of its data, which those of a checkout may forbid.
    data = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="risk-stack-")))
    data.chmod(0o755)
    running.enter_context(postgres.running(data / "postgres", postgres_port))
    variables = {
        "RISK_DATA": str(root),
        "RISK_STORE": str(settings.FEATURE_REPO / "feature_store.scale.yaml"),
        "RISK_REDIS": f"127.0.0.1:{redis_port}",
        "RISK_REGISTRY": f"postgresql+psycopg://postgres@127.0.0.1:{postgres_port}/postgres",
        "RISK_EVENTS": f"kafka://{kafka_servers}/{TOPICS}",
        "SPARK_MASTER": SPARK_MASTER,
        "SPARK_OPTIONS": SPARK_OPTIONS,
        "PORT": str(port),
    }
    lines = (f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    (folder / "settings.sh").write_text("".join(lines))
    return variables


def history(root: Root, stream: Stream, now: datetime) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of a message for each version of each raw event that a window reaches, oldest first."""
    raw = stream.raw
    timestamps = {raw.time, *(column.name for column in raw.columns if column.dtype == "timestamp")}
    live = [table for tables in by_keys(raw, stream.tables) for table in tables.live]
    oldest = reached(live, since_1970(now))
    for rows in read_history(stream, places.history_files(root, raw.name), now, oldest):
        for row in rows:
            event = {
                name: (EPOCH + value * MICROSECOND).isoformat() if name in timestamps else value
                for name in raw.sent_columns
                if (value := row[name]) is not None
            }
            yield message_key(event, raw.id_column), to_json(event)


def end_descendants() -> None:
    """End what the parts have started and left behind."""
    left = psutil.Process().children(recursive=True)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left)


def _answers(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def say(line: str) -> None:
    """Tell the person who waits."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
