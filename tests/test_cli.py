"""The command line: every option is described, a wrong name gets the nearest one, and a mistake gets no traceback."""

import errno
import fcntl
import sqlite3
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from constants import override

import app
import errors
import generate_data
from cli.edge import Command
from cli.exit_codes import ExitCode
from errors import JobError, RiskError
from jobs.commands import jobs
from jobs.simulate import simulate

PROGRAMS = {"python -m jobs": jobs, "python generate_data.py": generate_data.main, "python app.py": app.main}
TABLE = "feature_store.user_orders"


def commands(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """A command and all below it, by the words that start them."""
    yield name, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for sub in command.list_commands(ctx):
            subcommand = command.get_command(ctx, sub)
            assert subcommand
            yield from commands(f"{name} {sub}", subcommand)


EVERY = dict(pair for program in PROGRAMS.items() for pair in commands(*program))
PARAMETERS = [(name, param) for name, command in EVERY.items() for param in command.params]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data root."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


def run(command_line: str, program: click.Command = jobs) -> Result:
    """Run a command in this process. An exception that would print a traceback fails the test."""
    result = CliRunner().invoke(program, command_line.split(), prog_name="program")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# Help


@pytest.mark.parametrize("name", EVERY)
def test_every_command_says_what_it_does(name: str):
    help_text = CliRunner().invoke(EVERY[name], ["--help"], prog_name=name).output
    assert help_text.startswith(f"Usage: {name}")
    assert (EVERY[name].help or "").strip().endswith(".")


@pytest.mark.parametrize(("name", "param"), PARAMETERS, ids=[f"{name} {param.name}" for name, param in PARAMETERS])
def test_every_option_is_described_with_its_default(name: str, param: click.Parameter):
    with click.Context(EVERY[name], show_default=True) as ctx:
        record = param.get_help_record(ctx)
    assert record
    assert param.help, f"{param.name} has no help"
    is_switch = isinstance(param, click.Option) and param.is_flag
    assert isinstance(param, click.Argument) or is_switch or param.required or "[default: " in record[1], record


def test_an_option_without_help_is_noticed():
    with pytest.raises(AssertionError):
        test_every_option_is_described_with_its_default("python app.py", click.Option(["--bare"], default=1))
    with pytest.raises(AssertionError):
        test_every_option_is_described_with_its_default("python app.py", click.Option(["--bare"], help="No default."))


def test_a_list_of_commands_cuts_no_sentence():
    for group in (jobs, simulate):
        assert "..." not in run("--help", group).stdout.partition("Commands:")[2]


# Names that do not exist


@pytest.mark.parametrize(
    ("command_line", "suggestion"),
    [
        ("scor daily", "score"),
        ("simulate copon", "coupon"),
        ("score daily --as-off 2026-01-01", "--as-of"),
        ("simulate loyalty --producer 3", "--producers"),
        ("score dayly", "daily"),
        ("train onbording", "onboarding"),
        ("parity chargebak", "chargeback"),
        ("stream loyaltie", "loyalty"),
        ("describe feature_store.user_order", TABLE),
        ("execute dataset.copon", "dataset.coupon"),
        (f"execute {TABLE} --engine sparc", "spark"),
    ],
)
def test_a_wrong_name_gets_the_nearest_one(command_line: str, suggestion: str, root: Path):
    result = run(command_line)
    assert result.exit_code in (ExitCode.FAILED, ExitCode.USAGE)
    assert f"Did you mean '{suggestion}'?" in result.stderr


def test_a_score_of_the_future_is_refused(root: Path):
    result = run("score daily --as-of 2199-01-01")
    assert result.exit_code == ExitCode.FAILED
    assert "--as-of is 2199-01-01 00:00:00 UTC, which is in the future. Give a timestamp up to now." in result.stderr


@pytest.mark.parametrize(
    ("program", "command_line", "suggestion"),
    [
        (generate_data.main, "--domain cupon", "coupon"),
        (generate_data.main, "--driver 100", "--drivers"),
        (app.main, "--producton", "--production"),
    ],
)
def test_the_other_programs_suggest_too(program: click.Command, command_line: str, suggestion: str, root: Path):
    result = run(command_line, program)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert f"Did you mean '{suggestion}'?" in result.stderr


def test_without_a_domain_the_simulations_are_listed():
    result = run("simulate")
    assert result.exit_code == ExitCode.USAGE
    assert "coupon" in result.stderr
    assert "loyalty" in result.stderr


def test_where_no_domain_has_a_simulation_it_says_how_to_write_one(monkeypatch: pytest.MonkeyPatch):
    override(monkeypatch, import_module("jobs.simulate"), DOMAINS=("catalog", "nowhere"))
    simulate.__dict__.pop("_by_domain", None)
    try:
        for command_line in ("simulate", "simulate coupon"):
            assert "Write one: a click command named `command`" in " ".join(run(command_line).stderr.split())
    finally:
        simulate.__dict__.pop("_by_domain", None)


def test_a_shared_module_is_not_taken_for_the_simulation_of_a_domain(monkeypatch: pytest.MonkeyPatch):
    override(monkeypatch, import_module("jobs.simulate"), DOMAINS=("network", "coupon"))
    simulate.__dict__.pop("_by_domain", None)
    try:
        assert simulate.list_commands(click.Context(simulate)) == ["coupon"]
    finally:
        simulate.__dict__.pop("_by_domain", None)


# Exit codes


def test_the_table_of_exit_codes_is_that_of_the_errors():
    def below(error: type[RiskError]) -> list[type[RiskError]]:
        return [child for direct in error.__subclasses__() for child in (direct, *below(direct))]

    codes = {error: error.exit_code for error in below(RiskError) if issubclass(error, JobError)}
    assert {code for error, code in codes.items() if error is not errors.Busy} == {ExitCode.FAILED}
    assert codes[errors.Busy] == ExitCode.BUSY


@pytest.mark.parametrize(
    ("raised", "exit_code", "message"),
    [
        (None, ExitCode.OK, ""),
        (errors.NoData("None."), ExitCode.FAILED, "no_data: None.\n"),
        (errors.BadParameter("Bad."), ExitCode.FAILED, "bad_parameter: Bad.\n"),
        (errors.FeaturesNotReady("Not yet."), ExitCode.FAILED, "features_not_ready: Not yet.\n"),
        (errors.Mismatch("Differs."), ExitCode.FAILED, "mismatch: Differs.\n"),
        (errors.Busy("Wait."), ExitCode.BUSY, "busy: Wait.\n"),
        (click.UsageError("Wrong."), ExitCode.USAGE, "Error: Wrong.\n"),
        (KeyboardInterrupt(), ExitCode.INTERRUPTED, "\n"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x"), ExitCode.FAILED,
         "Error: /x: No such file or directory. Give a path that exists and that you may read and write.\n"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/x/y"), ExitCode.FAILED,
         "Error: /x/y: A part of this path is a file, and a folder is needed. "
         "Give a path that exists and that you may read and write.\n"),
        (OSError(errno.ENOSPC, "No space left on device"), ExitCode.FAILED,
         "Error: No space left on device. Free some space and run the command again.\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), ExitCode.FAILED,
         "Error: /x: No space left on device. Free some space and run the command again.\n"),
        (OSError(errno.EIO, "Input/output error"), ExitCode.FAILED, "Error: Input/output error. Check its disk.\n"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), ExitCode.FAILED,
         "Error: /x: Read-only file system. Mount its disk for writing.\n"),
        (sqlite3.DatabaseError("file is not a database"), ExitCode.FAILED,
         "Error: file is not a database. Move it away, and make it again.\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)  # fmt: skip
def test_an_error_becomes_its_exit_code_and_one_message(
    raised: BaseException | None, exit_code: ExitCode, message: str
):
    @click.command(cls=Command)
    def program() -> None:
        if raised:
            raise raised

    result = run("", program)
    assert (result.exit_code, result.stdout) == (exit_code, "")
    assert result.stderr.endswith(message)


@pytest.mark.parametrize("bug", [ValueError("a bug"), OSError("a bug")], ids=repr)
def test_a_bug_keeps_its_traceback(bug: Exception):
    @click.command(cls=Command)
    def program() -> None:
        raise bug

    with pytest.raises(type(bug)):
        run("", program)


def test_a_locked_table_exits_with_busy(root: Path):
    (root / "features").mkdir(parents=True)
    (root / "orders.csv").write_text("order_id,order_timestamp,user_id\no1,2026-01-05T10:00:00Z,u1\n")
    with (root / "features" / ".user_orders.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = run(f"execute {TABLE} --input {root / 'orders.csv'}")
    assert (result.exit_code, result.stdout) == (ExitCode.BUSY, "")
    assert result.stderr.startswith("busy: Another run is at work")


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_exits_with_ok(program: str):
    assert run("--help", PROGRAMS[program]).exit_code == ExitCode.OK
