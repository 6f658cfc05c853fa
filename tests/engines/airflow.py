"""Airflow, in its environment `.venv-airflow`, with a database of its own."""

import re
from dataclasses import dataclass
from pathlib import Path

from processes import Ended, environment, run

import settings

PROGRAM = str(settings.PROJECT / ".venv-airflow/bin/airflow")
DAGS = settings.PROJECT / "deploy/airflow/dags"


@dataclass(frozen=True)
class Airflow:
    """Runs commands of Airflow. The jobs of its tasks work on `root`."""

    home: Path
    root: Path

    def run(self, *arguments: str) -> Ended:
        variables = {
            "AIRFLOW_HOME": self.home,
            "AIRFLOW__CORE__DAGS_FOLDER": DAGS,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "RISK_PROJECT": settings.PROJECT,
        }
        env = environment(RISK_DATA=self.root) | {name: str(value) for name, value in variables.items()}
        return run([PROGRAM, *arguments], cwd=self.home, env=env)

    def run_dag(self, dag: str, end: str, *options: str) -> list[str]:
        """Run a DAG on the interval that ends at `end`. What its tasks have started of ours, in order."""
        output = self.run("dags", "test", dag, end, *options).output
        return re.findall(r"Running command: .*/\.venv/bin/([^'\[]*[^'\[ ])", output)


def migrated(home: Path, root: Path) -> Airflow:
    """Airflow on a new database."""
    airflow = Airflow(home, root)
    airflow.run("db", "migrate")
    return airflow
