"""The offline log of a stream, for batches and training: the events that the stream job has processed, the states that
it had at times, and the dead letters. Events and states are Parquet, Hive-partitioned by day. Old events lie together,
in the partition of the first day of their month, and older ones in that of their year: a file for each day of the past
would be as many files as a sender likes.

A file is named after the commit timestamps of the first and the last batch in it, `<first>-<last>.parquet`. A job that
writes a batch again after a crash writes the same file. A compacted file has the rows of all files whose range lies in
its own; readers pass those over. A job on Kafka names it after the first and the last offset, and the partition of the
topic: `<first>-<last>.<partition>.parquet`. Each partition has ranges of its own.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.utc import EPOCH, MICROSECOND
from features.windows.raw import CREATED, RawTable
from files import replacing

#: The declared type of a column → its type in Arrow.
ARROW_TYPES = {"string": pa.string(), "int": pa.int64(), "float": pa.float64(), "timestamp": pa.timestamp("us", "UTC")}
#: From this age on, events lie in the partition of their month, or of their year.
BY_MONTH_AFTER, BY_YEAR_AFTER = timedelta(days=31), timedelta(days=366)
#: A day with more files than this is compacted.
MOST_FILES = 8
#: A file whose rows are in a compacted file stays this long: somebody may be reading it.
KEPT_SECONDS = 60


def schema(stream: RawTable) -> pa.Schema:
    """The columns of the events in the log. `created` is when the stream job committed them."""
    columns = {stream.time: "timestamp", **{c.name: c.dtype for c in stream.columns}, CREATED: "timestamp"}
    return pa.schema([(name, ARROW_TYPES[dtype]) for name, dtype in columns.items()])


def pack(stream: RawTable, rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Events, with timestamps in µs since 1970, as bytes (an Arrow stream) that keep them until they are written."""
    table = _columns(stream, rows)
    sink = pa.BufferOutputStream()
    # A batch of the stream waits for it: zstd takes ten times as long, and Arrow's threads wait for a free core.
    options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _columns(stream: RawTable, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Events as a table, without `created`."""
    fields = [field for field in schema(stream) if field.name != CREATED]
    columns = list(zip(*map(itemgetter(*(field.name for field in fields)), rows), strict=True)) or [()] * len(fields)
    return pa.table({f.name: pa.array(values, f.type) for f, values in zip(fields, columns, strict=True)})


def dated(stream: RawTable, rows: Sequence[Mapping[str, Any]], created: Sequence[int]) -> pa.Table:
    """Events as a table, with when each was created, µs since 1970."""
    table = _columns(stream, rows).append_column(CREATED, pa.array(created, pa.int64()).cast(ARROW_TYPES["timestamp"]))
    return table.select(schema(stream).names)


def unpack(stream: RawTable, batches: Sequence[tuple[int, bytes]]) -> pa.Table:
    """The events of batches, each a commit timestamp in µs and what `pack` made. A column that was declared after a
    batch was packed is null in it."""
    tables = []
    for committed, packed in batches:
        table = pa.ipc.open_stream(packed).read_all()
        created = pa.array([committed], pa.int64()).cast(ARROW_TYPES["timestamp"])[0]
        tables.append(table.append_column(CREATED, pa.repeat(created, len(table))))
    return pa.concat_tables([schema(stream).empty_table(), *tables], promote_options="permissive").select(
        schema(stream).names
    )


def write(folder: Path, table: pa.Table, time_column: str, first: int, last: int) -> None:
    """Write the rows of the batches with commit timestamps from `first` to `last`, each to the partition of its day, or
    if it is old then, of its month or its year. `time_column` says which day that is."""
    for file in _write_days(folder, table, time_column, last, f"{first}-{last}.parquet"):
        compact(file, time_column)


def write_offsets(folder: Path, table: pa.Table, time_column: str, first: int, last: int, partition: str) -> list[Path]:
    """Write the rows of the messages with the offsets from `first` to `last` of a partition of a topic, as `write`
    does. `created` says how old they are. Returns the files, which the caller compacts once nobody writes them
    again."""
    newest = pc.max(table[CREATED].cast(pa.int64())).as_py()
    return _write_days(folder, table, time_column, newest, f"{first}-{last}.{partition}.parquet")


def remove_after(folder: Path, last: int, partition: str) -> None:
    """Remove what a job has written of a partition of a topic that begins after the offset `last`."""
    for file in folder.rglob(f"*.{partition}.parquet"):
        if _range(file)[0] > last:
            file.unlink()


def _write_days(folder: Path, table: pa.Table, time_column: str, last: int, name: str) -> list[Path]:
    days, files = _partition_days(table[time_column], last), []
    for day in pc.unique(days).to_pylist():
        partition = folder / f"year={day:%Y}" / f"month={day:%m}" / f"day={day:%d}"
        rows = table.filter(pc.equal(days, pa.scalar(day, days.type)))
        files.append(partition / name)
        _write(rows, files[-1], time_column)
    return files


def _partition_days(timestamps: pa.ChunkedArray, last: int) -> pa.ChunkedArray:
    """The day of the partition of each timestamp, in a file whose last batch was committed at `last`."""
    month, year, day = (pc.floor_temporal(timestamps, unit=unit) for unit in ("month", "year", "day"))

    def is_older(age: timedelta) -> pa.ChunkedArray:
        return pc.less(timestamps, pa.scalar(EPOCH + last * MICROSECOND - age, timestamps.type))

    return pc.if_else(is_older(BY_YEAR_AFTER), year, pc.if_else(is_older(BY_MONTH_AFTER), month, day))


def write_empty(folder: Path, table: pa.Table) -> None:
    """Write a file without rows, which shows a reader the schema."""
    _write(table, folder / "year=1970" / "month=01" / "day=01" / "0-0.parquet", CREATED)


def write_dead(folder: Path, batches: Sequence[tuple[int, bytes]]) -> None:
    """Write the dead letters of batches, each a commit timestamp and JSON lines, to one file."""
    with replacing(folder / f"{batches[0][0]}-{batches[-1][0]}.jsonl") as beside:
        beside.write_bytes(b"".join(lines for _, lines in batches))


def seal(folder: Path, stream: RawTable, hash_key: bytes) -> None:
    """Write the files again that have what is not sealed: an older version wrote them."""
    for file in sorted(folder.rglob("*.parquet")):
        sealed = table = pq.read_table(file, partitioning=None)
        for column in stream.sealed_columns:
            if (place := table.schema.get_field_index(column.name)) >= 0:
                texts = [column.seal(text, hash_key) for text in table[place].to_pylist()]
                sealed = sealed.set_column(place, table.schema[place], pa.array(texts, pa.string()))
        if sealed is not table and not sealed.equals(table):
            _write(sealed, file, stream.time)


def compact(newest: Path, time_column: str) -> None:
    """Merge the newest files of a day into one, where the day has more than `MOST_FILES` that are named as `newest` is.
    Remove the files that were merged more than `KEPT_SECONDS` ago."""
    partition = newest.parent
    kind = _kind(newest)
    nested = _nested(file for file in partition.glob(f"*.{kind}") if _kind(file) == kind)
    for merged, inner in nested.items():
        if inner and time.time() - merged.stat().st_mtime > KEPT_SECONDS:
            for file in inner:
                file.unlink(missing_ok=True)  # two merged files may overlap, as a crash leaves them
    if len(nested) <= MOST_FILES:
        return
    outer = list(nested)
    sizes = [file.stat().st_size for file in outer]
    while sizes and sizes[0] > sum(sizes[1:]):  # a large file is not written again for a few new rows
        del sizes[0], outer[0]
    if outer:
        tables = [pq.read_table(file, partitioning=None) for file in outer]
        target = partition / f"{_range(outer[0])[0]}-{_range(outer[-1])[1]}{''.join(newest.suffixes)}"
        _write(pa.concat_tables(tables, promote_options="default"), target, time_column)


def files(folder: Path) -> Iterator[Path]:
    """The files to read: each row is in one of them."""
    for partition in sorted(folder.glob("year=*/month=*/day=*")):
        yield from sorted(_nested(partition.glob("*.parquet")))


def _range(file: Path) -> tuple[int, int]:
    """The commit timestamps of the first and the last batch in a file, or the first and the last offset."""
    first, last = map(int, file.name.partition(".")[0].split("-"))
    return first, last


def _kind(file: Path) -> str:
    """What comes after the range: with it, files of one partition of a topic are named."""
    return file.name.partition(".")[2]


def _nested(parts: Iterable[Path]) -> dict[Path, list[Path]]:
    """The files whose rows lie in no other one of the same partition of a topic, in the order of their ranges, each
    with others that lie in it. A day has hundreds of files while readers may need them, so no two are compared."""
    ranged = []
    for file in parts:
        first, last = _range(file)
        ranged.append((_kind(file), first, -last, file))
    nested: dict[Path, list[Path]] = {}
    outer, of_kind, until = Path(), "", -1
    for kind, _, minus_last, file in sorted(ranged):
        if kind == of_kind and -minus_last <= until:
            nested[outer].append(file)
        else:
            nested[file], outer, of_kind, until = [], file, kind, -minus_last
    return nested


def _write(table: pa.Table, target: Path, time_column: str) -> None:
    with replacing(target) as beside:
        pq.write_table(table.sort_by([(time_column, "ascending")]), beside, compression="zstd")
