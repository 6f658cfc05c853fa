"""Writes the raw tables that the simulators generate."""

from collections.abc import Callable, Iterable
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
    hash_key: bytes,
    done: Callable[[str, int], object] = lambda table, rows: None,
    domains: Iterable[str] = DOMAINS,
) -> None:
    """Write the domains' tables below the root's `raw/`: each as a file `<table>.parquet`, or into a folder of that
    name where others add to it. Call `done` with each table and its number of rows. Raises BadParameter for a domain
    without a simulator, before anything is written."""
    for simulator in [_simulator(domain) for domain in domains]:
        for table, frame in simulator.events(seed, now, size, hash_key).items():
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
    advice = f"Write simulators/{domain}.py, or import your own: python -m jobs import TABLE FILE"
    raise BadParameter(f"The domain {domain!r} has no simulator, so nobody can generate its raw events. {advice}")
