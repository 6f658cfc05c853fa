"""Workers that write what the job on Flink has sent: events to the offline log, rows of keys to the keyed log, and
states to the online store.

Quix Streams reads what Flink has committed, and commits how far it has read after both are written. After a crash it
reads a part again. The offline log knows how far it has each partition, a row counts once that lies twice in the keyed
log, and the store keeps the newer of two states.
"""

from typing import Any

from pydantic_core import from_json
from quixstreams import Application
from quixstreams.sinks import BaseSink

from features.windows.keyed import KeyedTables
from features.windows.live import state_of
from features.windows.raw import RawTable
from features.windows.state import LiveTable
from jobs.raw import keyed_log
from jobs.stream.flink.cluster import Cluster
from jobs.stream.flink.places import FlinkPlaces, row_of_message, state_of_message
from jobs.stream.kafka import worker
from jobs.stream.kafka.log import EventsSink
from jobs.stream.kafka.progress import Numbers
from jobs.stream.kafka.states import online
from jobs.stream.kafka.topics import id_of, topics_of
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


class KeyedRows(BaseSink):
    """The rows of one keyed topic since the last commit."""

    def __init__(self, root: Root, raw: RawTable, tables: KeyedTables) -> None:
        super().__init__()
        self._root, self._raw, self._tables = root, raw, tables
        self._rows: dict[int, list[keyed_log.KeyedRow]] = {}

    def add(self, value: Any, key: Any, timestamp: int, headers: Any, topic: str, partition: int, offset: int) -> None:
        """Take one row. Quix Streams calls it."""
        number, text = row_of_message(value)
        row = keyed_log.KeyedRow(offset, number, timestamp * 1000, tuple(from_json(text)))
        self._rows.setdefault(partition, []).append(row)

    def flush(self) -> None:
        """Write the rows. Raises OSError; then they are read again."""
        rows, self._rows = self._rows, {}
        for partition, of_partition in rows.items():
            keyed_log.write(self._root, self._raw, self._tables, partition, of_partition)

    def on_paused(self) -> None:
        """Forget the rows: Quix Streams gives them again."""
        self._rows = {}


def run(root: Root, places: FlinkPlaces, store: Store, how: worker.How) -> None:
    """Run the job on Flink and a worker, until a signal stops both, or the job cannot start. Raises BadSetting and as
    `worker.work`."""
    with Cluster(root, places, how.report) as cluster:
        numbers = Numbers(places, how.report)
        worker.work(
            root, places, store, lambda application: _build(application, places, root, store, cluster), numbers, how
        )


def _build(application: Application, places: FlinkPlaces, root: Root, store: Store, cluster: Cluster) -> None:
    """Say what happens to a message of each topic. The job starts once there are topics for it to write."""
    written = [places.dead_letters, places.events, *map(places.keyed_topic, places.keyed)]
    compact = dict.fromkeys(map(places.states, places.live), "compact")
    topics = topics_of(application, places, dict.fromkeys(written, "delete") | compact)
    events = topics[places.events]
    log = EventsSink(root, places.stream.raw, id_of(places.source, places.events), f"flink-{places.version}-")
    application.dataframe(events).apply(from_json).sink(log)
    for tables in places.keyed:
        keyed = application.dataframe(topics[places.keyed_topic(tables)])
        keyed.sink(KeyedRows(root, places.stream.raw, tables))
    for live in places.live:
        application.dataframe(topics[places.states(live)]).sink(NewestStates(live, store))
    cluster.start(events.broker_config.num_partitions or 1, application.stop)
