"""The two steps as functions of Flink, which gives each the rows of one key, and what it keeps of that key."""

import time
from collections.abc import Iterator
from datetime import timedelta

from pydantic_core import to_json
from pyflink.common import Row, Types
from pyflink.datastream import KeyedProcessFunction, RuntimeContext
from pyflink.datastream.state import MapState, MapStateDescriptor

import settings
from brokers import KafkaTopic
from features.domains import stream_of
from jobs.stream.flink.places import FlinkPlaces, row_message, state_message
from jobs.stream.kafka.checked import Checking, Dead, Sent
from jobs.stream.kafka.folded import folded

#: Topic, key and value of a message. For rows on their way to `Fold`, the topic says which tables they are for.
BYTES = Types.PRIMITIVE_ARRAY(Types.BYTE())
MESSAGE = Types.ROW_NAMED(["topic", "key", "value"], [Types.STRING(), BYTES, BYTES])
_UNTIL = "until"
_ROWS = " rows"  # no table has such a name


class _State:
    """What Flink keeps of the present key, as `jobs.stream.kafka.folded.State`."""

    def __init__(self, kept: MapState) -> None:
        self._kept = kept
        self.context: KeyedProcessFunction.Context | None = None  # of the present row

    def get_bytes(self, key: str) -> bytes | None:
        """What is kept under a name."""
        return self._kept.get(key)

    def set_bytes(self, key: str, value: bytes, ttl: timedelta | None = None) -> None:
        """With `ttl`, all of the key is kept for that long in the time of the topic. In the time of this machine, a job
        that has not run for days would forget too much."""
        self._kept.put(key, value)
        if ttl is not None and self.context is not None:
            until = self.context.timestamp() + ttl // timedelta(milliseconds=1)
            self._kept.put(_UNTIL, b"%d" % until)
            self.context.timer_service().register_event_time_timer(until)

    def delete(self, key: str) -> None:
        """Keep it no more."""
        self._kept.remove(key)

    def forget(self, timestamp: int) -> None:
        """Keep nothing of the key, if it need not be kept until after `timestamp`, in ms."""
        if int(self._kept.get(_UNTIL) or 0) <= timestamp:
            self._kept.clear()


class _Step(KeyedProcessFunction):
    """Flink sends it to its workers as `source` and `domain` alone."""

    def __init__(self, source: KafkaTopic, domain: str) -> None:
        self._source, self._domain = source, domain

    def open(self, context: RuntimeContext) -> None:
        """Begin. Flink calls it."""
        self._places = FlinkPlaces(self._source, stream_of(self._domain))
        descriptor = MapStateDescriptor("kept", Types.STRING(), Types.PICKLED_BYTE_ARRAY())
        self._state = _State(context.get_map_state(descriptor))


class Remember(_Step):
    """Partition, offset, key and value of a message → messages."""

    def open(self, context: RuntimeContext) -> None:
        """Begin. Flink calls it."""
        super().open(context)
        self._checking = Checking(self._places, settings.hash_key())

    def process_element(self, value: Row, context: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Process a row. Flink calls it."""
        key, text, partition, offset = value[:4]
        checked = self._checking.check(text, key, context.timestamp(), partition, offset)
        if isinstance(checked, Dead):
            yield Row(self._places.dead_letters, checked.key, checked.letter)
            return
        self._state.context = context
        for change in self._checking.remember(checked, offset, self._state):
            yield Row(*change) if isinstance(change, Sent) else Row(self._places.events, key, to_json(change))

    def on_timer(self, timestamp: int, context: KeyedProcessFunction.OnTimerContext) -> None:
        """A key may be forgotten. Flink calls it."""
        self._state.forget(timestamp)


class Fold(_Step):
    """A row for the tables of one key → the same with its number, and the states of those tables that it changes. Flink
    tells nobody at which offset a message lies that it has sent. So the rows of a key are numbered: the number is part
    of the same checkpoint, so it grows, and a row that is processed again has the same."""

    def open(self, context: RuntimeContext) -> None:
        """Begin. Flink calls it."""
        super().open(context)
        self._tables = {self._places.keyed_topic(tables): tables for tables in self._places.keyed}

    def process_element(self, value: Row, context: KeyedProcessFunction.Context) -> Iterator[Row]:
        """Process a row. Flink calls it."""
        topic, key, text = value
        number = int(self._state.get_bytes(_ROWS) or 0)
        self._state.set_bytes(_ROWS, b"%d" % (number + 1))
        yield Row(topic, key, row_message(number, text))
        for live in self._tables[topic].live:
            if changes := folded(live, self._state, [(number, _now(), text)]):
                kept, created, state = changes
                yield Row(self._places.states(live), key, state_message(kept.state.newest, number, created, state))


def _now() -> int:
    return time.time_ns() // 1000
