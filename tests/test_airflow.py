"""The DAGs in a real Airflow: they load, and a run of a day computes exactly that day, however often."""

import json
import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest
from engines.airflow import PROGRAM, Airflow, migrated
from engines.need import need
from pipelines import day_of
from processes import environment, jobs, run

import settings
from model import history, shelf

need(PROGRAM)
pytestmark = [pytest.mark.slow, pytest.mark.engine]

#: In the project's folder, with the file of the stores that is set.
FEAST = 'feast --chdir feature_repo ${RISK_STORE:+--feature-store-yaml "$RISK_STORE"}'
#: A table of each of the raw tables that the DAG waits for.
TABLES = ("driver_yesterdays_stats", "user_orders", "product_sales")


@pytest.fixture(scope="module")
def airflow(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """On a copy of the world that knows where it is, without the decisions and without the features of yesterday."""
    home, root = tmp_path_factory.mktemp("airflow"), tmp_path_factory.mktemp("root") / "root"
    airflow = migrated(home, root)
    shutil.copytree(world, root, symlinks=True)
    run([settings.PROJECT / ".venv/bin/feast", "apply"], cwd=settings.FEATURE_REPO, env=environment(RISK_DATA=root))
    for folder in ("decisions", "decisions.index"):
        shutil.rmtree(root / folder)
    for table in TABLES:
        shutil.rmtree(newest(root, table))
    return airflow


@pytest.fixture(scope="module")
def end(world: Path) -> str:
    """The midnight that ends the world's last day."""
    return day_of(world).isoformat()


def newest(root: Path, table: str) -> Path:
    """Where the features of the last day's events are: they are dated at the midnight that ends the day."""
    return root / "features" / table / f"{day_of(root):year=%Y/month=%m/day=%d}"


def rows(folder: Path) -> pa.Table:
    table = ds.dataset(folder).to_table()
    keys = [(name, "ascending") for name in table.column_names]
    return table.drop_columns("created").sort_by([key for key in keys if key[0] != "created"])


@pytest.fixture(scope="module")
def day(airflow: Airflow, end: str) -> list[str]:
    """The commands of a run of the last day."""
    return airflow.run_dag("risk_daily", end)


def test_every_dag_loads(airflow: Airflow):
    *_, faults = airflow.run("dags", "list-import-errors", "--local", "--output", "json").stdout.splitlines()
    assert json.loads(faults) == []


def test_a_run_gives_its_interval_to_every_command(day: list[str], end: str):
    start = datetime.fromisoformat(end) - timedelta(days=1)
    interval = f"--start-date {start.isoformat()} --end-date {end}"
    tables = ("driver_hourly_stats", "orders", "transactions")
    waited, worked = day[: len(tables)], day[len(tables) :]
    assert sorted(waited) == [f"python -m jobs arrived {table} {interval}" for table in tables]
    assert worked == [
        f"python -m jobs execute --all {interval}",
        f"{FEAST} apply",
        f"{FEAST} materialize-incremental {end}",
        f"python -m jobs score daily --as-of {end}",
    ]


def test_a_run_makes_the_tables_of_its_day(day: list[str], airflow: Airflow, world: Path):
    for table in TABLES:
        made = rows(newest(airflow.root, table))
        assert made.num_rows
        assert made.equals(rows(newest(world, table)))


def test_a_run_decides_as_of_the_end_of_its_day(day: list[str], airflow: Airflow, end: str):
    lines = [line for file in (airflow.root / "decisions").iterdir() for line in file.read_text().splitlines()]
    assert {(json.loads(line)["risk"], json.loads(line)["as_of"]) for line in lines} == {("daily", end)}


def test_a_task_that_is_tried_again_changes_nothing(day: list[str], airflow: Airflow):
    def files() -> dict[Path, bytes]:
        folders = [airflow.root / "features", airflow.root / "datasets", airflow.root / "decisions"]
        return {file: file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}

    before = files()
    for command in day:
        if command.startswith(("python -m jobs execute", "python -m jobs score")):
            jobs(airflow.root, *command.split()[3:])
    assert files() == before


def test_a_week_gives_each_risk_a_challenger_that_answers_nobody(day: list[str], airflow: Airflow, end: str):
    models = airflow.root / "models"
    served = shelf.current_version(models, "daily")
    others = "(train|shadow)_(?!daily).*"
    commands = airflow.run_dag("risk_weekly", end, "--mark-success-pattern", others)
    assert [re.sub(r"--now \S+T02:00:00\+00:00$", "--now MONDAY", command) for command in commands] == [
        "python -m jobs train daily --beside --now MONDAY",
        "python -m jobs shadow daily --model newest",
    ]
    assert shelf.current_version(models, "daily") == served
    shadow = json.loads((airflow.root / "shadow/daily.json").read_text())["model"]
    assert shadow == history.latest(models / "daily") != served


def test_an_hour_without_an_alarm_succeeds(day: list[str], airflow: Airflow, end: str):
    assert airflow.run_dag("risk_hourly", end) == ["python -m jobs monitor --once --fail-on-alarm"]
    assert (airflow.root / "monitor.db").exists()
