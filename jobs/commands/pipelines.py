"""`python -m jobs list-pipelines`, `describe`, `arrived` and `execute`."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from choices import unknown
from cli import console
from cli.console import Column
from cli.values import TIMESTAMP, OneOf
from errors import BadParameter
from features.utc import midnight

if TYPE_CHECKING:
    from jobs.batch.table import Engine
    from jobs.pipelines import Pipeline

QUARANTINE_SUFFIXES = (".csv", ".parquet")
ENGINES = ("duckdb", "spark")


@click.command("list-pipelines")
def list_pipelines() -> None:
    """List the pipelines that `execute` runs.

    A pipeline computes a feature table, or a dataset: past cases with features and outcomes.
    """
    import settings
    from jobs.pipelines import pipelines

    rows = [(name, pipeline.description) for name, pipeline in pipelines(settings.root()).items()]
    console.table([Column("pipeline"), Column("description")], rows)


@click.command()
@click.argument("name", help="The name of a pipeline. list-pipelines lists them.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--sql", "as_sql", is_flag=True, help="Print the query that computes a feature table.")
def describe(name: str, as_json: bool, as_sql: bool) -> None:
    """Describe a pipeline.

    Print its entity, its sources, its features and where it writes them.
    """
    import settings
    from jobs.pipelines import named

    if as_json and as_sql:
        raise click.UsageError("--json and --sql exclude each other. Give one of them.")
    pipeline = named(settings.root(), name)
    if as_sql:
        console.line(_query(pipeline))
    elif as_json:
        console.line(json.dumps(pipeline.as_json(), indent=2))
    else:
        _show(pipeline)


def _query(pipeline: "Pipeline") -> str:
    """Raises BadParameter for a dataset, which Feast joins."""
    from features.risk import Risk

    if isinstance(pipeline.definition, Risk):
        raise BadParameter(f"{pipeline.name} is joined by Feast and has no query of its own. Name a feature table.")
    from jobs.batch import query

    return query.printed(pipeline.definition, midnight(datetime.now(UTC)))


def _show(pipeline: "Pipeline") -> None:
    console.line(f"{pipeline.name}: {pipeline.description}")
    facts = {
        "entity": ", ".join(pipeline.entity),
        "sources": ", ".join(pipeline.sources),
        "after": ", ".join(pipeline.after) or "–",
        "sink": f"{pipeline.sink}/year=…/month=…/day=…/",
    }
    console.table([Column(""), Column("")], facts.items(), indent=2)
    console.line()
    columns = [Column(heading) for heading in ("feature", "type", "window", "unit", "description")]
    rows = [(f.name, f.dtype, f.window or "–", f.unit or "–", f.description) for f in pipeline.features]
    console.table(columns, rows, headings=True, indent=2)


def _engine(name: str, path: Path | None) -> "Engine | None":
    """Raises BadParameter, BadSetting."""
    from jobs.raw.forms.scans import is_hive

    with_hive = path is not None and is_hive(path)
    if name == "spark":
        import settings
        from jobs.batch.spark import run

        return run.engine(settings.spark(), with_hive)
    if with_hive:
        raise BadParameter(f"--input {path} is a table of Hive, which Spark reads. Give --engine spark.")
    return None


@click.command()
@click.argument("table", help="The raw table, such as orders.")
@click.option("--start-date", type=TIMESTAMP, required=True, help="Count the events from then on.")
@click.option("--end-date", type=TIMESTAMP, required=True, help="Count the events before it.")
def arrived(table: str, start_date: datetime, end_date: datetime) -> None:
    """Whether a raw table has events of a day.

    The exit code is 1 as long as it has none. So a scheduler asks again, and computes features later.
    """
    import settings
    from features.domains import raw_tables
    from jobs.raw.arrival import events

    if table not in raw_tables():
        raise unknown("raw table", table, raw_tables(), "No domain declares one.")
    if start_date >= end_date:
        raise BadParameter(f"--start-date {start_date} is not before --end-date {end_date}. Exchange them.")
    count = events(settings.root(), raw_tables()[table], start_date, end_date)
    console.line(f"{table}: {count:,} rows from {start_date:%Y-%m-%d %H:%M} to {end_date:%Y-%m-%d %H:%M} UTC")


@click.command()
@click.argument("name", required=False, help="The name of a pipeline. list-pipelines lists them.")
@click.option("--all", "every", is_flag=True, help="Run every pipeline, each after those that it reads.")
@click.option(
    "--start-date",
    type=TIMESTAMP,
    show_default="the beginning of the data",
    help="Compute the rows that are dated after it.",
)
@click.option("--end-date", type=TIMESTAMP, show_default="the clock", help="Compute the rows dated up to it.")
@click.option(
    "--input",
    "path",
    type=click.Path(path_type=Path),
    show_default="$RISK_DATA/raw",
    help="A Parquet or CSV file with the raw events, or a folder of them; on Spark also hive:DATABASE.TABLE.",
)
@click.option(
    "--quarantine",
    type=click.Path(path_type=Path),
    show_default="a bad row stops the job",
    help="Write bad rows to this file (.csv or .parquet) and go on; with --all to a folder, a file for each pipeline.",
)
@click.option("--engine", type=OneOf("engine", ENGINES), default=ENGINES[0], help="What computes feature tables.")
def execute(
    name: str | None,
    every: bool,
    start_date: datetime | None,
    end_date: datetime | None,
    path: Path | None,
    quarantine: Path | None,
    engine: str,
) -> None:
    """Compute a feature table or a dataset.

    A run replaces exactly the days in (start, end] whose rows differ. A bad row stops it.
    """
    import settings
    from jobs.pipelines import named, pipelines

    if bool(name) == every:
        raise BadParameter("Name one pipeline, or say --all. See: python -m jobs list-pipelines")
    if every and path:
        raise BadParameter("--input is for one pipeline. Name it instead of --all.")
    if every and quarantine and (quarantine.suffix in QUARANTINE_SUFFIXES or quarantine.is_file()):
        raise BadParameter(
            f"--quarantine {quarantine} is a file. With --all, give a folder: it gets a file a pipeline."
        )
    if name and quarantine and quarantine.suffix not in QUARANTINE_SUFFIXES:
        raise BadParameter(f"--quarantine {quarantine} ends in neither .csv nor .parquet. Give a name that does.")
    root, now = settings.root(), datetime.now(UTC)
    chosen = list(pipelines(root).values()) if name is None else [named(root, name)]
    end = end_date or now
    if start_date and start_date >= end:
        raise BadParameter(f"--start-date {start_date} is not before --end-date {end}. Exchange them.")
    from jobs import execute

    for report in execute.run(root, chosen, start_date, end, now, path, quarantine, _engine(engine, path)):
        console.line(str(report))
