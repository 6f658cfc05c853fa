"""One worker of a stream job on Kafka. It runs until SIGTERM or Ctrl-C."""

import platform
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from confluent_kafka import KafkaException
from quixstreams import Application, message_context
from quixstreams.exceptions import QuixException

from errors import Busy, FeaturesNotReady
from files import fault, is_file_fault, locked
from jobs.stream.kafka.checked import Checking, Dead, Sent, Valid
from jobs.stream.kafka.log import EventsSink
from jobs.stream.kafka.places import Places
from jobs.stream.kafka.progress import CatchUp
from jobs.stream.kafka.states import StatesSink, mark
from jobs.stream.kafka.topics import topics_of
from jobs.stream.status import Counts
from root import Root
from serving.store import Store

#: A transaction commits this often. An event passes two topics, so it is online after two of these at the latest.
COMMIT_SECONDS = 0.2
#: Messages of a transaction, at most: they are kept in memory.
COMMIT_MESSAGES = 20_000
#: How long a worker that was killed keeps its partitions, and keeps the readers of its open transaction waiting.
SESSION_MS, TRANSACTION_MS = 6_000, 10_000
POLL_SECONDS = 0.05
RETRY_SECONDS, STOP_SECONDS = 1, 0.5
STATUS_SECONDS = 10
MOST_WORKERS = 1000
Report = Callable[[str], object]
Build = Callable[[Application], object]


def run(root: Root, places: Places, store: Store, hash_key: bytes, report: Report) -> None:
    """Work until a signal stops it. Raises BadParameter, Busy."""
    work(root, places, store, lambda application: _build(application, places, root, store, hash_key, report), report)


def work(root: Root, places: Places, store: Store, build: Build, report: Report) -> None:
    """Work until a signal stops it. `build` says what happens to the messages. While the brokers or the online store
    cannot be reached, it begins again from the last transaction, every `RETRY_SECONDS`. Raises BadParameter, Busy."""
    stop, reported, whole = Event(), "", _Whole(store, places)
    with ExitStack() as stack:
        folder = _claimed(root, places, stack)
        report(f"{places.stream.domain}: worker {folder.name} of {places.group} reads {places.source.url}")
        while not stop.is_set():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            try:
                whole.begin()
                application = _application(places, folder, stop)
                build(application)
                with _watched(application, stop, whole):
                    application.run()
            except Exception as error:
                if (message := _message(error)) is None:
                    raise
                if message != reported:
                    report(f"{places.stream.domain}: {message} The worker begins again every {RETRY_SECONDS} s.")
                    reported = message
                stop.wait(RETRY_SECONDS)


def _message(error: Exception) -> str | None:
    """What a person reads about an error that may pass: of a broker, of the store, of a disk. None for a bug."""
    if isinstance(error, FeaturesNotReady):
        return error.message
    if is_file_fault(error):
        return fault(error)
    return f"{type(error).__name__}: {error}." if isinstance(error, (KafkaException, QuixException)) else None


def _claimed(root: Root, places: Places, stack: ExitStack) -> Path:
    """The folder of the first worker that no process of this machine is. A worker that is started again takes the
    place of the one before, and has its states. `stack` holds it. Raises Busy."""
    busy = Busy(f"{MOST_WORKERS:,} workers of {places.group} are at work on {root}. Stop one first.")
    for number in range(MOST_WORKERS):
        folder = root.kafka_states(places.group) / str(number)
        try:
            stack.enter_context(locked(folder.with_suffix(".lock"), busy))
        except Busy:
            continue
        return folder
    raise busy


class _Stoppable(Application):
    """An application that notes that it was told to stop. Quix Streams forgets a signal that comes before its loop."""

    def __init__(self, wanted: Event, **options: Any) -> None:
        super().__init__(**options)
        self._wanted = wanted

    def stop(self, fail: bool = False) -> None:
        """As in Quix Streams, which calls it on a signal, and with `fail` after an error."""
        if not fail:
            self._wanted.set()
        super().stop(fail)


class _Whole:
    """Notes in the online store when the workers have processed what was there before them."""

    def __init__(self, store: Store, places: Places) -> None:
        self._store, self._group, self._catch_up = store, places.group, CatchUp(places)
        self._tables = places.live
        self._is_whole = False

    def begin(self) -> None:
        """Note that they have not, where they never had. Raises FeaturesNotReady."""
        self._is_whole = mark(self._store, self._tables, self._group, False)

    def look(self) -> None:
        """Look again, and note it."""
        if not self._is_whole and self._catch_up.is_done():
            with suppress(FeaturesNotReady):  # it is looked for again
                self._is_whole = mark(self._store, self._tables, self._group, True)


@contextmanager
def _watched(application: Application, stop: Event, whole: _Whole) -> Iterator[None]:
    """Inside, the application is told to stop once `stop` is set, again and again until it does; and what is whole is
    noted."""
    ended = Event()

    def follow() -> None:
        while not ended.wait(STOP_SECONDS):
            if stop.is_set():
                application.stop()
            else:
                whole.look()

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _application(places: Places, folder: Path, stop: Event) -> Application:
    """A transaction is named after the worker. So a worker that is started again ends the one of before at once, and
    nobody waits until it times out."""
    return _Stoppable(
        stop,
        broker_address=places.source.servers,
        consumer_group=places.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_SECONDS,
        commit_every=COMMIT_MESSAGES,
        state_dir=folder,
        consumer_poll_timeout=POLL_SECONDS,
        consumer_extra_config={"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": SESSION_MS // 3},
        producer_extra_config={
            "transactional.id": f"{places.group}-{platform.node()}-{folder.name}",
            "transaction.timeout.ms": TRANSACTION_MS,
        },
        # Else it would drop the states of keys whose rows the broker does not have any more, and go on without them.
        auto_recover_from_source_offset_out_of_range=False,
        loglevel=None,
    )


def _build(
    application: Application,
    places: Places,
    root: Root,
    store: Store,
    hash_key: bytes,
    report: Report,
) -> None:
    """Say what happens to a message of each topic. Raises BadParameter, KafkaException."""
    source = application.topic(places.source.name, value_deserializer="bytes", key_deserializer="bytes")
    topic = topics_of(application, places)
    checking = Checking(places, hash_key)
    noted = _reporting(checking.counts, places.stream.domain, report)
    topics = {name: topic(name) for name in (places.dead_letters, *map(places.keyed_topic, places.keyed))}
    checked = application.dataframe(source).apply(
        lambda text, key, timestamp, _: checking.check(text, key, timestamp, *_place()), metadata=True
    )
    dead = checked.filter(lambda value: isinstance(value, Dead))
    dead.apply(lambda value, key, *_: Sent(places.dead_letters, key, value.letter), metadata=True).to_topic(
        topics[places.dead_letters], key=lambda sent: sent.key
    )
    valid = checked.filter(lambda value: isinstance(value, Valid))
    changes = valid.apply(lambda value, state: checking.remember(value, _place()[1], state), stateful=True, expand=True)
    changes.filter(lambda change: isinstance(change, dict)).sink(EventsSink(root, places.stream.raw))
    changes.filter(lambda change: isinstance(change, Sent)).to_topic(
        lambda sent, *_: topics[sent.topic], key=lambda sent: sent.key
    )
    for tables in places.keyed:
        rows = application.dataframe(topics[places.keyed_topic(tables)])
        sink = StatesSink(root, places.stream.raw, tables, store, noted)
        rows.apply(lambda value, state: (value, state), stateful=True).sink(sink)


def _reporting(counts: Counts, domain: str, report: Report) -> Callable[[int], None]:
    """A function that counts late entries, and reports all counts now and then while they change."""
    reported, last = time.monotonic(), ""

    def noted(late: int) -> None:
        nonlocal reported, last
        counts.late += late
        line = (
            f"{domain}: {counts.events:,} events, {counts.late:,} late, {counts.duplicates:,} duplicate, "
            f"{counts.dead_letters:,} dead-lettered by this worker"
        )
        if time.monotonic() - reported > STATUS_SECONDS and line != last:
            reported, last = time.monotonic(), line
            report(line)

    return noted


def _place() -> tuple[int, int]:
    """The partition and the offset of the present message."""
    context = message_context()
    return context.partition, context.offset
