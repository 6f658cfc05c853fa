"""Flink's process: the job on a cluster of its own, on this machine. It is started again where it ends."""

import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO

import settings
from errors import BadSetting, Busy
from jobs.stream.flink.places import CHECKPOINTS, WHOLE, FlinkPlaces
from root import Root

#: Flink's environment. Its Python imports this project from where it lies.
PYTHON = settings.PROJECT / ".venv-flink" / "bin" / "python"
#: The Java process of a job whose parent was killed ends a bit later.
END_SECONDS = 30
RESTART_SECONDS = 1
#: Without a new checkpoint for so long, something is wrong.
STALLED_SECONDS = 60
POLL_SECONDS = 0.1
HEAP = "-Xmx1g"
#: The log of the run before.
BEFORE = "before.log"


class Cluster:
    """Runs the job while it is open. One process works on the job of a root: its log, which Java has open as long as it
    runs, is locked. Raises BadSetting, Busy."""

    def __init__(self, root: Root, places: FlinkPlaces, report: Callable[[str], object]) -> None:
        self._root, self._places, self._report = root, places, report
        self._folder = (root.kafka_states(places.group) / "flink").resolve()
        self._checkpoints = self._folder / CHECKPOINTS
        self._stop, self._starting = threading.Event(), threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "Cluster":
        if not PYTHON.exists():
            raise BadSetting(f"Flink is not installed: there is no {PYTHON}. Run make flink.")
        self._checkpoints.mkdir(parents=True, exist_ok=True)
        self._log = _locked(self._folder / "job.log", f"Flink is at work on {self._places.group} in {self._root}.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._starting:
            self._stop.set()
            if self._child is not None:
                _kill(self._child)
        if self._thread is not None:
            self._thread.join()
        self._log.close()

    def start(self, partitions: int) -> None:
        """Start the job, if it does not run yet. The source has `partitions`: a worker more would have none."""
        if self._thread is None:
            parallelism = min(partitions, os.cpu_count() or 1)
            self._thread = threading.Thread(target=self._supervise, args=(parallelism,), name="flink", daemon=True)
            self._thread.start()

    def _supervise(self, parallelism: int) -> None:
        while True:
            with self._starting:
                if self._stop.is_set():
                    return
                self._child = child = self._started(parallelism)
            self._watch(child)
            _kill(child)
            if self._stop.wait(RESTART_SECONDS):
                return
            self._report(
                f"{self._places.stream.domain}: Flink has ended with {child.returncode}. It starts again from its last "
                f"checkpoint. See {self._folder}"
            )

    def _watch(self, child: "subprocess.Popen[bytes]") -> None:
        """Wait until it ends. Says where it makes no checkpoints."""
        changed = time.monotonic()
        before: set[Path] = set()
        while child.poll() is None:
            self._stop.wait(POLL_SECONDS)
            whole = set(self._checkpoints.glob(WHOLE))
            if whole != before:
                before, changed = whole, time.monotonic()
            if time.monotonic() - changed > STALLED_SECONDS:
                changed = time.monotonic()
                self._report(
                    f"{self._places.stream.domain}: Flink has made no checkpoint for {STALLED_SECONDS} s. See "
                    f"{self._folder}"
                )

    def _started(self, parallelism: int) -> "subprocess.Popen[bytes]":
        """The process, which ends when this one does. Its Java process is in the same group."""
        source, work = self._places.source, self._folder / "work"
        for log in work.glob("*.log"):
            log.replace(self._folder / BEFORE)
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        arguments = [f"kafka://{source.servers}/{source.name}", self._places.stream.domain, str(self._folder)]
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(map(str, (settings.PROJECT, settings.FEATURE_REPO))),
            "FLINK_LOG_DIR": str(work),
            "ROOT_LOG_LEVEL": "WARN",
            "JDK_JAVA_OPTIONS": f'{HEAP} "-Djava.io.tmpdir={work}"',
        }
        return subprocess.Popen(
            [PYTHON, "-m", "jobs.stream.flink.job", *arguments, str(parallelism)],
            cwd=settings.PROJECT, env=environment, stdin=subprocess.PIPE, stdout=self._log, stderr=self._log,
            start_new_session=True,
        )  # fmt: skip


def _kill(child: "subprocess.Popen[bytes]") -> None:
    """End a process and its Java process."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _locked(path: Path, busy: str) -> IO[bytes]:
    """A file that this process and its children have open, and no others. Raises Busy."""
    file, deadline = path.open("ab"), time.monotonic() + END_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > deadline:
                file.close()
                raise Busy(f"{busy} Stop it first.") from None
            time.sleep(POLL_SECONDS)
