"""Runs pipelines one after the other, and shows on stderr how far each is."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

from rich.progress import Progress, TaskID

from cli import console
from errors import BadParameter
from features.risk import Risk
from files import DATA_SUFFIXES
from jobs.batch.table import Engine, compute
from jobs.pipelines import Pipeline
from jobs.raw import places
from jobs.raw.forms.scans import is_hive
from root import Root


def run(
    root: Root,
    pipelines: list[Pipeline],
    start: datetime | None,
    end: datetime,
    now: datetime,
    path: Path | None = None,
    quarantine: Path | None = None,
    engine: Engine | None = None,
) -> Iterator[object]:
    """Compute the rows of (start, end] of each pipeline, from the raw files at `path` or those of the root. Yield each
    report as its pipeline ends. `quarantine` is a file, or a folder that gets `<pipeline>.parquet` of each pipeline
    with bad rows. `engine` computes feature tables; by default DuckDB. Raises NoData, BadInput, Busy, FeaturesNotReady,
    BadParameter."""
    files = None if path is None else [path] if is_hive(path) else places.files_at(path)
    if path and quarantine and quarantine.resolve().parent == path.resolve():
        raise BadParameter(f"--quarantine {quarantine} is in the folder of the input. Give another folder.")
    for pipeline in pipelines:
        with console.progress() as progress:
            bar = progress.add_task(pipeline.name, total=None)
            tell = partial(_describe, progress, bar, pipeline.name)
            aside = quarantine
            if quarantine and quarantine.suffix not in DATA_SUFFIXES:
                aside = quarantine / f"{pipeline.name}.parquet"
            if isinstance(pipeline.definition, Risk):
                from jobs.train import dataset

                report: object = dataset.run(root, pipeline.definition, start, end, now, files, aside, tell)
            else:
                report = compute(root, pipeline.definition, end, now, start, files, aside, tell, engine)
        yield report


def _describe(progress: Progress, bar: TaskID, pipeline: str, step: str) -> None:
    progress.update(bar, description=f"{pipeline}: {step}")
