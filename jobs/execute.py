"""Runs named pipelines one after the other, and shows how far each is."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from features.risk import Risk
from jobs.batch.table import Fold, compute, fold
from jobs.pipelines import Pipeline
from jobs.raw import places
from root import Root


def run(
    root: Root,
    pipelines: list[Pipeline],
    start: datetime | None,
    end: datetime,
    now: datetime,
    path: Path | None = None,
    quarantine: Path | None = None,
    engine: str = "duckdb",
) -> Iterator[object]:
    """Yield each pipeline's report as it ends. Raises NoData, BadInput, Busy, FeaturesNotReady, BadParameter."""
    files = None if path is None else places.files_at(path)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    for pipeline in pipelines:
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            bar = progress.add_task(pipeline.name, total=None)

            def tell(step: str, bar=bar, name=pipeline.name, progress=progress) -> None:  # type: ignore[no-untyped-def]
                progress.update(bar, description=f"{name}: {step}")

            if isinstance(pipeline.of, Risk):
                from jobs.train import dataset

                report: object = dataset.run(root, pipeline.of, start, end, now, files, quarantine, tell)
            else:
                report = compute(root, pipeline.of, end, now, start, files, quarantine, tell, _fold(engine))
        yield report


def _fold(engine: str) -> Fold:
    if engine == "duckdb":
        return fold
    from jobs.batch import spark

    return spark.fold
