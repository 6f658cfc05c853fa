"""The contestants of `bench/stream.py` other than ours: the bare fold, and peers that run in a venv of their own.

    python bench/stream_peers.py bare|bytewax|pyflink|quix LINES FOLDER BATCH SNAPSHOT

`LINES` is a file, or the URL of a topic. `BATCH` is in lines, and `SNAPSHOT` is the seconds between two snapshots, both
for contestants that have such a thing. It leaves `values.json` in the folder: table → key → the features at the end of
the day. It prints seconds, and peak memory in MB.
"""

import json
import os
import sys
import sysconfig
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from stream_fold import (
    HOP_SECONDS,
    REACH_SECONDS,
    Entry,
    Rows,
    States,
    Work,
    add,
    codec,
    entries,
    read_states,
    values,
)
from stream_quix import quix


def bare(lines: str, folder: Path, batch: int, snapshot: int) -> Work:
    from pydantic_core import from_json

    def work() -> States:
        states: States = {table: {} for table in REACH_SECONDS}
        prefixes, locations, devices = states.values()
        with open(lines, "rb") as file:
            for line in file:
                event = from_json(line)
                second = int(datetime.fromisoformat(event["create_time"]).timestamp())
                start, is_invalid = second - second % HOP_SECONDS, event["response"] == "INVALID"
                location, device, code = event["location_code"], event["device_id"], event["coupon_code"]
                add(prefixes.setdefault(code[:-4] + location, {}), 600, start, is_invalid, "")
                add(locations.setdefault(location, {}), 300, start, is_invalid, "")
                add(devices.setdefault(device, {}), 3600, start, is_invalid, code)
        return states

    return work


def bytewax(lines: str, folder: Path, batch: int, snapshot: int) -> Work:
    import bytewax.operators as op
    import orjson
    from bytewax.connectors.files import FileSource
    from bytewax.dataflow import Dataflow
    from bytewax.operators import StatefulBatchLogic
    from bytewax.outputs import DynamicSink, StatelessSinkPartition
    from bytewax.recovery import RecoveryConfig, init_db_dir
    from bytewax.run import cli_main

    tiles_of, state_of = codec()

    class Fold(StatefulBatchLogic):
        """The tiles of a key. The bytes that go online are its snapshot, too."""

        def __init__(self, table: str, state: bytes | None) -> None:
            self.reach, self.state = REACH_SECONDS[table], state or b"{}"
            self.tiles = tiles_of(self.state)

        def on_batch(self, batch: list[Entry]) -> tuple[list[bytes], bool]:
            for start, is_invalid, code in batch:
                add(self.tiles, self.reach, start, is_invalid, code)
            self.state = state_of(self.tiles)
            return [self.state], StatefulBatchLogic.RETAIN

        def snapshot(self) -> bytes:
            return self.state

    class Partition(StatelessSinkPartition):
        def __init__(self) -> None:
            self.rows = Rows(folder)

        def write_batch(self, items: list[tuple[str, bytes]]) -> None:
            self.rows.write(items)

    class Sink(DynamicSink):
        def build(self, step_id: str, worker_index: int, worker_count: int) -> Partition:
            return Partition()

    flow = Dataflow("coupon")
    source = op.input("lines", flow, FileSource(lines, batch_size=batch))
    events = op.flat_map_batch("parse", source, lambda texts: [list(entries(orjson.loads(text))) for text in texts])
    for at, table in enumerate(REACH_SECONDS):
        keyed = op.key_on(f"key {table}", events, lambda event, at=at: "|".join(event[at][:2]))
        table_entries = op.map_value(f"entry of {table}", keyed, lambda event, at=at: event[at][2])
        states = op.stateful_batch(f"fold {table}", table_entries, lambda state, table=table: Fold(table, state))
        op.output(f"write {table}", states, Sink())
    (recovery := folder / "recovery").mkdir()
    init_db_dir(recovery, 1)
    interval, config = timedelta(seconds=snapshot), RecoveryConfig(str(recovery))
    return lambda: cli_main(flow, workers_per_process=1, epoch_interval=interval, recovery_config=config)


def pyflink(lines: str, folder: Path, batch: int, snapshot: int) -> Work:
    import orjson
    from pyflink.common import Configuration, Types, WatermarkStrategy
    from pyflink.datastream import FlatMapFunction, KeyedProcessFunction, StreamExecutionEnvironment
    from pyflink.datastream.connectors.file_system import FileSource, StreamFormat
    from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

    _, state_of = codec()

    class Fold(KeyedProcessFunction):
        """The tiles of a key. They go online a second after the first change, or at the end of the file."""

        def open(self, context: Any) -> None:
            kinds = Types.LONG(), Types.PICKLED_BYTE_ARRAY()
            self.tiles = context.get_map_state(MapStateDescriptor("tiles", *kinds))
            self.waits = context.get_state(ValueStateDescriptor("waits", Types.BOOLEAN()))

        def process_element(self, value: Any, context: Any) -> None:
            start, is_invalid, code = value[1:]
            tiles = {start: tile} if (tile := self.tiles.get(start)) else {}
            add(tiles, 0, start, is_invalid, code)
            self.tiles.put(start, tiles[start])
            if not self.waits.value():
                self.waits.update(True)
                timers = context.timer_service()
                timers.register_processing_time_timer(timers.current_processing_time() + 1000)
                timers.register_event_time_timer(2**63 - 2)  # the last watermark, which comes at the end of the file

        def on_timer(self, timestamp: int, context: Any) -> Iterator[tuple[str, bytes]]:
            if self.waits.value():
                self.waits.clear()
                key, tiles = context.get_current_key(), dict(self.tiles.items())
                oldest = max(tiles) - REACH_SECONDS[key.split("|")[0]]
                for start in [start for start in tiles if start < oldest]:
                    del tiles[start]
                    self.tiles.remove(start)
                yield key, state_of(tiles)

    class Write(FlatMapFunction):
        """Flink does not tell Python functions of checkpoints. So a batch is a thousand states, or what is left at the
        end."""

        def open(self, context: Any) -> None:
            self.rows, self.waiting = Rows(folder), dict[str, bytes]()

        def flat_map(self, value: Any) -> Iterator[Any]:
            self.waiting[value[0]] = value[1]
            if len(self.waiting) >= 1000:
                self.close()
            return iter(())

        def close(self) -> None:
            self.rows.write(self.waiting.items())
            self.waiting.clear()

    # Python in the JVM knows neither the venv nor this folder.
    os.environ["PYTHONPATH"] = os.pathsep.join([sysconfig.get_path("purelib"), str(Path(__file__).parent)])
    config = Configuration()
    for name, value in {
        "python.execution-mode": "thread", "python.executable": sys.executable, "state.backend.type": "hashmap",
        "execution.checkpointing.interval": f"{snapshot} s",
        "execution.checkpointing.dir": (folder / "checkpoints").as_uri(), "parallelism.default": "1",
        "restart-strategy.type": "none",
    }.items():  # fmt: skip
        config.set_string(name, value)
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), lines).build()
    environment = StreamExecutionEnvironment.get_execution_environment(config)
    flat = Types.TUPLE([Types.STRING(), Types.LONG(), Types.BOOLEAN(), Types.STRING()])
    (
        environment.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
        .flat_map(lambda text: [(f"{table}|{key}", *entry) for table, key, entry in entries(orjson.loads(text))], flat)
        .key_by(lambda keyed: keyed[0], Types.STRING())
        .process(Fold(), Types.TUPLE([Types.STRING(), Types.PICKLED_BYTE_ARRAY()]))
        .flat_map(Write(), Types.STRING())
    )
    return lambda: environment.execute("coupon") and None


def peak_memory() -> float:
    """Peak memory of this process and of those that it started, in MB: the sum of the peaks of each."""
    parents, peaks = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            lines = (place / "status").read_text().splitlines()
        except OSError:  # the process has ended meanwhile
            continue
        status = dict(line.split(":", 1) for line in lines)
        parents[int(place.name)] = int(status["PPid"])
        peaks[int(place.name)] = int(status.get("VmHWM", "0 kB").split()[0]) / 1024
    family = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(peaks[member] for member in family)


def main(contestant: str, lines: str, folder: str, *numbers: str) -> None:
    contestants = {"bare": bare, "bytewax": bytewax, "pyflink": pyflink, "quix": quix}
    work = contestants[contestant](lines, Path(folder), *map(int, numbers))
    began = time.perf_counter()
    states = work()
    seconds, memory = time.perf_counter() - began, peak_memory()
    states = states or read_states(Path(folder))
    features = {table: {key: values(table, tiles) for key, tiles in keys.items()} for table, keys in states.items()}
    (Path(folder) / "values.json").write_text(json.dumps(features))
    print(json.dumps([seconds, memory]))


if __name__ == "__main__":
    main(*sys.argv[1:])
