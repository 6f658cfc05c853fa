"""Child processes of the tests, and waiting for what they do.

Every child runs in a session of its own and ends with its `with` block, or with the tests, however these end. Every
wait is for a condition, with a deadline that a machine under load keeps.
"""

import ctypes
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TypeVar

import psutil
import pytest

import settings

#: A condition that has not come true by then never will, on a machine ten times oversubscribed too.
WAIT_SECONDS = 600.0
#: The same for a command that works to its end, such as a whole pipeline.
RUN_SECONDS = 3600.0
#: Between SIGTERM and SIGKILL. Longer than the service waits for its last requests.
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.02
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
T = TypeVar("T")


@dataclass(frozen=True)
class Ended:
    """A command that has run to its end."""

    code: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr


class Child:
    """A running process. What it prints goes to files, so that it never waits for a reader."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self._process, self._stdout, self._stderr = process, stdout, stderr
        self.pid = process.pid

    @property
    def stdout(self) -> str:
        return _text(self._stdout)

    @property
    def stderr(self) -> str:
        return _text(self._stderr)

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def name(self) -> str:
        arguments = self._process.args if isinstance(self._process.args, list) else [self._process.args]
        return " ".join(map(str, arguments))

    def is_running(self) -> bool:
        return self._process.poll() is None

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def ended(self, code: int | None = 0, seconds: float = WAIT_SECONDS) -> Ended:
        """Wait for its end. Fails unless it exits with `code`; None allows any."""
        try:
            seen = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"{self.name} still runs after {seconds:.0f} s. It printed:\n{self.output}")
        if code is not None and seen != code:
            pytest.fail(f"{self.name} exited with {seen}, not with {code}. It printed:\n{self.output}")
        return Ended(seen, self.stdout, self.stderr)

    def stop(self) -> None:
        """SIGTERM, then SIGKILL for whatever is left of its session's process group."""
        try:
            if self.is_running():
                self._process.terminate()
                self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def started(
    command: Sequence[str | Path],
    *,
    cwd: Path = settings.PROJECT,
    env: Mapping[str, str] | None = None,
    pipe: int | None = None,
) -> Iterator[Child]:
    """Start a child. It is stopped at the end of the block. It prints to `pipe`, if that is given."""
    with TemporaryFile() as stdout, TemporaryFile() as stderr:
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=stdout if pipe is None else pipe, stderr=stderr,
            start_new_session=True, preexec_fn=die_with_parent,
        )  # fmt: skip
        child = Child(process, stdout, stderr)
        try:
            yield child
        finally:
            child.stop()


def run(
    command: Sequence[str | Path],
    *,
    code: int | None = 0,
    cwd: Path = settings.PROJECT,
    env: Mapping[str, str] | None = None,
    pipe: int | None = None,
) -> Ended:
    """Run a command to its end. Fails unless it exits with `code`; None allows any."""
    with started(command, cwd=cwd, env=env, pipe=pipe) as child:
        return child.ended(code, RUN_SECONDS)


def clone(copy: Path) -> Path:
    """A copy of this project, as git would have it, without an environment."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout
    for name in filter(None, listed.split("\0")):
        if (settings.PROJECT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(settings.PROJECT / name, copy / name)
    return copy


def clone_environment(copy: Path) -> dict[str, str]:
    """The environment of a child that runs a copy of this project, on the copy's `data/`. The report of coverage leaves
    copies out, so the child does without the tracer, which takes a quarter of its time."""
    left_out = ("RISK_DATA", "COVERAGE_PROCESS_CONFIG")
    path = os.pathsep.join(str(copy / folder) for folder in ("", "feature_repo", "stores"))
    return {name: text for name, text in os.environ.items() if name not in left_out} | {"PYTHONPATH": path}


def jobs_command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "jobs", *arguments]


def jobs(root: Path, *arguments: str, code: int = 0) -> Ended:
    """Run `python -m jobs` on a data root to its end."""
    return run(jobs_command(*arguments), code=code, env=environment(RISK_DATA=root))


def started_job(root: Path, *arguments: str) -> AbstractContextManager[Child]:
    """Start `python -m jobs` on a data root."""
    return started(jobs_command(*arguments), env=environment(RISK_DATA=root))


@contextmanager
def forked(function: Callable[..., object], *arguments: object) -> Iterator[ForkProcess]:
    """Run a function in a fork of this process, with all that is open here. It is killed at the end of the block."""

    def in_child() -> None:
        die_with_parent()
        function(*arguments)

    child = multiprocessing.get_context("fork").Process(target=in_child)
    child.start()
    try:
        yield child
    finally:
        child.kill()
        child.join()


def exit_code(child: ForkProcess) -> int | None:
    """Wait for the end of a fork. Its exit code, or minus the signal that killed it; None if it still runs."""
    child.join(WAIT_SECONDS)
    return child.exitcode


def environment(**changes: object) -> dict[str, str]:
    """This process's environment with other settings. Fails where `settings.py` reads no such setting."""
    source = Path(settings.__file__).read_text()
    unread = [name for name in changes if f'"{name}"' not in source]
    assert not unread, f"settings.py does not read {', '.join(unread)}"
    return {**os.environ, **{name: str(value) for name, value in changes.items()}}


def wait_until(
    look: Callable[[], T],
    is_done: Callable[[T], object] = bool,
    *,
    what: str,
    child: Child | None = None,
    seconds: float = WAIT_SECONDS,
) -> T:
    """Look again and again until `is_done`, and give what was seen then. Fails at the deadline, or as soon as `child`
    has ended, with what was seen last and what the child printed."""
    deadline = time.monotonic() + seconds
    while True:
        was_running = child is None or child.is_running()
        seen = look()
        if is_done(seen):
            return seen
        if not was_running or time.monotonic() > deadline:
            end = f"after {seconds:.0f} s" if was_running else f"and never will: {child and child.name} has ended"
            printed = f"\nIt printed:\n{child.output}" if child else ""
            pytest.fail(f"Not true {end}: {what}. Seen last: {seen!r}{printed}")
        time.sleep(POLL_SECONDS)


def is_gone(pid: int) -> bool:
    """Whether a process has ended. Nobody may have asked yet for the exit code of one whose parent is gone."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def die_with_parent() -> None:
    """In a new child: let Ctrl-C end it, and let the kernel kill it when the thread that made it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if _LIBC is not None:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _text(file: IO[bytes]) -> str:
    """All of a file, without moving the position that the child writes at."""
    return os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode(errors="replace")
