"""Which files hold the raw events of a table."""

from collections.abc import Iterable
from pathlib import Path

from errors import BadInput, NoData
from features import DOMAINS
from features.domains import raw_tables_of, simulated
from jobs.raw import offline_log
from root import Root

#: Suffixes of the files that are read.
SUFFIXES = (".parquet", ".csv")


def raw_files(root: Root, table: str) -> list[Path]:
    """The files of a raw table: its history, and its stream's offline log. Raises NoData where there are none,
    BadInput."""
    logged = list(offline_log.files(root.offline_log(table)))
    try:
        return [*history_files(root, table), *logged]
    except NoData:
        if logged:
            return logged
        raise


def history_files(root: Root, table: str) -> list[Path]:
    """The file `raw/<table>.parquet` or `raw/<table>.csv`, or the files of the folder `raw/<table>/`. Raises NoData
    where there are none, BadInput where there are two of the three."""
    if place := _history_place(root, table):
        return files_at(place)
    raise NoData(f"No raw events at {root.raw_table(table)}. {_remedy(table)}")


def history_or_none(root: Root, table: str) -> list[Path]:
    """As `history_files`; none where there are none. Raises BadInput."""
    place = _history_place(root, table)
    return files_at(place) if place and (place.is_file() or any(f.suffix in SUFFIXES for f in place.iterdir())) else []


def _history_place(root: Root, table: str) -> Path | None:
    places = [place for suffix in SUFFIXES if (place := root.raw_table(table).with_suffix(suffix)).is_file()]
    places += [root.raw_table(table)] if root.raw_table(table).is_dir() else []
    if len(places) > 1:
        raise BadInput(f"{' and '.join(map(str, places))} are both raw events of {table}. Keep one of them.")
    return places[0] if places else None


def _remedy(table: str) -> str:
    """What can help where a table has no raw events: nobody generates those of a domain without a simulator."""
    owners = {domain for domain in DOMAINS if table in raw_tables_of(domain)}
    advice = f"Import yours: python -m jobs import {table} FILE"
    is_generated = not owners or not owners.isdisjoint(simulated())
    return f"{advice}. For generated ones, run: python generate_data.py" if is_generated else advice


def missing_tables(root: Root, tables: Iterable[str]) -> list[str]:
    """Those of the raw tables that have neither a history nor an offline log."""
    return [t for t in tables if not history_or_none(root, t) and not any(offline_log.files(root.offline_log(t)))]


def files_at(path: Path) -> list[Path]:
    """A file, or the Parquet or CSV files of a folder. Raises NoData where there are none, BadInput where they are of
    both kinds, or of neither."""
    files = sorted(f for f in path.iterdir() if f.suffix in SUFFIXES) if path.is_dir() else [path]
    if not files or not path.exists():
        raise NoData(f"No raw events at {path}. Give a Parquet or CSV file, or a folder of them.")
    suffixes = {f.suffix for f in files}
    if len(suffixes) > 1:
        raise BadInput(f"{path} has both Parquet and CSV files. Keep one kind of them.")
    if not suffixes <= set(SUFFIXES):
        raise BadInput(f"{path} is neither Parquet nor CSV. Give a file that ends in .parquet or .csv.")
    return files
