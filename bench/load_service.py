"""The service of `load.py`: a root of its own, processes as `make serve` starts them, and what they take."""

import json
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import psutil
import pyarrow.parquet as pq
from http_decision import free_port, wait_for

import settings

#: The world of the root: small, so that it is made in a minute or two.
SIZE = ("--drivers=3000", "--users=1000", "--merchants=2000", "--order-days=45")
SCOPES = ("features:read", "decisions:write", "events:write")
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
PYTHON = Path(sys.executable)


@dataclass(frozen=True)
class Sample:
    """What the processes of the service take: resident memory and WAL files in bytes, and open descriptors."""

    memory_bytes: int
    descriptors: int
    wal_bytes: int


@dataclass(frozen=True)
class Service:
    """A service that runs. `key` is an API key."""

    url: str
    key: str
    root: Path
    process: psutil.Process
    environment: dict[str, str]

    def sample(self) -> Sample:
        """What it takes now."""
        processes = [self.process, *self.process.children(recursive=True)]
        return Sample(
            sum(process.memory_info().rss for process in processes),
            sum(process.num_fds() for process in processes),
            sum(map(_size, glob(f"{self.root}/**/*-wal", recursive=True))),
        )

    def bought(self, column: str) -> list[str]:
        """The customers or products of all purchases: the service knows no others."""
        files = list((self.root / "raw").glob("transactions*"))
        return pq.read_table(files[0], columns=[column])[column].unique().to_pylist()

    def logged(self) -> Counter[str]:
        """How often each decision is in the audit log."""
        lines = (line for day in (self.root / "decisions").glob("*.jsonl") for line in day.open("rb"))
        return Counter(json.loads(line)["decision_id"] for line in lines)


def _size(file: str) -> int:
    """Of a file, in bytes; 0 if it has gone meanwhile."""
    try:
        return os.path.getsize(file)
    except FileNotFoundError:
        return 0


def environment(root: Path) -> dict[str, str]:
    """A root belongs to one hash key, so the key is the same in each run."""
    return {
        **os.environ,
        "RISK_DATA": str(root),
        "RISK_HASH_KEY": "a key for the benchmarks: nobody in this data exists",
        "RISK_LOG": "text",
        "RISK_JWT_SECRET": secrets.token_urlsafe(48),
        "RISK_LIMITS": "decisions=off,events=off",
    }


@contextmanager
def serving(root: Path, workers: int) -> Iterator[Service]:
    """Make the root, if it is not there, and start the service on it."""
    port = free_port()
    env = environment(root) | {"PORT": str(port), "WORKERS": str(workers)}
    if not (root / "materialized").exists():
        run("pipeline", *SIZE, env=env)
    key = run("key", "add", f"load-{port}", *(f"--scope={scope}" for scope in SCOPES), env=env).split()[-1]
    with ExitStack() as stack:
        command = [PYTHON, "app.py", "--production"]
        server = stack.enter_context(subprocess.Popen(command, cwd=settings.PROJECT, env=env, **QUIET))
        stack.callback(server.terminate)
        wait_for(port)
        yield Service(f"http://127.0.0.1:{port}", key, root, psutil.Process(server.pid), env)


def run(*arguments: str, env: dict[str, str]) -> str:
    """Run `python -m jobs`, and return what it prints."""
    command = [PYTHON, "-m", "jobs", *arguments]
    ended = subprocess.run(command, cwd=settings.PROJECT, env=env, stdout=subprocess.PIPE, text=True, check=True)
    return ended.stdout


@contextmanager
def background(service: Service) -> Iterator[None]:
    """Beside the service: the stream job, and a materialization after the other."""
    materialize = (
        "import time\nfrom datetime import UTC, datetime\nfrom feast import FeatureStore\n"
        "store = FeatureStore('feature_repo')\n"
        "while True:\n    store.materialize_incremental(datetime.now(UTC))\n    time.sleep(5)\n"
    )
    with ExitStack() as stack:
        for command in ([PYTHON, "-m", "jobs", "stream", "all"], [PYTHON, "-c", materialize]):
            child = subprocess.Popen(command, cwd=settings.PROJECT, env=service.environment, **QUIET)
            stack.enter_context(child)
            stack.callback(child.terminate)
        yield
