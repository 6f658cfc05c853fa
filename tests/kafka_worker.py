"""A worker of a small stream, on Kafka, as a process: `kafka_worker.py URL SINK`."""

import sys
from typing import cast

from stream_world import HOUR, PAIRS, PEOPLE, PLACES, RAW, Sink

import settings
from brokers import topic_of
from features.domains import Stream
from features.windows import Aggregation, AggregationTable
from jobs.stream.kafka import worker
from jobs.stream.kafka.places import Places
from serving.store import Store

#: It has the key of another table, and most events mean nothing to it.
OUTCOMES = AggregationTable("outcomes", RAW, "who", (Aggregation("n_2h", "count", None, 2 * HOUR),), time="outcome")
STREAM = Stream("small", RAW, (PEOPLE, PAIRS, PLACES, OUTCOMES))


def main(url: str, sink: str) -> None:
    topic = topic_of(url)
    assert topic is not None
    store = cast(Store, Sink(sink))
    how = worker.How(lambda line: print(line, flush=True))
    worker.run(settings.root(), Places(topic, STREAM), store, settings.hash_key(), how)


if __name__ == "__main__":
    main(*sys.argv[1:])
