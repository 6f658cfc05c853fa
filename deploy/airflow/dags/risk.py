"""The DAGs: docs/how-to/schedule-with-airflow.md. A task is a command of this project, run in the project's own
environment: Airflow has another.

Airflow's workers need the variable RISK_PROJECT, the folder of this project, and the settings of its jobs: RISK_DATA,
RISK_HASH_KEY and those of the stores. Each command works on the interval of its run, and changes nothing the second
time. So Airflow may try a task again, clear it, or run a past day.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.bash import BashOperator
from airflow.providers.standard.sensors.bash import BashSensor
from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

#: Raw tables that get events every day. The day is not computed before they have some.
TABLES = ("driver_hourly_stats", "orders", "transactions")
#: Who gets a challenger every week.
RISKS = ("onboarding", "daily", "chargeback", "coupon", "loyalty")

#: The interval of a run, as options of the jobs.
START, END = "{{ data_interval_start | ts }}", "{{ data_interval_end | ts }}"
#: The jobs exit with it where another process holds the lock.
BUSY = 3
BIN = '"${RISK_PROJECT:?is the folder of the project}"/.venv/bin'


def dag(name: str, description: str, cron: str) -> DAG:
    """One run at a time, because a table has one writer. Runs of the past are asked for: `airflow backfill create`."""
    return DAG(
        name,
        description=description,
        # With a text such as "@daily", the interval of Airflow 3 ends where it starts.
        schedule=CronDataIntervalTimetable(cron, timezone="UTC"),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        tags=["risk"],
        default_args={
            "retries": 3,
            "retry_delay": timedelta(minutes=5),
            "retry_exponential_backoff": True,
            "max_retry_delay": timedelta(hours=1),
            "execution_timeout": timedelta(hours=6),
        },
    )


def job(task_id: str, arguments: str, **options: Any) -> BashOperator:
    """A task that runs `python -m jobs` with these arguments, which may hold `START` and `END`."""
    return BashOperator(task_id=task_id, bash_command=f"exec {BIN}/python -m jobs {arguments}", **options)


def feast(task_id: str, arguments: str) -> BashOperator:
    """A task that runs `feast` in the Feast repository."""
    store = '${RISK_STORE:+--feature-store-yaml "$RISK_STORE"}'
    command = f'cd "$RISK_PROJECT" && exec {BIN}/feast --chdir feature_repo {store} {arguments}'
    return BashOperator(task_id=task_id, bash_command=command)


def events_of(table: str) -> BashSensor:
    """A sensor that waits until a raw table has events of the interval, and keeps no worker busy meanwhile."""
    return BashSensor(
        task_id=f"events_of_{table}",
        bash_command=f"exec {BIN}/python -m jobs arrived {table} --start-date {START} --end-date {END}",
        mode="reschedule",
        poke_interval=timedelta(minutes=5),
        timeout=timedelta(hours=6),
    )


with dag("risk_daily", "Yesterday's events become feature tables, online features and scores.", "0 0 * * *"):
    execute = job("execute", f"execute --all --start-date {START} --end-date {END}")
    apply = feast("apply", "apply")
    materialize = feast("materialize", f"materialize-incremental {END}")
    score = job("score", f"score daily --as-of {END}")
    [events_of(table) for table in TABLES] >> execute >> apply >> materialize >> score

with dag("risk_weekly", "A new model of each risk decides as a shadow, until somebody promotes it.", "0 2 * * 1"):
    for risk in RISKS:
        train = job(f"train_{risk}", f"train {risk} --beside --now {END}")
        train >> job(f"shadow_{risk}", f"shadow {risk} --model newest")

with dag("risk_hourly", "Are decisions still like the training rows? A failed task is an alarm.", "0 * * * *"):
    # A monitor that runs all the time holds the lock, and does the same work. An alarm goes on at a second try.
    job("drift", "monitor --once --fail-on-alarm", retries=0, skip_on_exit_code=BUSY)
