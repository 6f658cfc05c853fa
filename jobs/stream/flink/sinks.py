"""Workers that write what the job on Flink has sent: events to the offline log, states to the online store.

Quix Streams reads what Flink has committed, and commits how far it has read after both are written. After a crash it
reads a part again. The log knows how far it has each partition, and the store keeps the newer of two states.
"""

from typing import Any

from pydantic_core import from_json
from quixstreams import Application
from quixstreams.sinks import BaseSink

from features.windows.live import state_of
from features.windows.state import LiveTable
from jobs.stream.flink.cluster import Cluster
from jobs.stream.flink.places import FlinkPlaces, state_of_message
from jobs.stream.kafka import worker
from jobs.stream.kafka.log import EventsSink
from jobs.stream.kafka.states import online
from jobs.stream.kafka.topics import topics_of
from jobs.stream.state import StateRow
from root import Root
from serving.store import Store


class NewestStates(BaseSink):
    """The newest state of each key of a table since the last commit."""

    def __init__(self, live: LiveTable, store: Store) -> None:
        super().__init__()
        self._live, self._store = live, store
        #: Key → its state, and when it was created, µs since 1970.
        self._states: dict[bytes, tuple[StateRow, int]] = {}

    def add(self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int) -> None:
        """Take one state. Quix Streams calls it."""
        newest, version, created, state = state_of_message(value)
        self._states[key] = (key, state, newest, version), created

    def flush(self) -> None:
        """Write the states online. Raises FeaturesNotReady; then they are read again."""
        if self._states:
            states, created = zip(*self._states.values(), strict=True)
            self._states = {}
            self._store.write_table(state_of(self._live.table), online(self._live, states, created))

    def on_paused(self) -> None:
        """Forget the states: Quix Streams gives them again."""
        self._states = {}


def run(root: Root, places: FlinkPlaces, store: Store, report: worker.Report) -> None:
    """Run the job on Flink and a worker, until a signal stops both. Raises BadSetting, Busy."""
    with Cluster(root, places, report) as cluster:
        worker.work(root, places, store, lambda application: _build(application, places, root, store, cluster), report)


def _build(application: Application, places: FlinkPlaces, root: Root, store: Store, cluster: Cluster) -> None:
    """Say what happens to a message of each topic. The job starts once there are topics for it to write."""
    topic = topics_of(application, places)
    topic(places.dead_letters)
    events = topic(places.events)
    log = EventsSink(root, places.stream.raw, f"flink-{places.version}-")
    application.dataframe(events).apply(from_json).sink(log)
    for live in places.live:
        application.dataframe(topic(places.states(live), "compact")).sink(NewestStates(live, store))
    cluster.start(events.broker_config.num_partitions or 1)
