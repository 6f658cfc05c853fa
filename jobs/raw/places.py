"""Where raw events lie, and how SQL reads them."""

from pathlib import Path

from errors import BadInput, NoData
from jobs import sql
from jobs.raw import offline_log
from root import Root

READERS = {".parquet": "read_parquet", ".csv": "read_csv"}


def raw_files(root: Root, table: str) -> list[Path]:
    """The files of a raw table: those of its history, and those that its stream has logged. Raises NoData on none,
    BadInput."""
    logged = list(offline_log.files(root.offline_log(table)))
    try:
        return [*history_files(root, table), *logged]
    except NoData:
        if logged:
            return logged
        raise


def history_files(root: Root, table: str) -> list[Path]:
    """`raw/<table>.parquet`, `.csv`, or those of the folder `raw/<table>/`. Raises NoData on none of them, BadInput on
    two."""
    places = [place for suffix in READERS if (place := root.raw_table(table).with_suffix(suffix)).is_file()]
    places += [root.raw_table(table)] if root.raw_table(table).is_dir() else []
    if len(places) > 1:
        raise BadInput(f"{' and '.join(map(str, places))} are both raw events of {table}. Keep one of them.")
    if not places:
        raise NoData(f"No raw events at {root.raw_table(table)}. Run: python generate_data.py")
    return files_at(places[0])


def files_at(path: Path) -> list[Path]:
    """A file, or the files of a folder, all of one kind. Raises NoData, BadInput."""
    files = sorted(f for f in path.iterdir() if f.suffix in READERS) if path.is_dir() else [path]
    if not files or not path.exists():
        raise NoData(f"No raw events at {path}. Give a Parquet or CSV file, or a folder of them.")
    return _of_one_kind(files, path)


def _of_one_kind(files: list[Path], path: Path) -> list[Path]:
    if len({f.suffix for f in files}) > 1 or files[0].suffix not in READERS:
        raise BadInput(f"{path} is not Parquet or CSV alone. Give files that end in .parquet, or in .csv.")
    return files


def relation(files: list[Path]) -> str:
    """The rows of the files, as SQL reads them, each with its `filename`. CSV cells are text, and what stands in one
    column with them."""
    kinds = ([f for f in files if f.suffix == suffix] for suffix in READERS)
    parts = [_relation(of_one_kind) for of_one_kind in kinds if of_one_kind]
    return parts[0] if len(parts) == 1 else f"(FROM {' UNION ALL BY NAME FROM '.join(parts)})"


def _relation(files: list[Path]) -> str:
    names = ", ".join(sql.literal(f) for f in files)
    text = ", all_varchar = true, header = true, delim = ',', null_padding = false" if files[0].suffix == ".csv" else ""
    return f"{READERS[files[0].suffix]}([{names}], filename = true, union_by_name = true{text})"
