"""Each file of the real stores in turn is garbage, empty, a folder, or gone: an answer and a command say what to do."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from broken import by_name, empty, file, gone
from click.testing import CliRunner
from constants import override
from test_broken_files import DAILY, ask
from test_upgrade import ATTEMPT, as_of, old, stream  # noqa: F401  the root of an older version is small and has it all

import settings
from app import create_app
from errors import NotReady, RiskError, RootBroken
from features.domains import stream_of
from jobs.commands import jobs
from jobs.stream import loop
from jobs.stream.sources import open_source
from root import Root
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow


@pytest.fixture
def real(old: Root) -> Root:  # noqa: F811
    """A root of which every file is used by the requests and commands below."""
    stream(old, FeastStore(settings.FEATURE_REPO))
    return old


COMMANDS = ["score daily", "parity coupon", "train coupon", "execute dataset.coupon", "list-pipelines"]


def answers(root: Root) -> Iterator[Any]:
    try:
        client = create_app(clock=lambda: as_of(root)).test_client()
    except RiskError as error:
        yield error
        return
    yield ask(client, ("post", "/coupon-risk-decision/"), json=ATTEMPT)
    yield ask(client, DAILY)
    yield ask(client, ("get", "/coupon/live"))
    yield ask(client, ("post", "/api/v1/features/daily"), json={"entities": [{"driver_id": 1001}]})


@by_name
@pytest.mark.parametrize("name", ["online.db", "registry.db", "streams/coupon.db"])
def test_a_broken_store_is_a_503_and_ends_a_command_with_a_message(
    real: Root, damage: Callable[[Path], None], name: str
):
    for beside in real.path.glob(f"{name}-*"):
        beside.unlink()
    damage(real.path / name)
    for answer in answers(real):
        assert isinstance(answer, NotReady) or answer.status_code in (200, 400, 404, 503), answer.json
    for arguments in COMMANDS:
        ended = CliRunner().invoke(jobs, arguments.split())
        assert ended.exit_code in (0, 1), (arguments, ended.exception)
        assert isinstance(ended.exception, SystemExit | None), (arguments, ended.exception)


@by_name
def test_a_stream_job_names_its_broken_state_file_or_makes_a_lost_one_again(real: Root, damage: Callable[[Path], None]):
    path = real.stream_state("coupon")
    for beside in path.parent.glob("coupon.db-*"):
        beside.unlink()
    damage(path)
    source, store = open_source(real, "log", "coupon_attempts"), FeastStore(settings.FEATURE_REPO)

    def run() -> None:
        loop.run(
            real,
            stream_of("coupon"),
            source,
            store,
            settings.hash_key(),
            True,
            Event(),
            print,
            clock=lambda: as_of(real),
        )

    if damage in (gone, empty):
        run()
        assert path.stat().st_size
        return
    with pytest.raises(RootBroken, match=r"coupon\.db: .* (Move it away|this is a folder)"):
        run()


def test_a_stream_job_goes_on_when_its_disk_has_space_again(real: Root, monkeypatch: pytest.MonkeyPatch):
    override(monkeypatch, loop, RESTART_SECONDS=0.01)
    stop, lines = Event(), list[str]()
    real.offline_logs.rename(real.path / "space")
    file(real.offline_logs)
    log = real.event_log("coupon_attempts")
    text = next(log.glob("*.jsonl")).read_text()
    (log / "2026-11-27.jsonl").write_text(text.replace('"msg_id":"', '"msg_id":"more'))

    def report(line: str) -> None:
        lines.append(line)
        if "root_broken" in line:
            real.offline_logs.unlink()
            (real.path / "space").rename(real.offline_logs)
        stop.set() if len(lines) > 1 else None

    override(monkeypatch, import_module("jobs.stream.offline"), FLUSH_SECONDS=0.0)
    override(monkeypatch, loop, STATUS_SECONDS=0.0)
    source, store = open_source(real, "log", "coupon_attempts"), FeastStore(settings.FEATURE_REPO)
    loop.run(
        real, stream_of("coupon"), source, store, settings.hash_key(), False, stop, report, clock=lambda: as_of(real)
    )
    assert any(line.startswith("coupon: root_broken: ") for line in lines)
