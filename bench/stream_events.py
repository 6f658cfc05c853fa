"""What the contestants of `bench/stream.py` read: the events of a day as a file of JSON lines, and as a topic of a real
broker, which `tests/engines/kafka.py` starts."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from coupon_machines import DEVICES, LOCATIONS, prefix

if TYPE_CHECKING:  # it imports the client of Kafka, which only a run on Kafka needs
    from engines.kafka import Broker

DAY_SECONDS = 86_400
#: Fewer messages than a producer has room for.
SENT_TOGETHER = 50_000


def make_lines(file: Path, events: int, keys: int, hot: float) -> None:
    """Write the events of a day. They are in order but for some seconds. A share `hot` of them has one prefix and one
    device."""
    rng = np.random.default_rng(7)
    second = np.sort(rng.random(events) * DAY_SECONDS)
    second = np.clip(second + rng.uniform(-3, 3, events), 0, DAY_SECONDS - 1e-3)
    drawn = (rng.integers(0, keys // LOCATIONS, events), rng.integers(0, DEVICES, events),
             rng.integers(0, 10_000, events), rng.random(events) < 0.05)  # fmt: skip
    is_hot = rng.random(events) < hot
    drawn[0][is_hot] = drawn[1][is_hot] = 0
    with file.open("w") as lines:
        columns = zip((second * 1e6).astype(int).tolist(), *(column.tolist() for column in drawn), strict=True)
        for n, (timestamp, prefix_number, device, number, is_invalid) in enumerate(columns):
            at, micros = divmod(timestamp, 1_000_000)
            lines.write(
                f'{{"msg_id":"m{n:09d}","msg_type":"REDEEM","device_id":"d{device:03d}",'
                f'"location_code":"L{device // 10:02d}","coupon_code":"{prefix(prefix_number)}{number:04d}",'
                f'"response":"{"INVALID" if is_invalid else "VALID"}","create_time":'
                f'"2026-01-30T{at // 3600:02d}:{at // 60 % 60:02d}:{at % 60:02d}.{micros:06d}Z"}}\n'
            )


@contextmanager
def topic_of_lines(kafka: "Broker", name: str, lines: Path, partitions: int) -> Iterator[str]:
    """The URL of a topic of the lines, by their ids. At the end it is deleted, and all that was made of it."""
    kafka.create(name, partitions)
    with lines.open("rb") as file:
        while part := list(islice(file, SENT_TOGETHER)):
            kafka.send(name, [(json.loads(line)["msg_id"].encode(), line) for line in part])
    yield f"kafka://{kafka.servers}/{name}"
    topics = [topic for topic in kafka.admin.list_topics().topics if not topic.startswith("__")]
    for deleted in kafka.admin.delete_topics(topics).values():
        deleted.result()
