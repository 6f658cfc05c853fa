"""Redis is gone, or the registry's database: a command, also of Feast's, ends with one line that says what to do."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
import pytest
from click.testing import CliRunner
from engines import redis
from engines.need import need
from fresh_views import fresh_views
from processes import environment, run
from servers import free_port
from test_build_apply import FEAST
from test_upgrade import old, stream  # noqa: F401  the root of an older version is small and has it all

import settings
from errors import FeaturesNotReady, RiskError
from features.domains import risk_named, streams
from jobs.build.work import repository
from jobs.build.work.streams import catch_up
from jobs.commands import jobs
from jobs.stream.job import prepare
from root import Root
from serving.retrieval import FeastStore

pytestmark = [pytest.mark.slow, pytest.mark.engine]
SCALE = "feature_repo/feature_store.scale.yaml"
SECRET = "secret-word"
COSTS = settings.PROJECT / "docs/how-to/costs.yaml"
#: A command that opens the stores → its arguments. `{id}` is a decision, `{folder}` has files.
COMMANDS = {
    "execute": "dataset.coupon", "train": "coupon", "shelve": "coupon --onnx {folder}/model.onnx",
    "policy show": "coupon show", "policy check": "coupon check {folder}/policy.yaml",
    "policy apply": "coupon apply {folder}/policy.yaml", "policy rollback": "coupon rollback default",
    "shadow": "coupon --policy {folder}/policy.yaml", "score": "daily", "parity": "coupon", "replay": "coupon",
    "why": "{id}", "backtest": f"coupon --costs {COSTS}", "tune": f"coupon --costs {COSTS}",
    "stream": "all --once",
}  # fmt: skip
#: The others open none: they read and write files of the root, or ask a service. Of the pipeline, steps open them. The
#: status of a hash key opens them once there are two.
WITHOUT_STORES = {
    "new", "import", "pipeline", "list-pipelines", "describe", "arrived", "models list", "models show",
    "models compare", "models promote", "models rollback", "policy history", "policy hash", "monitor", "groups",
    "prune", "simulate",
    "user add", "user list", "user disable", "user enable", "user passwd", "user scopes", "key add", "key list",
    "key revoke", "hash-key rotate", "hash-key status", "audit verify", "audit head",
}  # fmt: skip


def paths(command: click.Command, names: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all commands, with those of their groups."""
    if isinstance(command, click.Group) and command.commands:
        for name, part in command.commands.items():
            yield from paths(part, (*names, name))
    else:
        yield " ".join(names)


def test_every_command_is_said_to_open_the_stores_or_not():
    assert set(paths(jobs)) == COMMANDS.keys() | WITHOUT_STORES


@pytest.fixture
def scale(old: Root, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Root, Callable[[], None]]]:  # noqa: F811
    """The root on Redis and a registry in a database, filled; and what ends that Redis."""
    need(redis.PROGRAM, modules=("redis", "msgpack", "psycopg"))
    port = free_port()
    with fresh_views(), redis.running(old.path, port, "--requirepass", SECRET) as child:
        monkeypatch.setenv("RISK_STORE", SCALE)
        monkeypatch.setenv("RISK_REDIS", f"127.0.0.1:{port},password={SECRET}")
        monkeypatch.setenv("RISK_REGISTRY", f"sqlite:///{old.path}/registry")
        for declared in streams().values():
            prepare(old, declared)
        repository.apply(old, print)
        stream(old, FeastStore(settings.FEATURE_REPO, settings.feature_store()))

        def end() -> None:
            child.send(signal.SIGKILL)
            child.ended(None)

        yield old, end


def arguments_of(root: Root, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Each command that opens the stores, and its command line."""
    record = json.loads(next(root.decisions.glob("*.jsonl")).read_text().splitlines()[0])
    (folder / "policy.yaml").write_text("bands: {}\n")
    (folder / "model.onnx").write_bytes(b"")
    for name, arguments in COMMANDS.items():
        yield name, [name.split()[0], *arguments.format(id=record["decision_id"], folder=folder).split()]


def without_redis(end: Callable[[], None], patch: pytest.MonkeyPatch) -> None:
    end()


def with_setting(name: str, value: str) -> Callable[[Callable[[], None], pytest.MonkeyPatch], None]:
    return lambda end, patch: patch.setenv(name, value)


#: What is wrong, and what a message says to do about it.
GONE = [
    (without_redis, r"features_not_ready: .*Start it, or correct connection_string\."),
    (with_setting("RISK_REDIS", f"user:{SECRET}@127.0.0.1:6379"), r"bad_setting: .*Write host:port, then username=…"),
    (with_setting("RISK_REGISTRY", f"postgresql+psycopg://risk:{SECRET}@127.0.0.1:1/risk"),
     r"features_not_ready: The feature registry cannot be used: .*refused\. Start its database, or correct path:"),
    (with_setting("RISK_REGISTRY", f"postgres+pg//risk:{SECRET}@h"), r"features_not_ready: .*correct path:"),
]  # fmt: skip
by_fault = pytest.mark.parametrize(("break_it", "words"), GONE, ids=["redis", "address", "database", "url"])
#: With Redis gone, these do their work by the registry and files.
BY_FILES = {"policy show", "policy check", "policy apply", "policy rollback", "shadow", "replay"}


@by_fault
def test_a_command_without_its_stores_ends_with_one_line(scale: Any, tmp_path: Path, monkeypatch, break_it, words: str):
    root, end = scale
    break_it(end, monkeypatch)
    for name, arguments in arguments_of(root, tmp_path):
        ended = CliRunner().invoke(jobs, arguments)
        assert isinstance(ended.exception, SystemExit | None), (name, ended.exception)
        assert SECRET not in ended.output, name
        if break_it is without_redis and name in BY_FILES:
            continue
        assert ended.exit_code == 1, (name, ended.output)
        *others, last = ended.stderr.splitlines()
        assert re.match(words, last), (name, last)
        assert name == "stream" or others == []
        assert all("It has ended; other streams go on" in line for line in others)


@by_fault
def test_a_step_of_the_pipeline_without_its_stores_says_so(scale: Any, monkeypatch, break_it, words: str):
    root, end = scale
    break_it(end, monkeypatch)
    works = {
        "apply": lambda: repository.apply(root, print),
        "materialize": lambda: repository.materialize(root, datetime.now(UTC), print),
        "stream": lambda: catch_up(root, "coupon", print),
    }
    for name, work in works.items():
        with pytest.raises(RiskError) as error:
            work()
        line = f"{error.value.name}: {error.value.message}"
        assert re.match(words, line), (name, line)
        assert SECRET not in line
        assert "\n" not in line


@by_fault
def test_feasts_own_commands_without_their_stores_print_one_error(scale: Any, monkeypatch, break_it, words: str):
    _, end = scale
    break_it(end, monkeypatch)
    ended = run([FEAST, "-f", settings.PROJECT / SCALE, "apply"], code=1, cwd=settings.FEATURE_REPO, env=environment())
    *_, last = ended.stderr.splitlines()
    assert re.match(words.replace("features_not_ready", "Error").replace("bad_setting", "Error"), last), ended.stderr
    assert "Traceback" not in ended.stderr
    assert SECRET not in ended.stderr


def test_stores_that_go_away_in_the_middle_are_features_not_ready(scale: Any):
    """Everything has been read and written once, so nothing is opened anew."""
    _, end = scale
    store, risk = FeastStore(settings.FEATURE_REPO, settings.feature_store()), risk_named("coupon")
    now = datetime.now(UTC)
    row = {"device_id": "d0", "location_code": "L0", "coupon_prefix": "1234-5678-9012-"}
    state = pa.table({"device_id": ["d7"], "device_attempts_state": [b"{}"], "device_attempts_seen": [1]})
    for name in ("event_timestamp", "created"):
        state = state.append_column(name, pa.array([now], pa.timestamp("us", "UTC")))
    uses = {
        "vectors": lambda: store.vectors(risk.name, [row], now, now),
        "online": lambda: store.online(risk, row, now),
        "stored": lambda: store.stored("device_attempts_state", {"device_id": "d0"}),
        "kept": lambda: store.kept("device_attempts_state", ["device_attempts_state"], [("d0",)]),
        "check": lambda: store.check(risk.name, now),
        "write": lambda: store.write("device_attempts_state", state.to_pylist()[0]),
        "write_table": lambda: store.write_table("device_attempts_state", state),
    }
    for use in uses.values():
        use()
    end()
    for name, use in uses.items():
        with pytest.raises(FeaturesNotReady, match=r"Start it, or correct connection_string\.") as error:
            use()
        assert "written" not in error.value.message, name
