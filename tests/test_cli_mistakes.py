"""A user's mistake gives a message on stderr that says what was seen and what to do. It gives no traceback, and changes
nothing."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pytest
from click.testing import CliRunner

import app
import generate_data
from cli.exit_codes import ExitCode
from jobs.commands import jobs

TABLE = "feature_store.user_orders"
HEADER = "order_id,order_timestamp,user_id,amount\n"
GOOD = HEADER + "o1,2026-01-05T10:00:00Z,u1,3\n"
#: A user without rights, where the tests run as root.
NOBODY = 65_534


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files that are wrong in many ways, and an empty data root beside them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    for name, text in {
        "good.csv": GOOD, "empty.csv": "", "header.csv": HEADER, "empty.parquet": "", "text.parquet": "no Parquet",
        "other.txt": "text", "negative.csv": HEADER + "o1,2026-01-05T10:00:00Z,u1,-3\n",
        "columns.csv": "a,b\n1,2\n", "zone.csv": HEADER + "o1,2026-01-05 10:00:00,u1,3\n",
    }.items():  # fmt: skip
        (tmp_path / name).write_text(text)
    (tmp_path / "binary.csv").write_bytes(b"\x00\xff\xfe")
    for name in ("nothing", "mixed", "folder.parquet"):
        (tmp_path / name).mkdir()
    (tmp_path / "mixed" / "a.csv").write_text(GOOD)
    (tmp_path / "mixed" / "b.parquet").write_text("")
    return tmp_path


def execute(options: str) -> str:
    return f"execute {TABLE} {options}"


#: Command line → a word of its message.
USAGE = {
    execute("--start-date yesterday"): "is not a timestamp. Write 2026-01-31",
    execute("--end-date 2026-13-01"): "is not a timestamp. Write 2026-01-31",
    execute("--end-date 9999-12-31T23:59:59-14:00"): "is not in the years 1970 to 2199, UTC",
    execute("--start-date 0001-01-01"): "is not in the years 1970 to 2199",
    execute("--engine pandas"): "Choose one of: duckdb, spark.",
    "score daily --every 5": "is not a duration. Write 30s, 15m, 24h or 1d.",
    "score daily --every 0s": "is not a duration",
    "score daily --every 99999999999999999999d": "is not a duration",
    "score": "Missing argument 'RISK'",
    "train daily --train-days -3": "Give 1 to 9999.",
    "train daily --test-days many": "is not a whole number. Give 1 to 9999.",
    "stream coupon --metrics 0": "0 is not a port. Give 1 to 65535.",
    "stream coupon --metrics 65536": "65536 is not a port",
    "pipeline --seed -1": "Give at least 0.",
    "pipeline --users 9": "9 is too small for a model to learn from. Give at least 10.",
    "pipeline --users -5": "-5 is too small for a model to learn from. Give at least 10.",
    "pipeline --now soon": "is not a timestamp",
    "simulate loyalty --delay-seconds 3": "such as 0.1:3",
    "simulate loyalty --delay-seconds 3:1": "such as 0.1:3",
    "simulate loyalty --loss nan": "is not a number from 0 to 0.5",
    "simulate coupon --per-second 0": "is not a number above 0 to 1000",
    f"describe {TABLE} --json --sql": "exclude each other",
    "": "Usage:",
}
FAILED = {
    execute("--input nowhere.csv"): "Give a Parquet or CSV file, or a folder of them.",
    execute("--input good.csv/x.csv"): "Give a Parquet or CSV file, or a folder of them.",
    execute("--input nothing"): "Give a Parquet or CSV file, or a folder of them.",
    execute("--input folder.parquet"): "Give a Parquet or CSV file, or a folder of them.",
    execute("--input other.txt"): "Give files that end in .parquet or .csv.",
    execute("--input mixed"): "Keep one kind of them.",
    execute("--input empty.csv"): "bad_input: ",
    execute("--input empty.parquet"): "bad_input: ",
    execute("--input text.parquet"): "bad_input: ",
    execute("--input binary.csv"): "bad_input: ",
    execute("--input header.csv"): "no_data: ",
    execute("--input columns.csv"): "has no column order_timestamp, order_id, user_id",
    execute("--input negative.csv"): "amount: 1 row is under 0",
    execute("--input zone.csv"): "without a time zone",
    execute("--input negative.csv --quarantine bad.txt"): "ends in neither .csv nor .parquet",
    execute("--input negative.csv --quarantine good.csv/bad.csv"): "a folder is needed",
    execute("--input negative.csv --quarantine folder.parquet"): "Give a path that exists",
    execute("--start-date 2026-02-01 --end-date 2026-01-01"): "Exchange them.",
    execute("--all"): "Name one pipeline, or say --all.",
    "execute": "Name one pipeline, or say --all.",
    "execute --all --input good.csv": "Name it instead of --all.",
    execute(""): "no_data: ",
    "describe dataset.coupon --sql": "Name a feature table.",
    "train onboarding --now 1970-01-01": "no_data: ",
    "score coupon": "no_data: ",
    "stream coupon --source kafka": "Choose log, or jsonl:PATH",
    "stream coupon --source jsonl:nowhere/events.jsonl": "Give a file of JSON lines, or a folder of them.",
    "stream all --source jsonl:other.txt": "Name it instead of all.",
    "simulate coupon --url nonsense": "name another by --url",
    "simulate loyalty": "no_data: ",
}
#: These import Feast.
SLOW = ("train", "score", "parity")


def refused(command_line: str, exit_code: ExitCode, program: click.Command = jobs) -> str:
    """The message of a command that must fail in this way."""
    result = CliRunner().invoke(program, command_line.split(), prog_name="program")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception  # what would print a traceback
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    return result.stderr


@pytest.mark.parametrize("command_line", USAGE)
def test_wrong_usage_exits_with_2_and_says_what_to_write(command_line: str, folder: Path):
    assert USAGE[command_line] in refused(command_line, ExitCode.USAGE)
    assert not (folder / "root").exists()


@pytest.mark.parametrize(
    "command_line", [pytest.param(c, marks=pytest.mark.slow) if c.startswith(SLOW) else c for c in FAILED]
)
def test_wrong_data_exits_with_1_and_says_what_to_do(command_line: str, folder: Path):
    assert FAILED[command_line] in refused(command_line, ExitCode.FAILED)
    assert list(folder.glob("root/features/user_orders/**/*.parquet")) == []


@pytest.mark.parametrize("root", ["other.txt", "other.txt/below", "/proc/nowhere"])
@pytest.mark.parametrize("command_line", [execute("--input good.csv"), "pipeline"])
def test_a_root_that_cannot_be_written_is_named(
    command_line: str, root: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RISK_DATA", str(folder / root))
    message = refused(command_line, ExitCode.FAILED)
    assert message.startswith(f"Error: {folder / root.removesuffix('/below')}")
    assert "Give a path that exists and that you may read and write." in message


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every user may enter, with a data root that every user may write."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "root").mkdir()
        (folder / "root").chmod(0o777)
        monkeypatch.setenv("RISK_DATA", str(folder / "root"))
        yield folder


@contextmanager
def without_rights() -> Iterator[None]:
    """As an ordinary user: root may read and write anything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("name", ["secret", "secret.csv"])
def test_what_may_not_be_read_is_named(name: str, shared: Path):
    secret = shared / name
    secret.mkdir() if name == "secret" else secret.write_text(GOOD)
    secret.chmod(0)
    with without_rights():
        message = refused(execute(f"--input {secret}"), ExitCode.FAILED)
    assert str(secret) in message


def test_a_root_that_may_not_be_written_is_named(shared: Path):
    (shared / "root").chmod(0o555)
    (shared / "good.csv").write_text(GOOD)
    with without_rights():
        message = refused(execute(f"--input {shared / 'good.csv'}"), ExitCode.FAILED)
    assert message.startswith(f"Error: {shared / 'root'}")


@pytest.mark.parametrize(
    ("program", "variable", "value", "message"),
    [
        (generate_data.main, "RISK_HASH_KEY", "", "RISK_HASH_KEY is empty. Set it to a secret"),
        (generate_data.main, "RISK_DATA", "", "RISK_DATA is empty. Set it to a folder"),
        (jobs, "RISK_DATA", "", "RISK_DATA is empty. Set it to a folder"),
        (app.main, "PORT", "http", "PORT is 'http'. Set it to a number"),
        (app.main, "HOST", "nowhere.invalid", "HOST is 'nowhere.invalid'"),
    ],
)
def test_a_wrong_setting_is_named_with_what_to_set(
    program: click.Command, variable: str, value: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    if variable == "HOST":  # where others may reach the service, these are checked first
        monkeypatch.setenv("RISK_HASH_KEY", "our own")
        monkeypatch.setenv("RISK_JWT_SECRET", "s" * 32)
    monkeypatch.setenv(variable, value)
    command_line = "list-pipelines" if program is jobs else ""
    assert refused(command_line, ExitCode.FAILED, program).startswith(f"bad_setting: {message}")


@pytest.mark.parametrize(
    ("command_line", "message"),
    [("--now soon", "is not a timestamp"), ("--seed x", "is not a whole number"), ("--users 9", "too small"),
     ("--domain cupon", "Choose one of: onboarding")],
)  # fmt: skip
def test_generate_data_refuses_a_wrong_value(command_line: str, message: str, folder: Path):
    assert message in refused(command_line, ExitCode.USAGE, generate_data.main)
    assert not (folder / "root").exists()
