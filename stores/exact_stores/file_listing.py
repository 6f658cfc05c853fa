"""Which files a path stands for, and what the names of their folders say."""

import re
from glob import escape, glob, has_magic
from pathlib import Path
from urllib.parse import unquote

#: Names that writers give to files and folders that are not done. `_day=1` is a partition.
_UNFINISHED = re.compile(r"(?:^|/)(?:\.|_[^/=]*(?:/|$))")
_WHOLE_NUMBER = re.compile(r"-?[0-9]+")
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_HIVE_SEGMENT = re.compile(r"(?:^|/)([^/=]+)=([^/]*)(?=/)")


def hive_partitions(path: str) -> dict[str, str]:
    """The Hive keys of a folder or glob, in order, and their DuckDB types.

    `…/year=2026/month=01/part.parquet` has the keys `year` and `month`. A type is BIGINT if every value is a whole
    number of 64 bits, as in pyarrow and pandas, else VARCHAR. Raises FileNotFoundError if there is no file.
    """
    values: dict[str, set[str]] = {}
    for keys in hive_values(path).values():
        for key, value in keys.items():
            values.setdefault(key, set()).update([] if value is None else [value])
    return {key: "BIGINT" if all(map(_is_bigint, texts)) else "VARCHAR" for key, texts in values.items()}


def _is_bigint(text: str) -> bool:
    return _WHOLE_NUMBER.fullmatch(text) is not None and -(2**63) <= int(text) < 2**63


def hive_values(path: str) -> dict[str, dict[str, str | None]]:
    """File → Hive key → its value, in the order of `list_files`. Raises FileNotFoundError."""
    base = path if Path(path).exists() else re.split(r"[*?\[]", path)[0].rpartition("/")[0]
    return {
        file: {
            key: None if value == _HIVE_NULL else unquote(value)
            for key, value in _HIVE_SEGMENT.findall(file.removeprefix(base))
        }
        for file in list_files(path)
    }


def list_files(path: str) -> list[str]:
    """The files of a file's path, a folder or a glob, sorted by name. In a folder it skips files that are not done.

    Raises FileNotFoundError if there is none.
    """
    paths = sorted(glob(_pattern(path), recursive=True))
    if Path(path).is_dir():
        paths = [file for file in paths if not _UNFINISHED.search(file.removeprefix(path))]
    if not paths:
        raise FileNotFoundError(f"No Parquet file is at {path}. Write one there, or correct the path of the source.")
    return paths


def _pattern(path: str) -> str:
    if Path(path).is_dir():
        return f"{escape(path)}/**/*.parquet"
    return path if has_magic(path) and not Path(path).exists() else escape(path)
