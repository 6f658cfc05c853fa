"""`python -m jobs new` in a project that a test may spoil."""

import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import own_data
import pytest
from click.testing import CliRunner, Result
from constants import override

import settings
from jobs.commands import jobs

COLUMNS = ("--id", "order_id=Bestellnr", "--time", "ordered_at=Bestellt am", "--key", "customer=Kunden-Nr")
LABEL = ("--label", "fraud=Betrug", "--true", "ja", "--false", "nein", "--label-after", "14")
STATED = (*own_data.DIALECT, *COLUMNS, "--amount", "amount=Betrag", *LABEL)


def project_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the files that `new` reads and changes, an empty root, and a file of orders."""
    copy = tmp_path / "project"
    (copy / "feature_repo/features").mkdir(parents=True)
    shutil.copy(settings.FEATURE_REPO / "features/__init__.py", copy / "feature_repo/features")
    override(monkeypatch, settings, PROJECT=copy)
    monkeypatch.setenv("RISK_DATA", str(copy / "data"))
    own_data.write(copy / "orders.csv", 1200, datetime.now(UTC))
    return copy


def new(project: Path, *arguments: str, answers: Sequence[str] = (), name: str = "shop") -> Result:
    command = ["new", name, "--from", str(project / "orders.csv"), *arguments]
    result = CliRunner().invoke(jobs, command, input="".join(f"{answer}\n" for answer in answers))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def tree(project: Path) -> dict[str, bytes]:
    """Path → content of every file; locks are no content."""
    paths = (path for path in project.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(project)): path.read_bytes() for path in paths}


def refused(project: Path, *arguments: str, name: str = "shop") -> str:
    """The message of a command that changes nothing."""
    before = tree(project)
    result = new(project, *arguments, name=name)
    assert result.exit_code == 1, result.output
    assert tree(project) == before
    return result.stderr
