"""The command line as a process: how soon it answers, and how it ends."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest
from processes import environment, jobs_command, run, started_job, wait_until
from servers import free_port

import settings
from cli.exit_codes import ExitCode

pytestmark = pytest.mark.slow

#: What `--help` does without: each takes a tenth of a second at least.
HEAVY = ("feast", "pandas", "numpy", "duckdb", "pydantic", "sklearn", "rich")


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["execute", "x", "--start-date", "soon"]])
def test_help_and_wrong_usage_import_nothing_heavy(arguments: list[str]):
    code = (
        "import sys\nfrom jobs.commands import jobs\ntry:\n    jobs(sys.argv[1:])\nexcept SystemExit:\n"
        f"    print('HEAVY', [name for name in {HEAVY} if name in sys.modules])"
    )
    assert run([sys.executable, "-c", code, *arguments]).stdout.endswith("HEAVY []\n")


@pytest.mark.parametrize("command_line", ["score dayly", "train dayly", "parity copon", "stream copon"])
def test_a_wrong_name_is_refused_before_feast_is_imported(command_line: str):
    code = (
        "import sys\nfrom jobs.commands import jobs\ntry:\n    jobs(sys.argv[1:])\nexcept SystemExit as end:\n"
        "    print(end.code, 'feast' in sys.modules)"
    )
    assert run([sys.executable, "-c", code, *command_line.split()]).stdout == "1 False\n"


@pytest.mark.parametrize(
    ("program", "exit_code", "message"),
    [
        (["-m", "jobs", "scor"], ExitCode.USAGE, "Did you mean 'score'?"),
        (["-m", "jobs", "execute", "x"], ExitCode.FAILED, "bad_parameter: There is no pipeline 'x'."),
        (["-m", "jobs", "stream", "coupon", "--once"], ExitCode.FAILED, "a folder is needed"),
        (["generate_data.py", "--domain", "catalog"], ExitCode.FAILED, "a folder is needed"),
        (["generate_data.py", "--seed", "x"], ExitCode.USAGE, "is not a whole number"),
        (["app.py", "--producton"], ExitCode.USAGE, "Did you mean '--production'?"),
    ],
)
def test_a_mistake_ends_the_process_with_a_message(
    program: list[str], exit_code: ExitCode, message: str, tmp_path: Path
):
    (tmp_path / "file").write_text("")
    ended = run([sys.executable, *program], code=exit_code, env=environment(RISK_DATA=tmp_path / "file"))
    assert ended.stdout == ""
    assert message in ended.stderr
    assert "Traceback" not in ended.stderr


def test_ctrl_c_exits_with_130(tmp_path: Path):
    with started_job(tmp_path, "score", "daily", "--every", "1d") as child:
        wait_until(lambda: "The next run comes in its turn." in child.stderr, what="a run has failed", child=child)
        child.send(signal.SIGINT)
        assert "Traceback" not in child.ended(ExitCode.INTERRUPTED).stderr


@pytest.mark.parametrize("arguments", [["list-pipelines"], ["--help"], ["describe", "dataset.loyalty", "--json"]])
def test_a_reader_that_has_enough_is_no_error_to_show(arguments: list[str]):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = run(jobs_command(*arguments), code=ExitCode.FAILED, pipe=writer)
    finally:
        os.close(writer)
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("no.yaml", r"bad_setting: RISK_STORE is 'no\.yaml', which is no file\."),
        ("online_store: {type: nothing}", r"bad_setting: store\.yaml: Online Store Class 'nothing'"),
        ("online_store: {type: sqlite, pathh: secret-word}", r"bad_setting: store\.yaml: pathh: Extra inputs"),
        (": :", r"bad_setting: store\.yaml: It is no YAML from line 1 on\. Correct it\."),
    ],
)
def test_a_store_that_cannot_be_opened_ends_the_service_and_a_job_with_one_line(
    setting: str, message: str, tmp_path: Path
):
    base = {"project": "risk", "provider": "local", "registry": "registry.db", "entity_key_serialization_version": 3}
    yaml = tmp_path / "store.yaml"
    yaml.write_text("\n".join([setting, *(f"{name}: {value}" for name, value in base.items())]))
    store = setting if setting == "no.yaml" else yaml
    env = environment(RISK_DATA=tmp_path / "root", RISK_STORE=store, PORT=free_port())
    for program in (["-m", "jobs", "score", "daily"], ["app.py"]):
        ended = run([sys.executable, *program], code=1, cwd=settings.PROJECT, env=env)
        assert "Traceback" not in ended.output
        assert "secret-word" not in ended.output
        assert re.match(message, ended.stderr.splitlines()[-1]), ended.stderr
