"""Each file of a root in turn is garbage, empty, a folder, or gone: an answer says what to do, nothing else changes."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner
from constants import override
from flask.testing import FlaskClient
from test_upgrade import ATTEMPT, as_of, old, stream  # noqa: F401  the root of an older version is small and has it all

import settings
from app import create_app
from errors import NotReady, RiskError, RootBroken
from features.domains import stream_of
from files import explained, fault
from jobs.commands import jobs
from jobs.stream import loop
from jobs.stream.sources import open_source
from root import Root
from serving import scores
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow


def garbage(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"\xff\x00 no such format " * 100)


def empty(path: Path) -> None:
    path.unlink()
    path.touch()


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def gone(path: Path) -> None:
    path.unlink()


def file(path: Path) -> None:
    """A file where a folder is needed."""
    if path.is_dir():
        shutil.rmtree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


by_name = pytest.mark.parametrize(
    "damage", [garbage, empty, folder, gone], ids=["garbage", "empty", "a folder", "gone"]
)


def names(root: Path) -> set[str]:
    """The files and folders of a root, without those that SQLite keeps beside its own."""
    paths = {path.relative_to(root).as_posix() for path in root.rglob("*")}
    return {name for name in paths if not name.endswith(("-wal", "-shm", "-journal"))}


# The service on a fake store

DAILY = ("get", "/daily-risk-decision/1001/")
SCORES = ("get", "/daily-batch-scores/1001/")
EVENT = ("post", "/api/v1/events/coupon_attempts")


def ask(client: FlaskClient, call: tuple[str, str], **options: Any) -> Any:
    return getattr(client, call[0])(call[1], headers={"Accept": "application/json"}, **options)


def message(answer: Any) -> str:
    """What a 503 says."""
    assert answer.status_code == 503, answer.json
    return str(answer.json["error"]["message"])


@by_name
@pytest.mark.parametrize("name", ["current", "card.json", "model.onnx"])
def test_a_broken_model_is_a_503_that_says_train_again(client: FlaskClient, damage: Callable[[Path], None], name: str):
    models = settings.root().models / "daily"
    damage(models / (name if name == "current" else f"1/{name}"))
    before = names(settings.root().path)
    assert "python -m jobs train daily" in message(ask(client, DAILY))
    assert names(settings.root().path) == before


@by_name
def test_a_broken_file_of_scores_is_a_503_and_one_that_is_gone_is_no_scores(
    client: FlaskClient, damage: Callable[[Path], None]
):
    path = settings.root().scores_db
    scores.write(path, "daily", [])
    damage(path)
    before = names(settings.root().path)
    answer = ask(client, SCORES)
    if damage is gone:
        assert answer.status_code == 200
    else:
        assert "Move it away" in message(answer)
    assert names(settings.root().path) == before


@pytest.mark.parametrize("name", ["decisions", "models", "log", "log/coupon_attempts"])
def test_a_file_where_a_folder_is_needed_is_a_503_that_says_so(client: FlaskClient, name: str):
    file(settings.root().path / name)
    before = names(settings.root().path)
    event = {"msg_id": "1", "device_id": "d", "location_code": "l", "response": "VALID"}
    event |= {"coupon_code": "1234-5678-9012-3456", "create_time": "2026-01-31T11:00:00Z"}
    answer = ask(client, EVENT, json=event) if name.startswith("log") else ask(client, DAILY)
    assert "Move it away" in message(answer)
    assert names(settings.root().path) == before


def test_a_folder_in_the_place_of_a_days_log_is_a_503_that_says_so(client: FlaskClient):
    (settings.root().decisions / "2026-01-31.jsonl").mkdir(parents=True)
    assert "this is a folder" in message(ask(client, DAILY))


def test_a_root_with_the_signs_of_an_address_in_its_name_is_only_read(tmp_path: Path):
    root = Root(tmp_path / "a#b?c=1&mode=rwc%20")
    scores.write(root.scores_db, "daily", [])
    before = names(tmp_path)
    assert scores.runs(root.scores_db, "daily") == set()
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "Free space"), (errno.EACCES, "read and write"), (errno.EROFS, "for writing"),
        (errno.EIO, "Check its disk"), (errno.EISDIR, "this is a folder"), (errno.ENOENT, "Do as told."),
        (errno.ENOTDIR, "a part of the path is a file"),
    ],
)  # fmt: skip
def test_the_remedy_of_a_fault_follows_its_number(number: int, remedy: str):
    words = fault(OSError(number, os.strerror(number), "the file"), damaged="Do as told.")
    assert words.startswith(f"the file: {os.strerror(number)}. ")
    assert remedy in words


def test_a_full_disk_and_a_damaged_file_have_different_remedies_in_sqlite_too(tmp_path: Path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA max_page_count = 2")
        db.execute("CREATE TABLE t (x)")
        full = pytest.raises(RootBroken, match=r"a\.db: database or disk is full\. Free space")
        with full, explained(path, RootBroken, "Move it away."):
            db.executemany("INSERT INTO t VALUES (?)", [("x" * 4000,)] * 10)
    garbage(path)
    damaged = pytest.raises(RootBroken, match=r"not a database\. Move it away")
    with closing(sqlite3.connect(path)) as db, damaged, explained(path, RootBroken, "Move it away."):
        db.execute("SELECT * FROM t")


# The real store, and the commands


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
        loop.run(real, stream_of("coupon"), source, store, True, Event(), print, clock=lambda: as_of(real))

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
    loop.run(real, stream_of("coupon"), source, store, False, stop, report, clock=lambda: as_of(real))
    assert any(line.startswith("coupon: root_broken: ") for line in lines)
