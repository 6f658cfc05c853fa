"""Who may ask, and what decides, changes with a trace or not at all."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from fake import NOW, Fake, shelve
from flask.testing import FlaskClient
from gates import ANN, PASSWORD
from policy_changes import MILD, STRICT

import settings
from errors import AuditUnavailable
from jobs.commands import jobs
from jobs.commands.risk import policy as policy_command
from model import shelf
from serving import acts, lines
from serving.audit.verify import verify
from serving.policies import Policies

WHO = acts.operator(NOW).caller
OTHER = "another good password"
#: A command, what it reads, and the record that it leaves, without who and when.
ACTS: list[tuple[str, str, dict[str, Any]]] = [
    ("user add bob@example.com --scope audit:read --scope admin --password-stdin", OTHER,
     {"user": "bob@example.com", "act": "add", "scopes": ["admin", "audit:read"]}),
    (f"user disable {ANN.upper()}", "", {"user": ANN, "act": "disable"}),
    (f"user enable {ANN}", "", {"user": ANN, "act": "enable"}),
    (f"user passwd {ANN} --password-stdin", OTHER, {"user": ANN, "act": "passwd"}),
    (f"user scopes {ANN} --scope admin", "", {"user": ANN, "act": "scopes", "scopes": ["admin"]}),
    ("key add till --scope events:write", "", {"key": "till", "act": "add", "scopes": ["events:write"]}),
    ("key revoke old-till", "", {"key": "old-till", "act": "revoke"}),
    ("models daily promote 2", "", {"model": "daily", "act": "promote", "version": "2"}),
    ("models onboarding rollback", "", {"model": "onboarding", "act": "rollback", "version": "1"}),
    ("policy onboarding apply {root}/mild.yaml", "", {"policy": "onboarding", "act": "apply"}),
    ("policy onboarding rollback default", "", {"policy": "onboarding", "act": "rollback"}),
    ("shadow onboarding --off", "", {"shadow": "onboarding", "act": "off"}),
    ("hash-key rotate", "", {"act": "rotate"}),
    ("prune --keep 4000d", "", {"retention": "4000d", "act": "prune", "files": {"decisions": 1}}),
]  # fmt: skip
COMMANDS = [" ".join(command.split()[:4]) for command, _, _ in ACTS]


def run(root: Path, command: str, sent: str = "") -> Result:
    return CliRunner().invoke(jobs, command.format(root=root).split(), input=f"{sent}\n")


def records(root: Path) -> list[dict[str, Any]]:
    return list(lines.read_folder(root / "cases"))


def state(root: Path) -> dict[str, Any]:
    """All that is below the root, without the log of acts, locks, and what only keeps what was in force."""
    return {
        str(path.relative_to(root)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if (path.is_symlink() or path.is_file())
        and not {"cases", "history"} & set(path.parts)
        and path.name != "cases.heads"
        and path.suffix != ".lock"
    }


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with a user, a key, versions, a policy, a shadow and an old day of outcomes, whose hash key changes."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    monkeypatch.setenv("RISK_HASH_KEY", "first")
    monkeypatch.setattr(policy_command, "_policies", lambda: Policies(settings.root().policies, Fake()))
    acts.claim_hash_key(settings.root(), settings.hash_key(), acts.operator(NOW))
    for command in (f"user add {ANN} --scope audit:read --password-stdin", "key add old-till --scope admin"):
        assert run(tmp_path, command, PASSWORD).exit_code == 0
    for name in ("daily", "onboarding"):
        shelve(name)
        shelve(name, version="2")
    assert run(tmp_path, "models onboarding promote 2").exit_code == 0
    for name, content in (("strict", STRICT), ("mild", MILD)):
        (tmp_path / f"{name}.yaml").write_bytes(content)
    assert run(tmp_path, f"policy onboarding apply {tmp_path}/strict.yaml").exit_code == 0
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow/onboarding.json").write_text('{"model": "2", "has_policy": false}')
    shutil.rmtree(tmp_path / "cases")
    (tmp_path / "outcomes").mkdir()
    (tmp_path / "outcomes/2001-01-01.jsonl").write_text("{}\n")
    monkeypatch.setenv("RISK_HASH_KEY", "second")
    monkeypatch.setenv("RISK_HASH_KEY_OLD", "first")
    return tmp_path


@pytest.mark.parametrize(("command", "sent", "expected"), ACTS, ids=COMMANDS)
def test_each_act_leaves_one_chained_record_without_a_secret(
    root: Path, command: str, sent: str, expected: dict[str, Any]
) -> None:
    before, result = state(root), run(root, command, sent)
    assert result.exit_code == 0, result.output
    (record,) = records(root)
    assert {name: record[name] for name in expected} == expected
    assert (record["caller"], record["request_id"], "failed" in record) == (WHO, "", False)
    assert state(root) != before or "enable" in command
    text = "".join(file.read_text() for file in (root / "cases").glob("*"))
    assert not [secret for secret in (OTHER, PASSWORD, result.stdout.strip(), "second", "first") if secret in text]
    checked = verify(root / "cases")
    assert (checked.faults, checked.unlinked) == ([], 0)


@pytest.mark.parametrize(("command", "sent"), [(command, sent) for command, sent, _ in ACTS], ids=COMMANDS)
def test_nothing_takes_effect_that_cannot_be_logged(
    root: Path, command: str, sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(root)
    with monkeypatch.context() as full:
        full.setattr(lines, "write_all", _full)
        result = run(root, command, sent)
    assert (result.exit_code, "Free space" in result.stderr) == (1, True), result.output
    assert state(root) == before
    assert records(root) == []


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("act", [{"act": "promote", "version": "2"}, {"act": "rollback"}])
def test_the_console_changes_no_model_that_it_cannot_log(client: FlaskClient, tmp_path: Path, act: dict[str, str]):
    shelve("daily", version="2")
    shelve("daily", version="3")
    assert client.post("/console/models/daily", data={"act": "promote", "version": "3"}).status_code == 303
    before = state(tmp_path)
    (tmp_path / "cases").rename(tmp_path / "away")
    (tmp_path / "cases").write_text("a file, where the folder should be")
    assert client.post("/console/models/daily", data=act).status_code == 503
    assert shelf.current_version(tmp_path / "models", "daily") == "3"
    (tmp_path / "cases").unlink()
    (tmp_path / "away").rename(tmp_path / "cases")
    assert state(tmp_path) == before
    assert client.post("/console/models/daily", data=act).status_code == 303
    assert [line["act"] for line in records(tmp_path)] == ["promote", act["act"]]


def test_an_act_is_on_the_disk_before_it_takes_effect(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    real = shelf.files.replace
    monkeypatch.setattr(shelf.files, "replace", lambda to: (seen.append([r["act"] for r in records(root)]), real(to)))
    synced: list[str] = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (synced.append(os.readlink(f"/proc/self/fd/{file}")), fsync(file))[1])
    assert run(root, "models daily promote 2").exit_code == 0
    assert seen[-1] == ["promote"]
    log = next(n for n, path in enumerate(synced) if "/cases/" in path)
    assert log < max(n for n, path in enumerate(synced) if path.endswith("models/daily"))


def test_an_act_that_fails_after_its_record_has_a_second_record(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state(root)

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(shelf.files, "replace", fail)
    assert run(root, "models onboarding rollback").exit_code == 1
    first, second = records(root)
    assert ("failed" in first, second["failed"], second["version"]) == (False, "OSError", "1")
    assert shelf.current_version(root / "models", "onboarding") == "2"
    assert state(root).keys() - before.keys() <= {"models/onboarding/.current.tmp"}


def test_a_mistake_is_no_act(root: Path) -> None:
    for command in ("user disable eve@example.com", "models daily promote 7", "key revoke nobody", "key add old-till "
                    "--scope admin", "policy onboarding apply nothing.yaml"):  # fmt: skip
        assert run(root, command).exit_code == 1
    assert records(root) == []


def test_a_user_without_a_name_is_known_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert acts.operator(NOW).caller == "cli:4000000"


def test_a_record_that_may_be_lost_in_a_power_cut_stops_the_act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(file: int) -> None:
        raise OSError(5, "Input/output error")

    def disable() -> None:
        with acts.logged(tmp_path / "cases", acts.Actor("cli:eve", NOW), "user", ANN, "disable") as log:
            log()

    disable()
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(AuditUnavailable):
        disable()
