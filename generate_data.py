"""Makes the raw events of every domain, the same for the same seed, `now` and size.

    python generate_data.py --seed 7 --now 2026-01-31T00:00:00Z --drivers 10000 --domain onboarding

What happens in each made-up world, and what a model can find there, is told in `simulators/<domain>.py`.
"""

import argparse
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

import settings
from features import DOMAINS
from features.utc import utc
from files import replacing
from root import Root
from simulators import Size, add_sizes, size_of


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
    """Write the domains' tables below the root's `raw/`, each as a file `<table>.parquet`, or in a folder of that name
    where others add to it; `done` hears of each."""
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
    raise SystemExit(f"The domain {domain!r} has no simulator. Write simulators/{domain}.py with a function `events`.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the raw events of every domain.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--now", type=utc, default=datetime.now(UTC), help="ISO moment; default: the clock")
    parser.add_argument("--domain", action="append", choices=DOMAINS, help="only this one; may be given again")
    add_sizes(parser, Size())
    asked = parser.parse_args()

    def done(table: str, rows: int) -> None:
        print(f"{table:<24}{rows:>10,} rows")

    generate(settings.root(), asked.seed, asked.now, size_of(asked), done, asked.domain or DOMAINS)


if __name__ == "__main__":
    main()
