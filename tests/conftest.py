"""The fixtures that many files share, and which tests are slow."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as examples
from pipelines import PIPELINE
from processes import environment, jobs, started
from servers import answering

import settings
from files import locked

if TYPE_CHECKING:  # what these need takes seconds to import, and a test of a pure function does without
    from engines.kafka import Broker
    from fake import Fake
    from flask.testing import FlaskClient
    from playwright.sync_api import Browser, Page

#: The workers share the machine. Where a thread of LightGBM waits for another one, it keeps a core busy meanwhile: on a
#: machine under load, a training of 0.1 s takes 10 s.
os.environ.setdefault("OMP_NUM_THREADS", "1")

#: An example takes as long as a busy machine needs for it.
examples.register_profile("unhurried", examples.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
examples.load_profile("unhurried")

#: The folder in which the world is made.
BEGUN = "world-begun"

# Slow tests: `-m "not slow"` leaves them out

#: Whoever needs one of these is slow.
SLOW_FIXTURES = frozenset({"made_world", "served", "chromium"})
#: The marks of a whole file.
FILE_MARKS = re.compile(r"^pytestmark = .*$", re.MULTILINE)
#: What Python reports when a process is started.
STARTS = frozenset({"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_fast_test: str | None = None


def is_fast_run(config: pytest.Config) -> bool:
    return config.option.markexpr == "not slow"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """A run does not even import a file that it leaves out as a whole: the import may take seconds, as that of Feast
    does, or need a program or library that is not installed."""
    if not (collection_path.suffix == ".py" and collection_path.name.startswith("test_")):
        return None
    line = FILE_MARKS.search(collection_path.read_text())
    marks = set(re.findall(r"pytest\.mark\.(\w+)", line[0])) if line else set()
    return True if config.option.markexpr and leaves_out(config.option.markexpr, marks) else None


def leaves_out(expression: str, marks: set[str]) -> bool:
    """Whether `-m expression` leaves out a file with these marks, whatever other marks its tests have."""
    others = sorted(set(re.findall(r"\b(?!and\b|or\b|not\b)[a-z_]\w*", expression)) - marks)
    known = dict.fromkeys(marks, True)
    some = (known | dict(zip(others, has, strict=True)) for has in product((False, True), repeat=len(others)))
    return not any(eval(expression, {"__builtins__": {}}, names) for names in some)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)


def pytest_collection_finish(session: pytest.Session) -> None:
    if is_fast_run(session.config) and "feast" in sys.modules:
        raise pytest.UsageError("A file of fast tests imports Feast: write `pytestmark = pytest.mark.slow` in it.")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _fast_test
    _fast_test = None if item.get_closest_marker("slow") else item.nodeid
    try:
        return (yield)
    finally:
        _fast_test = None


def _keep_fast(event: str, arguments: tuple[Any, ...]) -> None:
    if _fast_test and (event in STARTS or (event == "import" and arguments[0] == "feast")):
        raise AssertionError(f"{_fast_test} is to be fast, and does {event} {arguments[0]}. Mark it slow.")


sys.addaudithook(_keep_fast)


@pytest.fixture(autouse=True)
def _settings_stay() -> Iterator[None]:
    """No test leaves a setting to the tests after it."""

    def current() -> dict[str, str]:
        return {name: text for name, text in os.environ.items() if name.startswith("RISK_") or name in ("HOST", "PORT")}

    before = current()
    yield
    assert current() == before


# The world: one small one for all tests that need the real thing


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root as the whole pipeline left it. One worker makes it, and tests work on copies."""
    workers = (
        tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.mktemp("all")
    )
    made = workers / "world"
    with locked(workers / "world.lock"):
        if not made.exists():
            begun = workers / BEGUN
            begun.mkdir(exist_ok=True)
            jobs(begun, *PIPELINE)
            begun.rename(made)
            begun.symlink_to(made)  # Feast's registry has the path under which the world was made
    return made


@pytest.fixture(scope="session")
def world(made_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy that the tests of a worker share: they sign up people, send events and decide in it."""
    root = tmp_path_factory.mktemp("world") / "root"
    shutil.copytree(made_world, root, symlinks=True)
    return root


@pytest.fixture
def fresh_world(made_world: Path, tmp_path: Path) -> Path:
    """A copy for one test. `pipelines.run_again` has only to apply the features in it."""
    root = tmp_path / made_world.parent.name / BEGUN  # listings of files hold the last parts of their paths
    shutil.copytree(made_world, root, symlinks=True)
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


@pytest.fixture(scope="session")
def served(world: Path) -> Iterator[str]:
    """The service as `python app.py` runs it; its address, without a slash at the end."""
    command = [sys.executable, str(settings.PROJECT / "app.py")]
    with answering(lambda port: started(command, cwd=world, env=environment(RISK_DATA=world, PORT=port))) as server:
        yield server.url


@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """One for a module: while it runs, no other event loop can."""
    import browser

    with browser.launched(browser.program(os.environ)) as launched:
        yield launched


@pytest.fixture
def page(chromium: "Browser") -> "Iterator[Page]":
    """A page that is watched: the test fails if it asks an outside host."""
    import browser

    with browser.watched(chromium) as page:
        yield page


# The engines: each is started once by a worker that needs it


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Broker]":
    """A real Kafka broker. Tests make topics of their own names."""
    from engines.kafka import broker

    with broker(tmp_path_factory.mktemp("kafka")) as running:
        yield running


# The service on a fake store


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


@pytest.fixture
def guarded(client: "FlaskClient", fake: "Fake", tmp_path: Path) -> "FlaskClient":
    """The same behind a gate: who asks must say so. Its users are in `tmp_path`, which is its root."""
    from fake import NOW
    from gates import gate

    from app import create_app

    return create_app(fake, clock=lambda: NOW, gate=gate(tmp_path)).test_client()
