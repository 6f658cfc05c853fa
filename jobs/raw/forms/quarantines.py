"""Writes the invalid rows of raw files, each with the reason, to a file."""

from collections.abc import Iterable
from pathlib import Path

from features.windows.raw import RawTable
from files import replacing
from jobs import sql
from jobs.raw.csv_files import RAGGED
from jobs.raw.forms import typed
from jobs.raw.forms.readers import Reader
from jobs.raw.forms.scans import FILE, PLACE, Scan, is_csv
from jobs.raw.forms.text_files import TextFile

REASON = "reason"


def write(
    reader: Reader,
    source: RawTable,
    scans: Iterable[Scan],
    reason: str,
    is_invalid: str,
    target: Path,
) -> int:
    """Write the rows for which the SQL `is_invalid` is true, as text, with the columns of their files and a last column
    `reason`, which `reason` is SQL of. A row that is longer or shorter than its header is in the reason as it stands in
    the file. Returns how many rows they are."""
    scans = list(scans)
    names = tuple(dict.fromkeys(name for scan in scans for name in scan.columns))
    ragged, place = sql.identifier(RAGGED), sql.identifier(PLACE)
    whole = f"CASE WHEN {ragged} IS NULL THEN {reason} ELSE {reason} || ', line ' || {place} || ': ' || {ragged} END"
    queries = []
    for scan in scans:
        cells = [scan.columns[name].cell if name in scan.columns else "NULL" for name in names]
        columns = ", ".join(f"{value} AS q{number}" for number, value in enumerate((*cells, whole)))
        rows = f"({typed.rows(source, scan, cells_too=True)})"
        queries.append(f"SELECT {columns}, {sql.identifier(FILE)}, {place} FROM {rows} WHERE {is_invalid}")
    with replacing(target) as beside:
        return reader.write(queries, TextFile(beside, is_csv(target), (*names, REASON)))
