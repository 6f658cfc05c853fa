"""What is wrong with rows, in words and as a file."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from errors import SHOWN_CHARACTERS, BadInput
from features.windows.raw import RawTable
from jobs.own.hints import hints
from jobs.own.mapping import Mapping
from jobs.own.rows import LINE, PLACE, BadRow, Rows

#: A message shows at most this many kinds of faults.
MOST_FAULTS = 5


def refused(raw: RawTable, rows: Rows, by_place: dict[int, str]) -> Iterator[BadRow]:
    """Rows that are good by themselves, and do not go together with others."""
    mask = pc.is_in(rows.good[PLACE], value_set=pa.array(list(by_place), pa.int64()))
    for row in rows.good.filter(mask).to_pylist():
        place, line = row.pop(PLACE), row.pop(LINE)
        name = raw.id_column
        yield BadRow(line, ((name, by_place[place], str(row[name])),), json.dumps(row, ensure_ascii=False, default=str))


def in_words(files: Sequence[Path], bad: Sequence[Sequence[BadRow]]) -> str:
    """Each kind of fault with its count and its first row; "" where there is none."""
    first: dict[tuple[str, str], str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for path, rows in zip(files, bad, strict=True):
        place = "row" if path.suffix.lower() == ".parquet" else "line"
        for row in sorted(rows, key=lambda row: row.line):
            for column, fault, cell in row.faults:
                counts[column, fault] += 1
                shown = f" ({cell[:SHOWN_CHARACTERS]})" if cell else ""
                first.setdefault((column, fault), f"{place} {row.line:,} of {path.name}{shown}")
    texts = []
    for (column, fault), count in counts.most_common(MOST_FAULTS):
        rows_are = "1 row" if count == 1 else f"{count:,} rows"
        texts.append(f"{rows_are}: {column} {fault}; the first is {first[column, fault]}".replace("  ", " "))
    if more := len(counts) - len(texts):
        texts.append(f"{more} more {'kind' if more == 1 else 'kinds'} of faults")
    return "".join(f"{text}. " for text in texts).rstrip()


def remedies(raw: RawTable, files: Sequence[Rows], bad: Sequence[Sequence[BadRow]], stated: Mapping) -> list[str]:
    """What would read the cells of these rows. `stated`: how they were read."""
    cells: dict[tuple[str, str], list[str]] = {}
    for column, fault, cell in (fault for rows in bad for row in rows for fault in row.faults):
        cells.setdefault((column, fault), []).append(cell)
    return hints(cells, stated, raw, {name: _read(name, files) for name, _ in cells if name})


def _read(name: str, files: Sequence[Rows]) -> tuple[int, list[Any]]:
    """How many cells of the column were read, and the first of them."""
    count = sum(len(rows.good) - rows.good[name].null_count for rows in files)
    return count, [cell for rows in files for cell in rows.cells.get(name, ())]


def quarantine_file(path: Path, files: Sequence[Path], bad: Sequence[Sequence[BadRow]]) -> dict[Path, bytes | pa.Table]:
    """The file of the bad rows. Raises BadInput where the path has other rows: they would be lost."""
    rows = [
        {"file": file.name, "line": row.line, "reason": row.reason, "row": row.row}
        for file, bad_rows in zip(files, bad, strict=True)
        for row in sorted(bad_rows, key=lambda row: row.line)
    ]
    table = pa.Table.from_pylist(rows)
    if path.suffix == ".csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        content: bytes | pa.Table = text.getvalue().encode()
        is_same = path.exists() and path.read_bytes() == content
    else:
        content, is_same = table, path.exists() and pq.read_table(path).equals(table)
    if path.exists() and not is_same:
        raise BadInput(f"{path} has other rows, which would be lost. Give --quarantine another name.")
    return {path: content}
