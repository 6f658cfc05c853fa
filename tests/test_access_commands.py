"""`python -m jobs user` and `key`: what they print, what they refuse, and that nothing is half done."""

import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from gates import ANN, PASSWORD, gate

import app
import settings
from access import accounts
from errors import BadSetting, NotSignedIn
from jobs.commands import jobs

ADD = f"user add {ANN} --scope audit:read --scope features:read --password-stdin"


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    return tmp_path


def run(command_line: str, sent: str = f"{PASSWORD}\n", code: int = 0) -> Result:
    result = CliRunner().invoke(jobs, command_line.split(), input=sent)
    assert result.exit_code == code, result.output
    return result


def is_in(root: Path, password: str = PASSWORD) -> bool:
    try:
        return bool(gate(root).login(ANN, password, datetime.now(UTC)))
    except NotSignedIn:
        return False


def test_a_user_is_added_listed_disabled_and_enabled(root: Path):
    assert run(ADD).stdout == f"{ANN} can sign in\n"
    assert re.search(rf"{ANN}\s+features:read audit:read\s+\d{{4}}", run("user list").stdout)
    assert is_in(root)
    assert run(f"user disable {ANN.upper()}").stdout == f"{ANN} is disabled\n"
    assert re.search(rf"{ANN}.*disabled", run("user list").stdout)
    assert not is_in(root)
    run(f"user enable {ANN}")
    assert is_in(root)


def test_a_password_and_scopes_are_changed(root: Path):
    run(ADD)
    run(f"user passwd {ANN} --password-stdin", "another good password\n")
    assert (is_in(root), is_in(root, "another good password")) == (False, True)
    run(f"user scopes {ANN} --scope admin")
    (user,) = accounts.read(root / "access.db").users.values()
    assert user.scopes == {"admin"}


@pytest.mark.parametrize(
    ("command_line", "sent", "code", "message"),
    [
        (f"user add {ANN.upper()} --scope admin --password-stdin", PASSWORD, 1, f"{ANN} is a user already"),
        ("user disable anne@example.com", "", 1, f"Did you mean '{ANN}'?"),
        ("user passwd bob@nowhere.org --password-stdin", PASSWORD, 1, "There is no user 'bob@nowhere.org'"),
        ("user add bob --scope admin --password-stdin", PASSWORD, 1, "'bob' is no e-mail address"),
        ("user add a\nb@x.org --scope admin --password-stdin", PASSWORD, 2, ""),
        ("user add bob@example.com --scope admin --password-stdin", "short", 1, "fewer than 12 characters"),
        ("user add bob@example.com --scope admin --password-stdin", "", 1, "fewer than 12 characters"),
        ("user add bob@example.com --scope admin", PASSWORD, 1, "There is no terminal to ask for the password"),
        ("user add bob@example.com --scope audit:reed --password-stdin", PASSWORD, 2, "Did you mean 'audit:read'?"),
        ("user add bob@example.com --password-stdin", PASSWORD, 2, "--scope"),
        ("key add till", "", 2, "--scope"),
        ("key add till/7 --scope admin", "", 1, "'till/7' is not a name for a key"),
        ("key add till --scope admin --lasts 0d", "", 2, "is not a duration"),
        ("key revoke til", "", 1, "There is no key 'til'. Add one: python -m jobs key add"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_and_changes_nothing(root: Path, command_line: str, sent: str, code: int, message: str):
    run(ADD)
    before = (root / "access.db").read_bytes()
    assert message in run(command_line, sent, code).stderr
    assert (root / "access.db").read_bytes() == before


def test_a_terminal_is_asked_twice_and_shows_no_password(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("jobs.commands.access.has_terminal", lambda: True)
    typed = f"{PASSWORD}\nno match at all\n{PASSWORD}\n{PASSWORD}\n"
    result = run(f"user add {ANN} --scope admin", typed)
    assert "do not match" in result.output
    assert PASSWORD not in result.output
    assert is_in(root)


def test_a_key_is_printed_once_and_listed_by_its_first_characters(root: Path):
    added = run("key add till --scope events:write --lasts 1d")
    key = added.stdout.strip()
    assert re.fullmatch(r"rk_[\w-]{43}", key)
    assert "not shown again" in added.stderr
    listed = run("key list").stdout
    assert re.search(rf"till\s+{key[:9]}…\s+events:write\s+\d", listed)
    assert key not in listed
    assert gate(root).bearer(key, datetime.now(UTC)).name == "key:till"
    run("key revoke till")
    assert re.search(r"till.*revoked", run("key list").stdout)
    with pytest.raises(NotSignedIn):
        gate(root).bearer(key, datetime.now(UTC))


def test_a_command_needs_no_hash_key_of_the_root(root: Path, monkeypatch: pytest.MonkeyPatch):
    (root / "hash-key").write_text("0" * 64)
    with pytest.raises(BadSetting):
        settings.root()
    run(ADD)


# Settings of the service


@pytest.fixture
def no_server(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `python app.py` would start, with its greeting."""
    started: list[str] = []

    def run(create: partial[Flask], workers: int, greeting: str) -> None:
        started.append(f"{create.args[0].__name__} {greeting}")

    monkeypatch.setattr(app.serve, "run", run)
    for name in ("RISK_HASH_KEY", "RISK_JWT_SECRET", "HOST"):
        monkeypatch.delenv(name, raising=False)
    return started


SECRETS = {"RISK_HASH_KEY": "our own", "RISK_JWT_SECRET": "s" * 32}


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ("--production", {}, "RISK_HASH_KEY is not set, or is the demo's"),
        ("--production", {"RISK_JWT_SECRET": "s" * 32}, "RISK_HASH_KEY is not set, or is the demo's"),
        ("--production", SECRETS | {"RISK_HASH_KEY": settings._DEMO_HASH_KEY}, "RISK_HASH_KEY is not set, or is"),
        ("--production", {"RISK_HASH_KEY": "our own"}, "RISK_JWT_SECRET is not set. Make one"),
        ("--production", SECRETS | {"RISK_JWT_SECRET": "s" * 31}, "RISK_JWT_SECRET has 31 bytes, and needs 32"),
        ("", {"HOST": "0.0.0.0"}, "RISK_HASH_KEY is not set"),
        ("", {"HOST": "risk.example.com"}, "RISK_HASH_KEY is not set"),
    ],
)  # fmt: skip
def test_the_service_does_not_start_without_its_secrets(
    no_server: list[str], monkeypatch: pytest.MonkeyPatch, arguments: str, variables: dict[str, str], message: str
):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = CliRunner().invoke(app.main, arguments.split())
    assert (result.exit_code, no_server) == (1, [])
    assert result.stderr.startswith(f"bad_setting: {message}")
    assert "secrets.token_urlsafe(48)" in result.stderr


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_the_demo_is_open_on_this_machine_and_says_so(no_server: list[str], monkeypatch: pytest.MonkeyPatch, host: str):
    monkeypatch.setenv("HOST", host)
    assert CliRunner().invoke(app.main, []).exit_code == 0
    assert no_server[0].startswith("create_app Open service: nobody has to sign in")


@pytest.mark.parametrize(("arguments", "host"), [("--production", "127.0.0.1"), ("", "10.0.0.7")])
def test_with_its_secrets_the_service_asks_who_calls(
    no_server: list[str], monkeypatch: pytest.MonkeyPatch, arguments: str, host: str
):
    for name, value in (SECRETS | {"HOST": host}).items():
        monkeypatch.setenv(name, value)
    for greeting in ("Nobody can sign in yet. Add a user", "w" if arguments else "Ready"):
        assert CliRunner().invoke(app.main, arguments.split()).exit_code == 0
        assert no_server[-1].startswith("create_guarded_app")
        assert greeting in no_server[-1]
        run(ADD, code=0 if "Nobody" in greeting else 1)
    assert "Nobody can sign in" not in no_server[-1]
