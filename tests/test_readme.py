"""What the README and the pages of `docs/` show is run: requests, answers, jobs, Feast's commands."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import readme
import yaml
from answers import differences
from readme import DOCS, README, code_of, name_of, pages, tables

import settings
from features import DOMAINS
from features.domains import risks
from jobs.commands import jobs
from jobs.pipelines import pipelines

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent
#: Commands that a page shows in a bash block and that no test runs, and why. Whether their options exist is tested.
NOT_RUN = {
    "make demo": "it serves until Ctrl-C; its parts have tests of their own",
    "make serve": "it serves until Ctrl-C; tests/test_serve.py starts the server",
    "make tools": "the tests run in what it makes",
    "make pipeline": "tests/test_scale.py runs its steps on Redis and PostgreSQL",
    "make airflow": "make test-engines runs it",
    "make test": "this is it",
    "make stack": "it runs until Ctrl-C; tests/test_stack.py starts it",
    "pre-commit install": "it changes the reader's clone",
    "source .venv/bin/activate": "the tests run in what it activates",
    "cd feature_repo": "the next commands run there",
    "pip install path/to/stores": "tests/test_stores_package.py installs it into an environment of its own",
    "pip install -e '.[redis,postgres]' -c requirements-engines.txt": "make test-engines installs them",
    "redis-server --daemonize yes --bind 127.0.0.1 --appendonly yes --dir /var/tmp": "tests/engines/redis.py does",
    "sudo pg_ctlcluster 15 main start": "tests/engines/postgres.py starts a server",
    'sudo -u postgres psql -c "CREATE USER risk PASSWORD \'risk\'" -c "CREATE DATABASE risk OWNER risk"': "the same",
    "export RISK_STORE=feature_repo/feature_store.scale.yaml": "tests/test_scale.py sets it",
    "export RISK_REDIS=127.0.0.1:6379": "tests/test_scale.py sets it to a Redis of its own",
    "export RISK_REGISTRY=postgresql+psycopg://risk:risk@127.0.0.1:5432/risk": "tests/test_scale.py sets it",
    "pip install -e '.[aws]' -c requirements-engines.txt": "make test-engines installs them",
    "export RISK_STORE=feature_repo/feature_store.aws.yaml": "tests/test_aws.py sets it",
    "export RISK_BUCKET=my-bucket": "tests/test_aws.py sets it to a bucket of its own",
    "export AWS_REGION=eu-central-1": "tests/test_aws.py sets it",
    "python -m exact_stores carry path/to/old/online_store.db": "it needs an old store; tests/test_switch.py has one",
    "python -m jobs execute --all": "a minute of work; each pipeline is run by tests/test_jobs.py",
    "python -m jobs simulate coupon --attack --attempts 20": "it needs a stream job; tests/test_simulate.py runs both",
    "python -m jobs shelve chargeback --onnx my_model.onnx": "it needs a file; tests/test_own_model.py publishes some",
    "python -m jobs parity coupon": "the same job as parity chargeback, which is run",
    "python -m jobs train chargeback --train-days 7 --delay-days 7 --test-days 7": "the world trained it so",
    "make docs": "tests/test_functions.py compares the table that it prints",
    "python -m pytest -n 0 tests/test_functions.py tests/test_windows.py tests/test_live.py": "these are tests",
}
#: The domains that pages make, which tests of their own run.
OWN_DOMAINS = {"refund_abuse", "shop"}
#: Groups of commands, and how many words name one of their commands.
WORDS = {"simulate": 2, "models": 3, "policy": 3, "user": 2, "key": 2, "audit": 2, "hash-key": 2}
#: Commands that begin so are run.
RUN = ("curl", "feast", "python -m jobs", "python -c", "tail")


def run(command: list[str], cwd: Path, root: Path) -> str:
    environment = {**os.environ, "RISK_DATA": str(root), "PATH": f"{BIN}:{os.environ['PATH']}"}
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
    return ended.stdout + ended.stderr


def with_lines(*starts: str) -> list[tuple[Path, str]]:
    """Page and command, of each command that begins so; a command that two pages show counts once."""
    commands_by_page = {line: page for page in pages() for line in readme.commands(page) if line.startswith(starts)}
    return [(page, line) for line, page in commands_by_page.items() if line not in NOT_RUN]


# Requests and their answers


@pytest.mark.parametrize(
    ("shown", "answer", "fields"),
    [
        ({"a": 1, "b": None}, {"a": 1, "b": None}, []),
        ({"a": 1}, {"a": 2}, [".a"]),
        ({"a": 1}, {"a": 1, "b": 2}, [".b"]),
        ({"a": 1, "b": 2}, {"a": 1}, [".b"]),
        ({"a": 1, "…": "…"}, {"a": 1, "b": 2}, []),
        ({"a": 1, "…": "…"}, {"b": 2}, [".a"]),
        ([1, 2], [1], [""]),
        ([1, "…"], [1, 2, 3], []),
        ([1, "…"], [2, 2, 3], [".0"]),
        ([{"score": 0.5}, {"score": -0.5}], [{"score": 0.1}, {"score": 0.1}], [".1.score"]),
        ({"score": 0.5}, {"score": None}, [".score"]),
        ({"score": 0.0}, {"score": 0.1}, [".score"]),
        ({"seen": 1}, {"seen": True}, [".seen"]),
        ({"home": "/home/7"}, {"home": "/home/99"}, []),
        ({"home": "/home/7"}, {"home": ""}, [".home"]),
    ],
)
def test_an_answer_that_is_not_as_shown_is_told_by_its_field(shown: Any, answer: Any, fields: list[str]):
    assert [re.split(r"[: ]", difference)[0] for difference in differences(shown, answer)] == fields


#: Its commands are run one after the other by `tests/test_tutorial_own_data.py`, in a clone of their own.
OWN_DATA = "tutorial-own-data.md"


@pytest.mark.parametrize(
    "page", [page for page in pages() if readme.calls(page) and page.name != OWN_DATA], ids=name_of
)
def test_every_request_of_a_page_is_answered_as_shown(page: Path, world: Path, served: str):
    for call in readme.calls(page):
        command = call.command.replace("http://127.0.0.1:5000", served)
        answer = json.loads(run(shlex.split(command), settings.PROJECT, world))
        if call.answer is None:
            assert "error" not in answer, call.command
        else:
            assert list(differences(call.answer, answer)) == [], call.command


# Commands


@pytest.mark.parametrize(("page", "command"), with_lines("python -m jobs", "python -c", "tail"), ids=str)
def test_every_command_of_a_page_runs(page: Path, command: str, world: Path, served: str, tmp_path: Path):
    (tmp_path / "data").symlink_to(world)
    where = tmp_path if "data/" in command else settings.PROJECT
    assert run(["bash", "-c", command], where, world).strip(), page


@pytest.mark.parametrize(("page", "command"), with_lines("feast"), ids=str)
def test_every_feast_command_of_a_page_works_in_the_feature_repo(page: Path, command: str, world: Path):
    command = command.replace("$(date -u +%FT%T)", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}")
    output = run(command.split(), settings.FEATURE_REPO, world)
    assert "warning" not in output.lower(), page


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_every_command_of_a_page_is_run_or_has_a_reason_why_not(page: Path):
    known = (*RUN, *NOT_RUN)
    assert [command for command in readme.commands(page) if not command.startswith(known)] == []


def test_every_reason_why_a_command_is_not_run_is_for_a_command_of_a_page():
    shown = {command for page in pages() for command in readme.commands(page)}
    assert set(NOT_RUN) <= shown


@cache
def help_of(*command: str) -> str:
    """What `--help` prints. `tests/test_cli_process.py` starts some as processes."""
    if command[:2] != ("-m", "jobs"):
        return run([sys.executable, *command, "--help"], settings.PROJECT, settings.PROJECT / "data")
    with redirect_stdout(io.StringIO()) as output:
        jobs([*command[2:], "--help"], prog_name="python -m jobs", standalone_mode=False)
    return output.getvalue()


def options_of(*command: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", help_of(*command))) - {"--help"}


def names_of(*command: str) -> set[str]:
    """The commands that are below one, as its help lists them."""
    return set(re.findall(r"^ +([a-z][a-z-]+) {2,}\S", help_of(*command), re.MULTILINE))


def written() -> list[str]:
    """Each `python -m jobs` command that a page writes in a block or in its text, once."""
    texts = "\n".join(page.read_text().replace("\\\n", " ") for page in pages())
    commands = re.findall(r"(?:^|`)(python -m jobs [^`\n]*?)(?=`|\n|\s{2,}#)", texts, re.MULTILINE)
    return sorted({command.strip() for command in commands})


@pytest.mark.parametrize("command", written())
def test_every_job_that_a_page_writes_exists_with_its_options(command: str):
    words = shlex.split(command.replace("python -m jobs", "", 1))
    if words == ["--help"]:
        return
    words = [a_risk(word) for word in words]
    job = words[: WORDS.get(words[0], 1)]
    above = ["-m", "jobs", *job[:-1]]
    assert job[-1] in names_of(*above)
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert options - {"--help"} <= options_of("-m", "jobs", *job)
    names = [word for word in words[len(job) :] if re.fullmatch(r"(feature_store|dataset)\.\w+", word)]
    assert set(names) <= {*pipelines(settings.root()), *(f"dataset.{domain}" for domain in OWN_DOMAINS)}
    if job[0] in ("parity", "train", "score", "stream", "models", "policy"):
        names = {*DOMAINS, "all"} if job[0] in ("parity", "stream") else set(risks())
        assert {word for word in words[1:2] if re.fullmatch("[a-z_]+", word)} <= names | OWN_DOMAINS


def a_risk(word: str) -> str:
    """A page writes RISK where any risk may stand."""
    return "daily" if word == "RISK" else word


def commands_of_reference() -> dict[str, set[str]]:
    """Command → its options, as the page of commands lists them."""
    page = DOCS / "reference/commands.md"
    options = {}
    for heading in re.findall(r"^## `python .*`$", page.read_text(), re.MULTILINE):
        heading_words = re.sub(r"(models|policy) RISK", r"\1 daily", code_of(heading)[0]).split()[1:]
        words = [word for word in heading_words if not re.search("[A-Z]", word)]
        options[" ".join(words)] = {code_of(row[0])[0] for row in tables(page, heading)}
    return options


@pytest.mark.parametrize("command", commands_of_reference())
def test_the_page_of_commands_lists_every_option_and_no_other(command: str):
    assert commands_of_reference()[command] == options_of(*command.split())


def test_the_page_of_commands_lists_every_job():
    groups = ("simulate", "models daily", "policy daily", "user", "key", "audit", "hash-key")
    listed = {f"-m jobs {name}" for name in names_of("-m", "jobs") - {group.split()[0] for group in groups}}
    listed |= {f"-m jobs {group} {name}" for group in groups for name in names_of("-m", "jobs", *group.split())}
    assert listed | {"generate_data.py", "app.py"} == commands_of_reference().keys()


# Blocks with a test of their own


def test_the_page_on_switching_back_names_feasts_own_stores():
    block = yaml.safe_load(readme.block(DOCS / "how-to/use-the-stores.md", "stores:stock"))
    ours = yaml.safe_load((settings.FEATURE_REPO / "feature_store.yaml").read_text())
    assert block.keys() == {name for name in ours if name.endswith(("_store", "_engine"))}
    assert {store["type"] for store in block.values()} == {"sqlite", "duckdb", "local"}


def test_the_page_of_files_lists_all_that_the_pipeline_leaves(world: Path):
    listed = {name.split("/")[0] for row in tables(DOCS / "reference/files.md") for name in code_of(row[0])}
    assert {part.name for part in world.iterdir() if not part.name.endswith(("-wal", "-shm"))} <= listed


def test_the_readme_shows_the_three_commands_and_how_to_activate():
    assert [command for command in readme.commands(README) if command.startswith(("make", "source"))] == [
        "make demo",
        "make test",
        "make stack",
        "source .venv/bin/activate",
    ]
