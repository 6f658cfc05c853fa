"""Generates the raw events of every domain, the same for the same seed, `now` and size.

    python generate_data.py --seed 7 --now 2026-01-31T00:00:00Z --drivers 10000 --domain onboarding

`simulators/<domain>.py` tells what happens in each domain, and what a model can find there.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

import click
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import settings
from cli import console
from cli.edge import Command
from cli.sizes import size_options
from cli.values import SEED, TIMESTAMP, OneOf
from errors import BadParameter
from features import DOMAINS
from files import replacing
from root import Root
from simulators import Size


def write(path: Path, frame: pd.DataFrame) -> Path:
    """One Parquet file, zstd, microseconds, UTC; complete or not there."""
    times = {column: frame[column].dt.as_unit("us") for column in frame.select_dtypes("datetimetz")}
    written = pa.Table.from_pandas(frame.assign(**times), preserve_index=False)
    with replacing(path) as beside:
        pq.write_table(written, beside, compression="zstd")
    return path


def generate(
    root: Root,
    seed: int,
    now: datetime,
    size: Size,
    done: Callable[[str, int], object] = lambda table, rows: None,
    domains: Iterable[str] = DOMAINS,
) -> None:
    """Write the domains' tables below the root's `raw/`: each as a file `<table>.parquet`, or into a folder of that
    name where others add to it. Call `done` with each table and its number of rows. Raises BadParameter for a domain
    without a simulator, before anything is written."""
    for simulator in [_simulator(domain) for domain in domains]:
        for table, frame in simulator.events(seed, now, size, settings.hash_key()).items():
            place = root.raw_table(table)
            is_folder = table in getattr(simulator, "FOLDERS", ())
            write(place / "made.parquet" if is_folder else place.with_suffix(".parquet"), frame)
            done(table, len(frame))


def _simulator(domain: str) -> ModuleType:
    try:
        return import_module(f"simulators.{domain}")
    except ModuleNotFoundError as error:
        if error.name != f"simulators.{domain}":
            raise
    advice = f"Write simulators/{domain}.py with a function `events`."
    raise BadParameter(f"The domain {domain!r} has no simulator. {advice}")


@click.command(cls=Command, context_settings={"show_default": True})
@click.option("--seed", type=SEED, default=7, help="The same seed, time and size generate the same events.")
@click.option("--now", type=TIMESTAMP, show_default="the clock", help="No event is later than this timestamp.")
@click.option(
    "--domain",
    "domains",
    type=OneOf("domain", DOMAINS),
    multiple=True,
    metavar="DOMAIN",
    show_default="all",
    help=f"Only this domain: {', '.join(DOMAINS)}. Give it again for another.",
)
@size_options(Size())
def main(seed: int, now: datetime | None, domains: tuple[str, ...], size: Size) -> None:
    """Generate the raw events of every domain, below $RISK_DATA/raw."""

    def done(table: str, rows: int) -> None:
        console.line(f"{table:<24}{rows:>10,} rows")

    generate(settings.root(), seed, now or datetime.now(UTC), size, done, domains or DOMAINS)


if __name__ == "__main__":
    main(prog_name="python generate_data.py")
