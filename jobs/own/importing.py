"""`python -m jobs import`: files of others → checked rows of a raw table, each row counted. An import is whole or not
there, and the same file twice changes nothing."""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from shlex import quote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from choices import unknown
from errors import BadInput, BadParameter, Busy, NoData
from features.domains import raw_tables
from features.windows.raw import RawTable
from files import locked, remove_left, replacing, sha256
from jobs.own import faults, reading, versions
from jobs.own import mapping as mappings
from jobs.own.mapping import Mapping
from jobs.own.rows import PLACE, Rows, check_id, read
from root import Root
from serving import acts

#: In an imported file: the name and the SHA-256 of the file that it was.
SOURCE = b"imported_from"
QUARANTINE_SUFFIXES = (".csv", ".parquet")
#: What a file name may not have.
_UNSAFE = re.compile(r"[^\w-]+", re.ASCII)


@dataclass(frozen=True)
class Imported:
    """What became of the rows of one file: `rows` = `kept` + `duplicates` + `quarantined`. `unread` and `empty` are its
    columns, as in `Rows`."""

    path: Path
    rows: int
    kept: int
    duplicates: int
    quarantined: int
    unread: list[str]
    empty: dict[str, str | None]

    def __str__(self) -> str:
        text = (
            f"{self.path.name}: {self.rows:,} rows in = {self.kept:,} kept + {self.duplicates:,} duplicates + "
            f"{self.quarantined:,} quarantined"
        )
        if not self.empty:
            return text
        maps = [quote(f"{ours}={theirs}") for ours, theirs in self.empty.items() if theirs]
        near = f" If it is there under another name, write --map {' --map '.join(maps)}" if maps else ""
        return f"{text}\n{self.path.name} has no column for {', '.join(self.empty)}: imported empty.{near}"


@dataclass(frozen=True)
class Report:
    """What an import did. `faults`: reason → how many rows, and `first_faults` the same in words, with the first row of
    each. `remedies` are options that would read bad rows. `newest` is the newest event time of the kept rows."""

    files: tuple[Imported, ...]
    changes: int
    faults: dict[str, int]
    first_faults: str
    remedies: list[str]
    newest: datetime | None


def raw_table_named(name: str) -> RawTable:
    """The raw table that a domain declares. Raises BadParameter."""
    by_name = raw_tables()
    if name not in by_name:
        raise unknown("raw table", name, by_name, "No domain declares one; see docs/tutorial-own-data.md.")
    return by_name[name]


def run(
    root: Root,
    raw: RawTable,
    files: Sequence[Path],
    mapping: Mapping,
    mapping_file: Path,
    now: datetime,
    hash_key: bytes,
    quarantine: Path | None = None,
) -> Report:
    """Read the files, check them, and add what is new to `raw/<table>/`. The mapping is kept in `mapping_file`.
    `hash_key` seals the rows. Raises
    BadInput, BadParameter, NoData, Busy, and has changed nothing then."""
    with table_lock(root, raw):
        report, contents = prepare(root, raw, files, mapping, now, hash_key, quarantine)
        if raw.sealed_columns:
            acts.claim_hash_key(root, hash_key, acts.operator(now))
        write({**contents, mapping_file: mapping.text().encode()})
        return report


def table_lock(root: Root, raw: RawTable) -> AbstractContextManager[None]:
    """One import at a time works on a raw table. Raises Busy."""
    busy = Busy(f"Another import is at work on {raw.name} in {root}. Wait for it.")
    return locked(root.raw / f".{raw.name}.lock", busy)


def write(contents: dict[Path, bytes | pa.Table]) -> None:
    """Write all files durably, each whole, in their order. On an error before all are written, none is. A kill between
    the last renamings leaves some: the same command again writes the others."""
    with ExitStack() as stack:
        for target, content in reversed(contents.items()):  # the stack renames the last one first
            beside = stack.enter_context(replacing(target))
            if isinstance(content, bytes):
                beside.write_bytes(content)
            else:
                pq.write_table(content, beside, compression="zstd")


def prepare(
    root: Root,
    raw: RawTable,
    files: Sequence[Path],
    mapping: Mapping,
    now: datetime,
    hash_key: bytes,
    quarantine: Path | None,
) -> tuple[Report, dict[Path, bytes | pa.Table]]:
    """Read and check the files. Returns what an import would do, and the content of each file that it would write.
    Raises as `run`. The caller holds the `table_lock`."""
    mappings.check(mapping, raw)
    check_id(raw, mapping)
    if quarantine and quarantine.suffix not in QUARANTINE_SUFFIXES:
        raise BadParameter(f"--quarantine {quarantine} ends in neither .csv nor .parquet. Give a name that does.")
    remove_left(root.raw_table(raw.name))
    known = _imported_files(root, raw)
    read_files, digests = list[Rows](), list[str]()
    for file in [reading.open_file(path, mapping) for path in files]:
        place = sum(len(rows.good) for rows in read_files)
        read_files.append(read(raw, mapping, file, now, hash_key, place))
        digests.append(sha256(file.path))
    if not any(rows.count for rows in read_files):
        raise NoData(f"{files[0]} holds no rows. Nothing was changed; bring rows.")
    result = versions.sort(raw, [rows.good for rows in read_files], list(known), now)
    if raw.id is None:
        result = _without_known_files(result, read_files, digests, set(known.values()))
    bad = [[*rows.bad, *faults.refused(raw, rows, result.refused)] for rows in read_files]
    in_words, remedies = faults.in_words(files, bad), faults.remedies(raw, read_files, bad, mapping)
    if quarantine is None and any(bad):
        advice = "Correct the files, or give --quarantine PATH: bad rows go there."
        raise BadInput(" ".join([in_words, *remedies, advice]))
    contents: dict[Path, bytes | pa.Table] = {}
    imported = []
    for path, digest, rows, bad_rows in zip(files, digests, read_files, bad, strict=True):
        places = rows.good[PLACE]
        kept = result.kept.filter(pc.is_in(result.kept[PLACE], value_set=places.combine_chunks()))
        duplicates = pc.sum(pc.is_in(places, value_set=pa.array(result.duplicates, pa.int64()))).as_py() or 0
        imported.append(Imported(path, rows.count, len(kept), duplicates, len(bad_rows), rows.unread, rows.empty))
        if len(kept):
            name = f"{_UNSAFE.sub('_', path.stem)[:60]}-{digest[:12]}-{now:%Y%m%dT%H%M%S}.parquet"
            content = kept.drop_columns([PLACE]).replace_schema_metadata({SOURCE: f"{digest} {path.name}"})
            contents[root.raw_table(raw.name) / name] = content
    if quarantine and any(bad):
        contents |= faults.quarantine_file(quarantine, files, bad)
    newest = pc.max(result.kept[raw.time]).as_py() if len(result.kept) else None
    by_kind = Counter(f"{column} {fault}".strip() for rows in bad for row in rows for column, fault, _ in row.faults)
    by_count = dict(by_kind.most_common())
    return Report(tuple(imported), result.changes, by_count, in_words, remedies, newest), contents


def _imported_files(root: Root, raw: RawTable) -> dict[Path, str]:
    """The files that were imported before, each with the SHA-256 of its source. Raises BadInput where the table has
    other files: who made them may make them again."""
    folder = root.raw_table(raw.name)
    others = [file for suffix in (".parquet", ".csv") if (file := folder.with_suffix(suffix)).exists()]
    digests = {}
    for file in sorted(folder.glob("[!.]*")) if folder.is_dir() else []:
        source = (pq.read_schema(file).metadata or {}).get(SOURCE) if file.suffix == ".parquet" else None
        if source is None:
            others.append(file)
        else:
            digests[file] = source.decode().split()[0]
    if others:
        raise BadInput(
            f"{others[0]} was not imported, and is of {raw.name}, too. Set RISK_DATA to another root, or move the file."
        )
    return digests


def _without_known_files(
    result: versions.Sorted, files: Sequence[Rows], digests: Sequence[str], known: set[str]
) -> versions.Sorted:
    """Rows without an id cannot be told apart, but files can: all rows of a file that was imported are duplicates."""
    seen, duplicates = set(known), list[int]()
    for rows, digest in zip(files, digests, strict=True):
        duplicates += rows.good[PLACE].to_pylist() if digest in seen else []
        seen.add(digest)
    is_known = pc.is_in(result.kept[PLACE], value_set=pa.array(duplicates, pa.int64()))
    return versions.Sorted(result.kept.filter(pc.invert(is_known)), 0, duplicates, {})
