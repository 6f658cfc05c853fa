"""The contestant `quix` of `bench/stream.py`: Quix Streams on a topic of a real broker."""

from pathlib import Path
from typing import Any

from stream_fold import REACH_SECONDS, Entry, Rows, Work, add, codec, entries


def quix(lines: str, folder: Path, batch: int, snapshot: int) -> Work:
    from confluent_kafka import TopicPartition
    from quixstreams import Application, State
    from quixstreams.sinks import BaseSink

    tiles_of, state_of = codec()

    def work() -> None:
        servers, name = lines.removeprefix("kafka://").split("/")
        application = Application(
            servers, consumer_group=name, auto_offset_reset="earliest", commit_interval=snapshot,
            state_dir=folder / "state", loglevel="WARNING",
        )  # fmt: skip

        def fold(entry: tuple[str, str, Entry], state: State) -> tuple[str, bytes]:
            table, key, event = entry
            tiles = tiles_of(state.get_bytes("tiles", b"{}"))
            add(tiles, REACH_SECONDS[table], *event)
            text = state_of(tiles)
            state.set_bytes("tiles", text)
            return f"{table}|{key}", text

        class Sink(BaseSink):
            """The newest state of each key since the last commit. After the last entry, it ends the application, which
            then commits."""

            def __init__(self, expected: int) -> None:
                super().__init__()
                self.rows, self.waiting, self.left = Rows(folder), dict[str, bytes](), expected

            def add(self, value: Any, *_: Any, **metadata: Any) -> None:
                self.waiting[value[0]] = value[1]
                self.left -= 1
                if not self.left:
                    application.stop()

            def flush(self) -> None:
                self.rows.write(self.waiting.items())
                self.waiting.clear()

        topic = application.topic(name, value_deserializer="json")
        with application.get_consumer() as consumer:
            places = [TopicPartition(name, number) for number in range(topic.broker_config.num_partitions or 0)]
            sink = Sink(len(REACH_SECONDS) * sum(consumer.get_watermark_offsets(place)[1] for place in places))
        events = application.dataframe(topic).apply(lambda event: list(entries(event)))
        for at, table in enumerate(REACH_SECONDS):
            keyed = events.apply(lambda event, at=at: event[at]).group_by(lambda entry: entry[1], name=table)
            keyed.apply(fold, stateful=True).sink(sink)
        application.run()

    return work
