"""What the README shows is run."""

import json
import os
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from readme import TEXT, commands

import settings

BIN = Path(sys.executable).parent


def run(command: list[str], cwd: Path, root: Path) -> str:
    environment = {**os.environ, "RISK_DATA": str(root), "PATH": f"{BIN}:{os.environ['PATH']}"}
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("curl")])
def test_every_curl_of_the_readme_is_answered_as_shown(command: str, world: Path, served: str):
    command = command.replace("http://127.0.0.1:5000", served)
    answer = json.loads(run(shlex.split(command), settings.PROJECT, world))
    assert "error" not in answer
    if "onboarding-risk-decision" in command:
        shown = json.loads(re.search(r"```json\n(.*?)```", TEXT, re.DOTALL)[1])  # type: ignore[index]
        assert answer.keys() == shown.keys()
        assert (answer["decision"], answer["features"]) == (shown["decision"], shown["features"])
        assert [r["code"] for r in answer["reasons"]] == [r["code"] for r in shown["reasons"]]


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("feast")])
def test_every_feast_command_of_the_readme_works_in_the_feature_repo(command: str, world: Path):
    command = command.replace("$(date -u +%FT%T)", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}")
    said = run(command.split(), settings.FEATURE_REPO, world)
    assert "Warning" not in said
    assert "WARNING" not in said


@pytest.mark.parametrize("command", [c for c in commands() if c.startswith("python -m jobs")])
def test_every_job_of_the_readme_runs(command: str, world: Path):
    assert run(command.split(), settings.PROJECT, world).strip()


@pytest.mark.parametrize("target", sorted({*re.findall(r"(?:^|`)make ([a-z]+)", TEXT, re.MULTILINE)}))
def test_every_make_target_of_the_readme_is_there(target: str):
    dry = subprocess.run(["make", "--dry-run", target], cwd=settings.PROJECT, capture_output=True, check=False)
    assert dry.returncode == 0, dry.stderr


def test_every_command_of_the_readme_is_run_by_one_of_these_tests():
    known = ("curl", "feast", "python -m jobs", "make", "cd feature_repo")
    assert [c for c in commands() if not c.startswith(known)] == []


def test_every_picture_and_page_that_the_readme_links_is_there():
    for link in re.findall(r"\]\(((?!http)[^)]+)\)", TEXT):
        assert (settings.PROJECT / link).exists(), link
