"""How many events a second does one core process: the embedded stream job, Quix Streams on Kafka, and Flink?

    python bench/stream_scale.py [--events 40000] [--users 2000] [--merchants 400] [--hot 0] [--commit 0.2 …]
                                 [--only embedded quix flink]

Both process the same orders of thirty days for the four live tables of `chargeback`, which have two keys. So the states
at the end are as large as in real use. `--hot 0.5` sends half of all orders to one merchant. Each contestant is one
process; printed are the seconds of processor that it took after its imports, and what a busy core does in a second.
The online store takes the states and keeps nothing, so that both do the same.

quix      a topic with four partitions, one worker, a real broker on the same machine. Its processor time is not the
          worker's. `--commit` is how often a transaction commits. Printed too: the bytes that the topics take for each
          event, without what the broker adds to a batch
flink     the same topic; Flink in one process, with a task for each core, after its first checkpoint. Its worker, which
          writes online, is a row of its own. After `make flink`; by default it is left out
embedded  the same orders as lines of a file
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "feature_repo"), str(ROOT / "stores"), str(ROOT / "tests")]

from printing import print_table  # noqa: E402

import settings  # noqa: E402
from features.domains import stream_of  # noqa: E402

STREAM = stream_of("chargeback")
DAYS, PARTITIONS, SURE = 30, 4, 3


class NoStore:
    """Takes states, and keeps nothing but their number and bytes."""

    states = bytes = 0

    def write_table(self, view: str, table: Any) -> None:
        self.write_tables({view: table})

    def write_tables(self, tables: dict[str, Any]) -> None:
        self.states += sum(map(len, tables.values()))
        self.bytes += sum(len(state) for view, table in tables.items() for state in table[view].to_pylist())

    def kept(self, view: str, names: Any, keys: list[Any]) -> list[None]:
        return [None] * len(keys)


def orders(args: argparse.Namespace) -> list[bytes]:
    dice, end = random.Random(3), datetime.now(UTC) - timedelta(minutes=1)
    lines = []
    for n in range(args.events):
        merchant = 0 if dice.random() < args.hot else dice.randrange(args.merchants)
        order = {
            "order_id": f"o{n}", "user_id": f"u{dice.randrange(args.users)}", "merchant_id": f"m{merchant}",
            "amount": round(dice.random() * 300, 2),
            "order_timestamp": (end - timedelta(days=DAYS) * (1 - n / args.events)).isoformat(),
        }  # fmt: skip
        lines.append(json.dumps(order).encode())
    return lines


def processor() -> float:
    return time.process_time()


def embedded(args: argparse.Namespace) -> None:
    """Print what the embedded job took."""
    from jobs.stream.job import StreamJob
    from jobs.stream.process import collect_rarely
    from jobs.stream.sources import open_source

    collect_rarely()
    root, store = settings.root(), NoStore()
    source = open_source(root, f"jsonl:{args.url}", "orders")
    job = StreamJob(root, STREAM, source, cast(Any, store), settings.hash_key(), lambda: datetime.now(UTC))
    job.recover()
    begun = processor()
    while job.step(final=True):
        if job.is_flush_due():
            job.flush_part()
    job.close()
    report(processor() - begun, store)


def quix(args: argparse.Namespace) -> None:
    """Work until SIGTERM, then print what the worker took."""
    from brokers import topic_of
    from jobs.stream.kafka import worker
    from jobs.stream.kafka.places import Places
    from jobs.stream.process import collect_rarely

    collect_rarely()
    worker.COMMIT_SECONDS = args.commit[0]
    store, begun, topic = NoStore(), processor(), topic_of(args.url)
    assert topic is not None
    worker.run(
        settings.root(), Places(topic, STREAM), cast(Any, store), settings.hash_key(), worker.How(lambda line: None)
    )
    report(processor() - begun, store)


def flink(args: argparse.Namespace) -> None:
    """Run Flink and its worker until SIGTERM, then print what the worker took."""
    from brokers import topic_of
    from jobs.stream.flink import sinks
    from jobs.stream.flink.places import FlinkPlaces
    from jobs.stream.kafka import worker
    from jobs.stream.process import collect_rarely

    collect_rarely()
    store, begun, topic = NoStore(), processor(), topic_of(args.url)
    assert topic is not None
    how = worker.How(lambda line: print(line, file=sys.stderr))
    sinks.run(settings.root(), FlinkPlaces(topic, STREAM), cast(Any, store), how)
    report(processor() - begun, store)


def report(seconds: float, store: NoStore) -> None:
    print(json.dumps({"seconds": seconds, "states": store.states, "bytes": store.bytes}))


def child(args: argparse.Namespace, who: str, url: str, folder: Path, commit: float = 0.2) -> subprocess.Popen[bytes]:
    command = [sys.executable, __file__, "--child", who, "--url", url, "--commit", str(commit)]
    return subprocess.Popen(command, env={**os.environ, "RISK_DATA": str(folder / who)}, stdout=subprocess.PIPE)


def row(who: str, answer: bytes, args: argparse.Namespace, topics: str = "") -> tuple[str, ...]:
    answered = json.loads(answer.splitlines()[-1])
    state = answered["bytes"] / max(1, answered["states"])
    rate = args.events / answered["seconds"]
    return who, f"{1e6 / rate:.0f} µs", f"{rate:,.0f}", f"{answered['states']:,}", f"{state:,.0f} B", topics


def has_read(servers: str, group: str, topics: list[str]) -> bool:
    """Whether a consumer group has read all messages of these topics."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "log_level": 0})
    try:
        known = consumer.list_topics(timeout=10).topics
        if not all(topic in known for topic in topics):
            return False
        places = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        ends = [consumer.get_watermark_offsets(place, 10)[1] for place in places]
        read = [place.offset for place in consumer.committed(places, 10)]
    except KafkaException:  # the coordinator of the group is not ready
        return False
    finally:
        consumer.close()
    # The end of a transaction is a message too, which nobody reads.
    return all(end == 0 or (offset >= 0 and end - offset <= 1) for end, offset in zip(ends, read, strict=True))


def on_kafka(args: argparse.Namespace, lines: list[bytes], commit: float) -> tuple[str, ...]:
    from engines.kafka import broker

    from brokers import KafkaTopic
    from jobs.stream.kafka.places import Places

    with tempfile.TemporaryDirectory() as folder, broker(Path(folder) / "kafka") as kafka:
        topic = KafkaTopic(kafka.servers, kafka.create("orders", PARTITIONS))
        places = Places(topic, STREAM)
        topics = [topic.name, *map(places.keyed_topic, places.keyed)]
        kafka.send("orders", [(json.loads(line)["order_id"].encode(), line) for line in lines])
        worker = child(args, "quix", topic.url, Path(folder), commit)
        times = 0
        while worker.poll() is None and times < SURE:  # between two topics, both may seem to be read
            time.sleep(2)
            times = times + 1 if has_read(kafka.servers, places.group, topics) else 0
        worker.terminate()
        answer, _ = worker.communicate()
        kinds = {"changelog": 0, "keyed": 0}
        for name in kafka.admin.list_topics().topics:
            kind = "changelog" if name.startswith("changelog") else "keyed" if ".by-" in name else ""
            if kind:
                kinds[kind] += sum(len(m.key()) + len(m.value() or b"") for m in kafka.messages(name))
    bytes_each = ", ".join(f"{kind} {size / args.events:,.0f}" for kind, size in kinds.items())
    return row(f"quix, commits every {commit} s", answer, args, bytes_each)


def on_flink(args: argparse.Namespace, lines: list[bytes]) -> list[tuple[str, ...]]:
    from engines.kafka import broker
    from psutil import Process

    from brokers import KafkaTopic
    from jobs.stream.flink.places import FlinkPlaces
    from jobs.stream.kafka.progress import CatchUp
    from root import Root

    with tempfile.TemporaryDirectory() as folder, broker(Path(folder) / "kafka") as kafka:
        topic = KafkaTopic(kafka.servers, kafka.create("orders", PARTITIONS))
        places = FlinkPlaces(topic, STREAM)
        worker = child(args, "flink", topic.url, Path(folder))
        checkpoints = Root(Path(folder) / "flink").kafka_states(places.group)
        while worker.poll() is None and not list(checkpoints.rglob("_metadata")):
            time.sleep(1)
        (java,) = (p for p in Process(worker.pid).children(recursive=True) if p.name() == "java")
        before, begun = sum(java.cpu_times()[:2]), time.monotonic()
        kafka.send("orders", [(json.loads(line)["order_id"].encode(), line) for line in lines])
        caught_up = CatchUp(places)
        while worker.poll() is None and not caught_up.is_done():
            time.sleep(2)
        seconds, wall = sum(java.cpu_times()[:2]) - before, time.monotonic() - begun
        worker.terminate()
        answer, _ = worker.communicate()
        size = sum(len(m.key()) + len(m.value()) for name in places.written for m in kafka.messages(name))
    figures = json.loads(answer.splitlines()[-1]) | {"seconds": seconds}
    first = row(f"flink, {wall:.0f} s", json.dumps(figures).encode(), args, f"sent {size / args.events:,.0f}")
    return [first, row("flink's worker", answer, args)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--users", type=int, default=2_000)
    parser.add_argument("--merchants", type=int, default=400)
    parser.add_argument("--hot", type=float, default=0.0)
    parser.add_argument("--commit", type=float, nargs="+", default=[0.2])
    parser.add_argument("--only", nargs="+", default=["embedded", "quix"])
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return {"embedded": embedded, "quix": quix, "flink": flink}[args.child](args)
    lines, rows = orders(args), []
    if "embedded" in args.only:
        with tempfile.TemporaryDirectory() as folder:
            (file := Path(folder) / "orders.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
            rows.append(row("embedded", child(args, "embedded", str(file), Path(folder)).communicate()[0], args))
    if "quix" in args.only:
        rows += [on_kafka(args, lines, commit) for commit in args.commit]
    if "flink" in args.only:
        rows += on_flink(args, lines)
    head = ("", "processor an event", "events/s a core", "states written", "mean state", "bytes in topics an event")
    print_table(head, rows)


if __name__ == "__main__":
    main()
