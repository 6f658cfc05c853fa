"""The offline log of a stream, as Hive-partitioned Parquet for batches and training: what the job took in, and when;
what states it had then; and the lines that were no events.

A file bears the stamps of the first and the last batch in it. Written again after a crash it is the same file;
compacted, its range lies in another's, which holds the same rows.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.windows.raw import CREATED, RawTable
from files import replacing

_TYPES = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "timestamp": pa.timestamp("us", "UTC")}
#: So many files of a day become one.
MOST_FILES = 8
#: A file whose rows are in another is kept a while longer: somebody may be reading it.
KEPT_SECONDS = 60


def schema(stream: RawTable) -> pa.Schema:
    columns = {stream.time: "timestamp", **{c.name: c.dtype for c in stream.columns}, CREATED: "timestamp"}
    return pa.schema([(name, _TYPES[dtype]) for name, dtype in columns.items()])


def packed(stream: RawTable, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows, with moments in µs, as bytes that keep them until they are written."""
    names = [field for field in schema(stream) if field.name != CREATED]
    table = pa.table({field.name: pa.array([row[field.name] for row in rows], field.type) for field in names})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream_of:
        stream_of.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def events(stream: RawTable, batches: Sequence[tuple[int, bytes]]) -> pa.Table:
    """From (stamp, what `packed` made); `created` is the stamp. A column that was declared meanwhile is null."""
    tables = []
    for stamp, kept in batches:
        table = pa.ipc.open_stream(kept).read_all()
        created = pa.array([stamp], pa.int64()).cast(_TYPES["timestamp"])[0]
        tables.append(table.append_column(CREATED, pa.repeat(created, len(table))))
    return pa.concat_tables([schema(stream).empty_table(), *tables], promote_options="permissive").select(
        schema(stream).names
    )


def write(directory: Path, table: pa.Table, time_column: str, first: int, last: int) -> None:
    """Rows of the batches from one stamp to another, to the days of their moments."""
    days = pc.floor_temporal(table[time_column], unit="day")
    for day in pc.unique(days).to_pylist():
        folder = directory / f"year={day:%Y}" / f"month={day:%m}" / f"day={day:%d}"
        of_day = table.filter(pc.equal(days, pa.scalar(day, days.type)))
        _write(of_day, folder / f"{first}-{last}.parquet", time_column)
        compact(folder, time_column)


def write_empty(directory: Path, table: pa.Table) -> None:
    _write(table, directory / "year=1970" / "month=01" / "day=01" / "0-0.parquet", CREATED)


def write_dead(directory: Path, batches: Sequence[tuple[int, bytes]]) -> None:
    """Lines that were no events, with where they stood and why, to a file of JSON lines."""
    with replacing(directory / f"{batches[0][0]}-{batches[-1][0]}.jsonl") as beside:
        beside.write_bytes(b"".join(lines for _, lines in batches))


def compact(folder: Path, time_column: str, most: int = MOST_FILES) -> None:
    """Make one file of a day's newest, once there are more than `most`; and remove those that were made one before."""
    files = sorted(folder.glob("*.parquet"), key=_range)
    outer = [file for file in files if not any(_within(file, other) for other in files)]
    for container in outer:
        if time.time() - container.stat().st_mtime > KEPT_SECONDS:
            for file in files:
                if _within(file, container):
                    file.unlink()
    if len(outer) <= most:
        return
    sizes = [file.stat().st_size for file in outer]
    while sizes and sizes[0] > sum(sizes[1:]):  # what is large is not written again for the sake of a few rows
        del sizes[0], outer[0]
    if outer:
        merged = [pq.read_table(file, partitioning=None) for file in outer]
        target = folder / f"{_range(outer[0])[0]}-{_range(outer[-1])[1]}.parquet"
        _write(pa.concat_tables(merged, promote_options="default"), target, time_column)


def files(directory: Path) -> Iterator[Path]:
    """Those whose rows no other file holds."""
    for folder in sorted(directory.glob("year=*/month=*/day=*")):
        of_day = sorted(folder.glob("*.parquet"))
        yield from (file for file in of_day if not any(_within(file, other) for other in of_day))


def _range(file: Path) -> tuple[int, int]:
    """The stamps of its first and last batch."""
    first, last = map(int, file.stem.split("-"))
    return first, last


def _within(file: Path, other: Path) -> bool:
    (first, last), (begin, end) = _range(file), _range(other)
    return file != other and begin <= first and last <= end


def _write(table: pa.Table, target: Path, time_column: str) -> None:
    with replacing(target) as beside:
        pq.write_table(table.sort_by([(time_column, "ascending")]), beside, compression="zstd")
