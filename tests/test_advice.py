"""What a message advises is there: each command that it names, and each option; and on an empty root every command
says what it misses and what to do."""

import ast
import gc
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rooms import parsed, sources

import app
import generate_data
import settings
from features.domains import raw_tables, risks
from jobs.commands import jobs

#: In a message: a command of ours with the two words behind it, and an option.
COMMAND = re.compile(r"python -m jobs ([a-z][a-z-]*)(?: ([\w.…-]+))?(?: ([a-z]+))?")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
#: Options of the commands of others that our code starts or advises.
OF_OTHERS = {"--help", "--chdir", "--feature-store-yaml"}


def commands(group: click.Command, name: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command below a group, by its words."""
    context = click.Context(group)
    for word in group.list_commands(context) if isinstance(group, click.Group) else ():
        command = group.get_command(context, word)
        yield f"{name} {word}".strip(), command
        yield from commands(command, f"{name} {word}".strip())


OURS = dict(commands(jobs))
OPTIONS = {
    option
    for command in [*OURS.values(), app.main, generate_data.main]
    for parameter in command.params
    for option in (*parameter.opts, *parameter.secondary_opts)
} | OF_OTHERS


def texts(source: str) -> Iterator[tuple[int, str]]:
    """The strings of a module but its docstrings, with … for each value that is put in."""
    tree = parsed(source)
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [p.value if isinstance(p, ast.Constant) else "…" for p in node.values]
            yield node.lineno, "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inside | documented):
            yield node.lineno, node.value


def wrong_advice(text: str) -> list[str]:
    """What a message names that is not there."""
    wrong = [option for option in OPTION.findall(text) if option not in OPTIONS]
    for first, second, third in COMMAND.findall(text):
        if first not in OURS:
            wrong.append(first)
        elif first == "import" and second.islower() and second not in raw_tables():
            wrong.append(f"import {second}")
        elif first in ("train", "score", "models", "policy", "shelve") and second.islower() and second not in risks():
            wrong.append(f"{first} {second}")
        elif isinstance(OURS[first], click.Group) and third and f"{first} {third}" not in OURS:
            wrong.append(f"{first} {third}")
    return wrong


def test_every_command_and_option_that_a_message_names_is_there():
    others = ("tests/", "bench/", "stores/")  # the package of the stores has a command of its own
    code = {path: text for path, text in sources(settings.PROJECT).items() if not path.startswith(others)}
    with_advice = {path: text for path, text in code.items() if "--" in text or "python -m jobs" in text}
    wrong = {
        f"{path}:{line}": wrong_advice(text) for path, source in with_advice.items() for line, text in texts(source)
    }
    assert {place: names for place, names in wrong.items() if names} == {}


#: What is run on a root where nothing is, and the exit code. Every command is among them.
ON_NOTHING = {
    "execute feature_store.user_orders": 1,
    "execute dataset.loyalty": 1,
    "execute --all --quarantine bad": 1,
    "arrived orders --start-date 2026-01-01 --end-date 2026-01-02": 1,
    "train daily": 1,
    "train chargeback --quarantine bad.csv": 1,
    "shelve chargeback --onnx no.onnx": 1,
    "models daily list": 1,
    "models daily show": 1,
    "models daily compare 1 2": 1,
    "models daily promote 1": 1,
    "models daily rollback": 1,
    "policy chargeback show": 1,
    "policy chargeback check no.yaml": 1,
    "score daily": 1,
    "score chargeback": 1,
    "score chargeback --input no.csv --output decisions.csv": 1,
    "parity onboarding": 1,
    "stream coupon --once": 1,
    "stream all --once": 1,
    "simulate loyalty": 1,
    "simulate coupon --url http://127.0.0.1:9": 1,
    "import orders no.csv": 1,
    "new shop --from no.csv": 1,
    "pipeline --drivers 1": 2,
    "describe feature_store.user_orders": 0,
    "list-pipelines": 0,
    "user list": 0,
    "user disable ann@example.com": 1,
    "key list": 0,
    "key revoke till": 1,
    "hash-key status": 0,
    "hash-key rotate": 1,
    "backtest chargeback --costs no.yaml": 1,
    "tune chargeback --costs no.yaml": 1,
    "why d1": 1,
    "replay": 1,
    "shadow daily": 0,
    "groups daily": 1,
    "monitor --once": 0,
    "audit verify": 0,
    "audit head": 1,
    "prune --keep 400d": 0,
}  # fmt: skip


def test_every_command_is_run_on_nothing():
    assert {line.split()[0] for line in ON_NOTHING} == {name for name in OURS if " " not in name}


@pytest.fixture
def usual_garbage_collection() -> Iterator[None]:
    """The stream job sets it for its whole process."""
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)


@pytest.mark.slow  # some import Feast
@pytest.mark.usefixtures("usual_garbage_collection")
@pytest.mark.parametrize("command_line", ON_NOTHING)
def test_on_an_empty_root_a_command_says_what_to_do(command_line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(jobs, command_line.split())
    assert result.exit_code == ON_NOTHING[command_line], result.exception
    assert isinstance(result.exception, SystemExit | None)
    assert "Traceback" not in result.output
    assert wrong_advice(result.output) == []


@pytest.mark.slow
@pytest.mark.usefixtures("usual_garbage_collection")
@pytest.mark.parametrize("command_line", ["stream coupon --once", "parity onboarding", "policy chargeback show"])
def test_a_damaged_registry_is_named_by_every_command(
    command_line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    (tmp_path / "registry.db").write_bytes(b"garbage" * 100)
    result = CliRunner().invoke(jobs, command_line.split())
    assert result.exit_code == 1
    assert "The feature registry is damaged" in result.output
    assert "Move registry.db and online.db away, and run: make pipeline" in result.output
