"""One small world for all tests that need the real thing: made once by the pipeline itself, in a root of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import settings
from simulators import Size

if TYPE_CHECKING:  # what these need takes seconds to import, and a test of a pure function does without
    from fake import Fake
    from flask.testing import FlaskClient
    from playwright.sync_api import Browser, Page

#: Small, and enough for a model to learn from.
SIZE = Size(drivers=3000, users=600, merchants=1200, order_days=45)
PIPELINE = ("pipeline", *(f"--{name.replace('_', '-')}={value}" for name, value in vars(SIZE).items()))


def jobs(root: Path, *arguments: str) -> str:
    """Run `python -m jobs` on a data root; its output. A failure shows what the job said."""
    ended = subprocess.run(
        [sys.executable, "-m", "jobs", *arguments],
        cwd=settings.PROJECT,
        env={**os.environ, "RISK_DATA": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root on which the whole pipeline has run."""
    root = tmp_path_factory.mktemp("world")
    jobs(root, *PIPELINE)
    return root


def own_root(world: Path, root: Path) -> None:
    """Make a root of the world's data and models, with an online store and streams of its own, and with empty logs."""
    for part in world.iterdir():
        if part.name.startswith("online.db"):
            shutil.copy(part, root)
        elif part.name in ("streams", "states"):
            shutil.copytree(part, root / part.name)
        elif part.name not in ("decisions", "log", "events"):
            (root / part.name).symlink_to(part)


@pytest.fixture
def in_world(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process's settings point at the world."""
    monkeypatch.setenv("RISK_DATA", str(world))
    return world


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def process(command: list[str], url: str, seconds: float = 60, **options: object) -> Iterator[str]:
    """A server as a process of its own, from the moment that `url` answers."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)  # type: ignore[call-overload]
    try:
        deadline = time.monotonic() + seconds
        while True:
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                died = server.poll() is not None
                if died or time.monotonic() > deadline:
                    server.kill()
                    pytest.fail(f"{' '.join(command)} did not answer at {url}:\n{server.communicate()[0]}")
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.communicate(timeout=20)  # less than the server waits for a worker that hangs


@pytest.fixture(scope="session")
def served(world: Path) -> Iterator[str]:
    """The service as `python app.py` runs it; its address, without a slash at the end."""
    port = free_port()
    environment = {**os.environ, "RISK_DATA": str(world), "PORT": str(port)}
    command = [sys.executable, str(settings.PROJECT / "app.py")]
    with process(command, f"http://127.0.0.1:{port}/", cwd=world, env=environment) as url:
        yield url.rstrip("/")


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """Of one module only: while it runs, no other event loop can."""
    import browser

    with browser.launched(browser.program(os.environ)) as launched:
        yield launched


@pytest.fixture
def page(chromium: "Browser") -> "Iterator[Page]":
    """A page that is watched: the test fails if it asks an outside host."""
    import browser

    with browser.watched(chromium) as page:
        yield page


@pytest.fixture
def fake() -> "Fake":
    from fake import Fake

    return Fake()


@pytest.fixture
def untrained(fake: "Fake", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "FlaskClient":
    """The service on the fake store, before any model is trained."""
    from fake import NOW

    from app import create_app

    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return create_app(fake, clock=lambda: NOW).test_client()


@pytest.fixture
def client(untrained: "FlaskClient") -> "FlaskClient":
    """The same with its models."""
    from fake import shelve

    for name in ("onboarding", "daily"):
        shelve(name)
    return untrained
