"""The contenders of `bench/stream.py` that are not ours: the bare fold, and those that run in a venv of their own.

    python bench/stream_peers.py bare|bytewax|pyflink LINES FOLDER BATCH SNAPSHOT

leaves `found.json` in the folder: table → key → its values at the end of the day. Prints seconds and peak memory in MB.
`BATCH` is in lines, `SNAPSHOT` in seconds between two of them; both are for those that have such a thing.
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

from stream_fold import HOP, REACH, Rows, States, Tiles, Told, Work, stored, take, told, values


def bare(lines: Path, folder: Path, batch: int, snapshot: int) -> Work:
    from pydantic_core import from_json

    def work() -> States:
        states: States = {table: {} for table in REACH}
        prefixes, locations, devices = states.values()
        with lines.open("rb") as file:
            for line in file:
                event = from_json(line)
                second = int(datetime.fromisoformat(event["create_time"]).timestamp())
                start, bad, code = second - second % HOP, event["response"] == "INVALID", event["coupon_code"]
                location, device = event["location_code"], event["device_id"]
                take(prefixes.setdefault(code[:-4] + location, {}), 600, start, bad, "")
                take(locations.setdefault(location, {}), 300, start, bad, "")
                take(devices.setdefault(device, {}), 3600, start, bad, code)
        return states

    return work


def bytewax(lines: Path, folder: Path, batch: int, snapshot: int) -> Work:
    import bytewax.operators as op
    import orjson
    from bytewax.connectors.files import FileSource
    from bytewax.dataflow import Dataflow
    from bytewax.operators import StatefulBatchLogic
    from bytewax.outputs import DynamicSink, StatelessSinkPartition
    from bytewax.recovery import RecoveryConfig, init_db_dir
    from bytewax.run import cli_main

    class Fold(StatefulBatchLogic):
        """A key's tiles. The bytes that go online are its snapshot too."""

        def __init__(self, table: str, state: bytes | None) -> None:
            self.reach, self.state = REACH[table], state or b"{}"
            self.tiles: Tiles = {int(s): [*t[:2], *map(set, t[2:])] for s, t in orjson.loads(self.state).items()}

        def on_batch(self, batch: list[Told]) -> tuple[list[bytes], bool]:
            for start, bad, code in batch:
                take(self.tiles, self.reach, start, bad, code)
            self.state = orjson.dumps(self.tiles, default=sorted, option=orjson.OPT_NON_STR_KEYS)
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
    events = op.flat_map_batch("parse", source, lambda texts: [list(told(orjson.loads(text))) for text in texts])
    for at, table in enumerate(REACH):
        keyed = op.key_on(f"key {table}", events, lambda each, at=at: "|".join(each[at][:2]))
        of_table = op.map_value(f"of {table}", keyed, lambda each, at=at: each[at][2])
        states = op.stateful_batch(f"fold {table}", of_table, lambda state, table=table: Fold(table, state))
        op.output(f"write {table}", states, Sink())
    (recovery := folder / "recovery").mkdir()
    init_db_dir(recovery, 1)
    each, kept = timedelta(seconds=snapshot), RecoveryConfig(str(recovery))
    return lambda: cli_main(flow, workers_per_process=1, epoch_interval=each, recovery_config=kept)


def pyflink(lines: Path, folder: Path, batch: int, snapshot: int) -> Work:
    import orjson
    from pyflink.common import Configuration, Types, WatermarkStrategy
    from pyflink.datastream import FlatMapFunction, KeyedProcessFunction, StreamExecutionEnvironment
    from pyflink.datastream.connectors.file_system import FileSource, StreamFormat
    from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor

    class Fold(KeyedProcessFunction):
        """A key's tiles. They go online a second after the first change, or at the end of the file."""

        def open(self, context: Any) -> None:
            kinds = Types.LONG(), Types.PICKLED_BYTE_ARRAY()
            self.tiles = context.get_map_state(MapStateDescriptor("tiles", *kinds))
            self.waits = context.get_state(ValueStateDescriptor("waits", Types.BOOLEAN()))

        def process_element(self, value: Any, context: Any) -> None:
            start, bad, code = value[1:]
            tiles = {start: tile} if (tile := self.tiles.get(start)) else {}
            take(tiles, 0, start, bad, code)
            self.tiles.put(start, tiles[start])
            if not self.waits.value():
                self.waits.update(True)
                timers = context.timer_service()
                timers.register_processing_time_timer(timers.current_processing_time() + 1000)
                timers.register_event_time_timer(2**63 - 2)  # the last watermark comes when the file has ended

        def on_timer(self, timestamp: int, context: Any) -> Iterator[tuple[str, bytes]]:
            if self.waits.value():
                self.waits.clear()
                key, tiles = context.get_current_key(), dict(self.tiles.items())
                oldest = max(tiles) - REACH[key.split("|")[0]]
                for start in [start for start in tiles if start < oldest]:
                    del tiles[start]
                    self.tiles.remove(start)
                yield key, orjson.dumps(tiles, default=sorted, option=orjson.OPT_NON_STR_KEYS)

    class Write(FlatMapFunction):
        """Python's functions are not told of checkpoints: a batch is a thousand states, and what is left at the end."""

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

    # Python in the JVM does not know of the venv, nor of this folder.
    os.environ["PYTHONPATH"] = os.pathsep.join([sysconfig.get_path("purelib"), str(Path(__file__).parent)])
    config = Configuration()
    for name, value in {
        "python.execution-mode": "thread", "python.executable": sys.executable, "state.backend.type": "hashmap",
        "execution.checkpointing.interval": f"{snapshot} s",
        "execution.checkpointing.dir": (folder / "checkpoints").as_uri(), "parallelism.default": "1",
        "restart-strategy.type": "none",
    }.items():  # fmt: skip
        config.set_string(name, value)
    source = FileSource.for_record_stream_format(StreamFormat.text_line_format(), str(lines)).build()
    environment = StreamExecutionEnvironment.get_execution_environment(config)
    flat = Types.TUPLE([Types.STRING(), Types.LONG(), Types.BOOLEAN(), Types.STRING()])
    (
        environment.from_source(source, WatermarkStrategy.no_watermarks(), "lines")
        .flat_map(lambda text: [(f"{table}|{key}", *of) for table, key, of in told(orjson.loads(text))], flat)
        .key_by(lambda each: each[0], Types.STRING())
        .process(Fold(), Types.TUPLE([Types.STRING(), Types.PICKLED_BYTE_ARRAY()]))
        .flat_map(Write(), Types.STRING())
    )
    return lambda: environment.execute("coupon") and None


def peak() -> float:
    """Of this process and those that it has started, MB: the sum of what each had at most."""
    parents, most = {}, {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            lines = (place / "status").read_text().splitlines()
        except OSError:  # it has ended meanwhile
            continue
        status = dict(line.split(":", 1) for line in lines)
        parents[int(place.name)] = int(status["PPid"])
        most[int(place.name)] = int(status.get("VmHWM", "0 kB").split()[0]) / 1024
    family = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return sum(most[each] for each in family)


def main(way: str, lines: str, folder: str, *numbers: str) -> None:
    ways = {"bare": bare, "bytewax": bytewax, "pyflink": pyflink}
    work = ways[way](Path(lines), Path(folder), *map(int, numbers))
    began = time.perf_counter()
    states = work()
    seconds, memory = time.perf_counter() - began, peak()
    states = states or stored(Path(folder))
    found = {table: {key: values(table, tiles) for key, tiles in of.items()} for table, of in states.items()}
    (Path(folder) / "found.json").write_text(json.dumps(found))
    print(json.dumps([seconds, memory]))


if __name__ == "__main__":
    main(*sys.argv[1:])
