"""Which files hold the raw events of a table."""

from collections.abc import Iterable
from pathlib import Path

from errors import BadInput, NoData
from features import DOMAINS
from features.domains import raw_tables, raw_tables_of, simulated
from jobs.raw import offline_log
from jobs.raw.forms.scans import is_csv
from root import Root

#: Suffixes of the files that are read.
SUFFIXES = (".parquet", ".csv")
PACKED = (".gz", ".zip", ".zst", ".bz2", ".xz")


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
    return files_at(place) if place and (place.is_file() or _visible(place)) else []


def _history_place(root: Root, table: str) -> Path | None:
    places = [place for suffix in SUFFIXES if (place := root.raw_table(table).with_suffix(suffix)).is_file()]
    places += [root.raw_table(table)] if root.raw_table(table).is_dir() else []
    if len(places) > 1:
        raise BadInput(f"{' and '.join(map(str, places))} are both raw events of {table}. Keep one of them.")
    return places[0] if places else None


def _remedy(table: str) -> str:
    """What can help where a table has no raw events: nobody generates those of a domain without a simulator."""
    owners = {domain for domain in DOMAINS if table in raw_tables_of(domain)}
    importable = table in raw_tables()
    advice = f"Import yours: python -m jobs import {table} FILE" if importable else "Put a Parquet or CSV file there"
    is_generated = not owners or not owners.isdisjoint(simulated())
    return f"{advice}. For generated ones, run: python generate_data.py" if is_generated else advice


def missing_tables(root: Root, tables: Iterable[str]) -> list[str]:
    """Those of the raw tables that have neither a history nor an offline log."""
    return [t for t in tables if not history_or_none(root, t) and not any(offline_log.files(root.offline_log(t)))]


def files_at(path: Path) -> list[Path]:
    """A file, or the Parquet or CSV files of a folder. Raises NoData where there are none, BadInput where they are of
    both kinds, or where there is anything else: its rows would be lost without a word. A name that begins with a dot or
    an underscore is no data, as everywhere."""
    files = _visible(path) if path.is_dir() else [path]
    if not files or not path.exists():
        raise NoData(f"No raw events at {path}. Give a Parquet or CSV file, or a folder of them.")
    for file in files:
        if file.is_dir():
            raise BadInput(f"{path} has the folder {file.name}, whose files would not be read. Move them up, or away.")
        if file.suffix not in SUFFIXES:
            advice = "Unpack it first." if file.suffix in PACKED else "Give files that end in .parquet or .csv."
            raise BadInput(f"{file} is neither Parquet nor CSV. {advice}")
    if len({is_csv(file) for file in files}) > 1:
        raise BadInput(f"{path} has both Parquet and CSV files. Keep one kind of them.")
    return files


def _visible(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if not file.name.startswith((".", "_")))
