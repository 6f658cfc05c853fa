"""Writes the raw tables that the simulators generate."""

from collections.abc import Callable, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from errors import BadParameter
from files import replacing, sha256
from jobs.world import aside, check
from jobs.world.marker import Marker, Part, World
from root import Root


def generate(
    root: Root,
    world: World,
    now: datetime,
    shares: Sequence[check.Share],
    claim: Callable[[], object],
    done: Callable[[str, int], object] = lambda table, rows: None,
) -> None:
    """Write the tables of the domains with these shares below the root's `raw/`: each as a file `<table>.parquet`, or
    into a folder of that name where others add to it. `claim` lets the root belong to the world's hash key: it is
    called before anything is written. Call `done` with each table and its number of rows. One process at a time may
    do this; `Root.pipeline_lock` is for that.

    If the root holds another world, what was computed from it is removed; models and decisions stay. Raises
    BadParameter for a domain without a simulator, NotGenerated if the root holds what nobody can generate again, and
    Busy, before anything is written.
    """
    simulators = {share.domain: _simulator(share.domain) for share in shares}
    marker = Marker.read(root)
    for share in shares:
        check.may_generate(marker, world, share, folders(simulators[share.domain]))
    if others := [share for share in shares if check.is_other(marker, world, share.domain)]:
        aside.remove_computed(root, others)
    claim()
    for domain, simulator in simulators.items():
        _generate(marker, world, domain, simulator, now, done)


def _generate(
    marker: Marker,
    world: World,
    domain: str,
    simulator: ModuleType,
    now: datetime,
    done: Callable[[str, int], object],
) -> None:
    tables, root = simulator.events(world.seed, now, world.size, world.hash_key), marker.root
    aside.move(root, check.refuse_foreign(marker, domain, tables, folders(simulator)), now)
    part = marker.parts.setdefault(domain, Part(world.identity()))
    part.made_at = None
    for table, frame in tables.items():
        place = root.raw_table(table)
        file = place / "made.parquet" if table in folders(simulator) else place.with_suffix(".parquet")
        _write(marker, domain, file, frame)
        done(table, len(frame))
    for name in [name for name in part.digests if Path(name).parts[1].removesuffix(".parquet") not in tables]:
        (root.path / name).unlink(missing_ok=True)  # of a simulator that made one table more
        del part.digests[name]
    part.digests = {name: digests[-1:] for name, digests in part.digests.items()}
    part.world, part.made_at = world.identity(), now.isoformat()
    marker.write()


def folders(simulator: ModuleType) -> check.Folders:
    """The raw tables of a simulator that are folders. The others are files."""
    return dict(getattr(simulator, "FOLDERS", {}))


def write(path: Path, frame: pd.DataFrame, expect: Callable[[str], object] = lambda digest: None) -> Path:
    """One Parquet file, zstd, microseconds, UTC; complete or not there. `expect` gets its SHA-256 before it is
    there."""
    times = {column: frame[column].dt.as_unit("us") for column in frame.select_dtypes("datetimetz")}
    written = pa.Table.from_pandas(frame.assign(**times), preserve_index=False)
    with replacing(path) as beside:
        pq.write_table(written, beside, compression="zstd")
        expect(sha256(beside))
    return path


def _write(marker: Marker, domain: str, file: Path, frame: pd.DataFrame) -> None:
    write(file, frame, lambda digest: marker.expect(domain, file, digest))


def _simulator(domain: str) -> ModuleType:
    try:
        return import_module(f"simulators.{domain}")
    except ModuleNotFoundError as error:
        if error.name != f"simulators.{domain}":
            raise
    advice = f"Write simulators/{domain}.py, or import your own: python -m jobs import TABLE FILE"
    raise BadParameter(f"The domain {domain!r} has no simulator, so nobody can generate its raw events. {advice}")
