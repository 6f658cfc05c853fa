"""The files of the offline log that workers on Kafka write: each partition of a topic has offsets of its own."""

from pathlib import Path

import hypothesis.strategies as st
import pyarrow.parquet as pq
from hypothesis import given
from stream_world import BEGIN, RAW

from features.utc import since_1970
from jobs.raw import offline_log

ROWS = [{**dict.fromkeys(offline_log.schema(RAW).names), "at": since_1970(BEGIN)}]


def test_the_files_of_two_partitions_of_a_topic_do_not_hide_each_other(tmp_path: Path) -> None:
    """What a worker wrote that died before it noted it is removed."""
    folder = tmp_path / "log"
    for first, last, partition in ((0, 9, 0), (2, 3, 1), (10, 12, 1)):
        table = offline_log.dated(RAW, ROWS, [since_1970(BEGIN)])
        (file,) = offline_log.write_offsets(folder, table, RAW.time, first, last, partition)
        offline_log.compact(file, RAW.time)
    assert [file.name for file in offline_log.files(folder)] == ["0-9.0.parquet", "10-12.1.parquet", "2-3.1.parquet"]
    offline_log.remove_after(folder, 9, 1)
    assert [file.name for file in offline_log.files(folder)] == ["0-9.0.parquet", "2-3.1.parquet"]


@given(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 6), st.sampled_from(["", "0.", "1.", "flink-0."]))))
def test_a_file_is_read_unless_another_one_has_all_its_rows(ranges: set[tuple[int, int, str]]) -> None:
    names = {f"{first}-{first + more}.{kind}parquet": (first, first + more, kind) for first, more, kind in ranges}
    outer = {
        name
        for name, (first, last, kind) in names.items()
        if not any(
            other != name and other_kind == kind and other_first <= first and last <= other_last
            for other, (other_first, other_last, other_kind) in names.items()
        )
    }
    nested = offline_log._nested(map(Path, names))
    assert {file.name for file in nested} == outer
    assert sorted(file.name for inner in nested.values() for file in inner) == sorted(names.keys() - outer)


def test_many_files_of_a_partition_of_a_topic_become_one(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    for n in range(30):
        for partition in (0, 1):
            table = offline_log.dated(RAW, ROWS, [since_1970(BEGIN)])
            (file,) = offline_log.write_offsets(folder, table, RAW.time, n, n, partition)
            offline_log.compact(file, RAW.time)
    current = list(offline_log.files(folder))
    assert len(current) <= 2 * offline_log.MOST_FILES
    assert sum(len(pq.read_table(file, partitioning=None)) for file in current) == 60
