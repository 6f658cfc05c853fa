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
from files import fault
from jobs.stream.flink.java import java_client
from jobs.stream.flink.places import CHECKPOINTS, WHOLE, FlinkPlaces
from root import Root

#: Flink's environment. Its Python imports this project from where it lies.
PYTHON = settings.PROJECT / ".venv-flink" / "bin" / "python"
#: The Java process of a job whose parent was killed ends a bit later.
END_SECONDS = 30
#: Between two starts, and no longer than that after several that came to no checkpoint.
RESTART_SECONDS, MOST_RESTART_SECONDS = 1, 10
#: A job that has ended so often, and has made no checkpoint yet, cannot start.
ATTEMPTS = 3
#: Without a new checkpoint for so long, something is wrong.
STALLED_SECONDS = 60
POLL_SECONDS = 0.1
HEAP = "-Xmx1g"
#: The log of the run before.
BEFORE = "before.log"
#: What Python and Java print, how much of it is searched for a reason, and how much of that a person is shown.
LOG, TAIL_BYTES = "job.log", 100_000
SHOWN_LINES, SHOWN_CHARACTERS = 3, 500
TRACEBACK, CAUSE = "Traceback (", "Caused by: "


class Cluster:
    """Runs the job while it is open, and starts it again where it ends. One process works on the job of a root: its
    log, which Java has open as long as it runs, is locked. Raises BadSetting, Busy. At the end of the block, raises
    BadSetting where the job could not start."""

    def __init__(self, root: Root, places: FlinkPlaces, report: Callable[[str], object]) -> None:
        self._root, self._places, self._report = root, places, report
        self._folder = (root.kafka_states(places.group) / "flink").resolve()
        self._checkpoints = self._folder / CHECKPOINTS
        self._stop, self._starting = threading.Event(), threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None
        self._fault: BadSetting | None = None

    def __enter__(self) -> "Cluster":
        if not PYTHON.exists():
            raise BadSetting(f"Flink is not installed: there is no {PYTHON}. Run make flink.")
        java_client(self._places.source)  # what it refuses would end each start
        self._checkpoints.mkdir(parents=True, exist_ok=True)
        self._log = _locked(self._folder / LOG, f"Flink is at work on {self._places.group} in {self._root}.")
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
        if self._fault is not None and error is None:
            raise self._fault

    def start(self, partitions: int, give_up: Callable[[], object]) -> None:
        """Start the job, if it does not run yet. The source has `partitions`: a worker more would have none. Where the
        job cannot start, `give_up` is called, which is to end the block."""
        if self._thread is None:
            arguments = min(partitions, os.cpu_count() or 1), give_up
            self._thread = threading.Thread(target=self._supervise, args=arguments, name="flink", daemon=True)
            self._thread.start()

    def _supervise(self, parallelism: int, give_up: Callable[[], object]) -> None:
        fruitless, pause, has_worked = 0, RESTART_SECONDS, False
        while True:
            has_checkpoint, ending = self._run(parallelism)
            if self._stop.is_set():
                return
            if has_checkpoint:
                fruitless, pause, has_worked = 0, RESTART_SECONDS, True
            else:
                fruitless += 1
            if fruitless == ATTEMPTS and not has_worked:
                self._fault = BadSetting(
                    f"Flink cannot start: {ATTEMPTS} times it ended before its first checkpoint. It {ending} Correct "
                    f"that, and run the command again. All that it printed is in {self._folder / LOG}"
                )
                give_up()
                return
            self._report(
                f"{self._places.stream.domain}: Flink {ending} It starts again in {pause} s, from its last "
                f"checkpoint. See {self._folder}"
            )
            if self._stop.wait(pause):
                return
            pause = min(2 * pause, MOST_RESTART_SECONDS)

    def _run(self, parallelism: int) -> tuple[bool, str]:
        """Run the job until it ends. Whether it has made a checkpoint, and how it has ended."""
        with self._starting:
            if self._stop.is_set():
                return False, ""
            before, begin = self._whole(), os.fstat(self._log.fileno()).st_size
            try:
                self._child = child = self._started(parallelism)
            except OSError as error:
                return False, f"was not run: {fault(error, damaged='Run make flink.')}"
        has_checkpoint = self._watch(child, before, begin)
        _kill(child)
        return has_checkpoint, f"has ended with {child.returncode}. {self._last_words(begin)}"

    def _watch(self, child: "subprocess.Popen[bytes]", before: set[Path], begin: int) -> bool:
        """Wait until it ends. Says where it makes no checkpoints. Whether it has made one that was not there before."""
        changed, known, has_checkpoint, is_running = time.monotonic(), before, False, True
        while is_running:
            self._stop.wait(POLL_SECONDS)
            is_running = child.poll() is None
            if (whole := self._whole()) != known:
                known, changed = whole, time.monotonic()
                has_checkpoint = has_checkpoint or not whole <= before
            if time.monotonic() - changed > STALLED_SECONDS:
                changed = time.monotonic()
                self._report(
                    f"{self._places.stream.domain}: Flink has made no checkpoint for {STALLED_SECONDS} s. "
                    f"{self._last_words(begin)} See {self._folder}"
                )
        return has_checkpoint

    def _whole(self) -> set[Path]:
        return set(self._checkpoints.glob(WHOLE))

    def _last_words(self, begin: int) -> str:
        """What says why the job has ended, in its log from a byte on: the last cause that Java names, or else the last
        lines. Python and Java indent where an error was raised."""
        with (self._folder / LOG).open("rb") as log:
            log.seek(max(begin, os.fstat(log.fileno()).st_size - TAIL_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
        words = [line.strip() for line in lines if line.strip() and not line.startswith((" ", "\t", TRACEBACK))]
        last = [line for line in words if line.startswith(CAUSE)][-1:] or words[-SHOWN_LINES:] or ["nothing"]
        return f"It printed last: {' / '.join(last)[:SHOWN_CHARACTERS].rstrip('.')}."

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
