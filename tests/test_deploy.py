"""The container files, as far as a machine without a daemon can check them."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from engines import compose
from engines.need import need
from processes import run

import settings
from jobs.commands import jobs

HADOLINT = str(Path(sys.executable).parent / "hadolint")
need(compose.PROGRAM, HADOLINT)
pytestmark = [pytest.mark.slow, pytest.mark.engine]

DOCKERFILE = settings.PROJECT / "Dockerfile"
SECRETS = {
    line.partition("=")[0]: f"made-up-{number}"
    for number, line in enumerate((compose.DEPLOY / "env.example").read_text().splitlines())
    if re.match("[A-Z_]+=", line)
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(yaml.safe_load(compose.read(tmp_path_factory.mktemp("compose"), SECRETS).stdout))


@pytest.fixture(scope="module")
def services(project: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return dict(project["services"])


def test_every_part_of_the_system_is_a_service(services: dict[str, Any]):
    parts = {"app", "kafka", "redis", "postgres", "prometheus", "grafana", "airflow", "spark"}
    assert parts | {"stream-chargeback", "stream-coupon", "stream-loyalty", "stream-catalog"} <= services.keys()


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_nothing_starts_and_its_name_is_said(name: str, tmp_path: Path):
    others = {other: value for other, value in SECRETS.items() if other != name}
    assert name in compose.read(tmp_path, others, code=1).output


def test_the_example_has_no_secret_and_git_does_not_know_the_real_ones():
    text = (compose.DEPLOY / "env.example").read_text()
    assert re.findall(r"^[A-Z_]+=(.+)$", text, re.MULTILINE) == []
    ignored = run(["git", "check-ignore", "deploy/.env", "deploy/prometheus-key"]).stdout
    assert ignored.splitlines() == ["deploy/.env", "deploy/prometheus-key"]


def test_every_port_is_published_to_this_machine_only(services: dict[str, Any]):
    addresses = {port.get("host_ip") for service in services.values() for port in service.get("ports", [])}
    assert addresses == {"127.0.0.1"}


def test_every_image_has_a_version(services: dict[str, Any]):
    loose = [s["image"] for s in services.values() if not re.search(r":v?\d+(\.\d+)+(-bookworm)?$", s["image"])]
    assert loose == []
    assert re.findall(r"^ARG BASE=(.*)$", DOCKERFILE.read_text(), re.MULTILINE) == ["python:3.11.14-slim-bookworm"]


def test_every_service_that_stays_has_a_health_check_and_starts_again(services: dict[str, Any]):
    awaited = [
        name
        for service in services.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    ]
    staying = {name: service for name, service in services.items() if name not in awaited}
    assert [name for name, service in staying.items() if service.get("restart") != "unless-stopped"] == []
    # The image of the service brings its own.
    assert [name for name, service in staying.items() if "healthcheck" not in service] == ["app"]
    assert "HEALTHCHECK" in DOCKERFILE.read_text()


def test_every_file_that_is_mounted_is_in_the_repository(services: dict[str, Any]):
    binds = [v for s in services.values() for v in s.get("volumes", []) if v["type"] == "bind"]
    names = [bind["source"].rpartition("/deploy/")[2] for bind in binds]
    assert names
    assert [name for name in names if not (compose.DEPLOY / name).is_file()] == []


def commands(services: dict[str, Any]) -> Iterator[list[str]]:
    """What the services of our image run by its entry point."""
    for service in services.values():
        if service["image"].startswith("risk:") and service.get("command"):
            yield service["command"]


def test_every_job_of_a_service_is_a_command_with_these_options(services: dict[str, Any]):
    lines = list(commands(services))
    assert lines
    for command, *arguments in lines:
        job = jobs.get_command(click.Context(jobs), command)
        assert job, command
        job.make_context(command, arguments)


def test_nothing_in_our_images_runs_as_root(services: dict[str, Any]):
    for stage in DOCKERFILE.read_text().split("\nFROM ")[1:]:
        users = re.findall(r"^USER (.*)$", stage, re.MULTILINE)
        assert users[-1:] in ([], ["10001:10001"])
    ours = [service for service in services.values() if service["image"].startswith("risk")]
    assert {(tuple(s["cap_drop"]), tuple(s["security_opt"])) for s in ours} == {(("ALL",), ("no-new-privileges:true",))}


def test_the_dockerfile_follows_hadolint():
    run([HADOLINT, "--failure-threshold", "style", DOCKERFILE])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list-pipelines"], "feature_store.user_orders"),
        (["--help"], "Exit codes"),
        (["feast", "version"], "Feast SDK Version"),
    ],
)
def test_the_image_runs_its_arguments_as_a_job(arguments: list[str], words: str):
    """The entry point, run here as it is run there."""
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    assert words in run(["sh", "deploy/entrypoint.sh", *arguments], env=path).stdout


def test_the_entry_point_gives_the_exit_code_of_the_job():
    path = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    assert "Did you mean" in run(["sh", "deploy/entrypoint.sh", "list-pipeline"], env=path, code=2).stderr
