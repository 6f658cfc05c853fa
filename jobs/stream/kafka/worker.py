"""One worker of a stream job on Kafka. It runs until SIGTERM or Ctrl-C, or until all is processed."""

import platform
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any
from zlib import crc32

from confluent_kafka import KafkaError, KafkaException
from quixstreams import Application, message_context
from quixstreams.exceptions import QuixException
from quixstreams.kafka import ConnectionConfig

from errors import Busy, FeaturesNotReady, LogUnavailable, RiskError, RootBroken
from files import fault, is_file_fault, locked
from jobs.stream.kafka.checked import Checking, Dead, Sent, Valid
from jobs.stream.kafka.log import EventsSink
from jobs.stream.kafka.places import Places
from jobs.stream.kafka.progress import CatchUp, Numbers, paced
from jobs.stream.kafka.states import StatesSink, mark
from jobs.stream.kafka.topics import id_of, topics_of
from jobs.stream.status import served
from root import Root
from serving.store import Store

#: A transaction commits this long after the one before, or later (`paced`).
COMMIT_SECONDS = 0.2
#: Messages of a transaction, at most: they are kept in memory.
COMMIT_MESSAGES = 20_000
#: How long a worker that was killed keeps its partitions, and keeps the readers of its open transaction waiting.
SESSION_MS, TRANSACTION_MS = 6_000, 10_000
POLL_SECONDS = 0.05
RETRY_SECONDS, STOP_SECONDS = 1, 0.5
MOST_WORKERS = 1000
#: What the client says where no broker answers, and where one ends the connection of whoever does not sign in.
_SILENT = frozenset({KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT})
Report = Callable[[str], object]
Build = Callable[[Application], object]


@dataclass(frozen=True)
class How:
    """`report` gets lines for a person. With `once`, a worker ends when all is processed that the source had when it
    began. `metrics` is the port for Prometheus."""

    report: Report
    once: bool = False
    metrics: int | None = None


def run(root: Root, places: Places, store: Store, hash_key: bytes, how: How) -> None:
    """Work until a signal stops it. Raises as `work`."""
    checking = Checking(places, hash_key)
    numbers = Numbers(places, how.report, checking.counts)
    work(
        root,
        places,
        store,
        lambda application: _build(application, places, root, store, checking, numbers),
        numbers,
        how,
    )


def work(root: Root, places: Places, store: Store, build: Build, numbers: Numbers, how: How) -> None:
    """Work until a signal stops it. `build` says what happens to the messages. While the brokers or the online store
    cannot be reached, it begins again from the last transaction, every `RETRY_SECONDS`; with `how.once`, it raises what
    is wrong. Raises BadParameter, BadSetting, Busy; and with `how.once` FeaturesNotReady, RootBroken,
    LogUnavailable."""
    stop, reported, whole, report = Event(), "", _Whole(store, places), how.report
    with ExitStack() as stack:
        if how.metrics is not None:
            stack.enter_context(served(numbers.registry(), how.metrics))
        folder = _claimed(root, places, stack)
        report(f"{places.stream.domain}: worker {folder.name} of {places.group} reads {places.source.url}")
        while not stop.is_set():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stop.set())
            try:
                whole.begin()
                application = _application(places, folder, stop)
                build(application)
                with _watched(application, stop, whole, how.once):
                    application.run()
            except Exception as error:
                if (message := _message(error)) is None:
                    raise
                if how.once:
                    raise _known(error, message) from error
                if message != reported:
                    report(f"{places.stream.domain}: {message} The worker begins again every {RETRY_SECONDS} s.")
                    reported = message
                stop.wait(RETRY_SECONDS)
        numbers.report()


def _known(error: Exception, message: str) -> RiskError:
    if isinstance(error, RiskError):
        return error
    return RootBroken(message) if is_file_fault(error) else LogUnavailable(message)


def _message(error: Exception) -> str | None:
    """What a person reads about an error that may pass: of a broker, of the store, of a disk. None for a bug."""
    if isinstance(error, (FeaturesNotReady, LogUnavailable)):
        return error.message
    if is_file_fault(error):
        return fault(error)
    reason = error.args[0] if isinstance(error, KafkaException) and error.args else None
    if isinstance(reason, KafkaError) and reason.code() in _SILENT:
        return f"Kafka does not answer ({reason.str()}). Start it, or correct --source. To sign in, set RISK_KAFKA."
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
        """Note that they have not, where they never had. Raises BadParameter, BadSetting, FeaturesNotReady and
        KafkaException."""
        has_begun = self._catch_up.has_begun()  # before it looks for the note: who begins first has noted it by then
        self._is_whole = mark(self._store, self._tables, self._group, False, has_begun)

    def look(self) -> bool:
        """Look again, and note it. Whether they have, and it is noted."""
        if not self._catch_up.is_done():
            return False
        if not self._is_whole:
            with suppress(FeaturesNotReady):  # it is looked for again
                self._is_whole = mark(self._store, self._tables, self._group, True)
        return self._is_whole


@contextmanager
def _watched(application: Application, stop: Event, whole: _Whole, once: bool) -> Iterator[None]:
    """Inside, the application is told to stop once `stop` is set, again and again until it does. With `once`, that is
    when it is noted that all is processed that was there before."""
    ended = Event()

    def follow() -> None:
        while not ended.wait(STOP_SECONDS):
            if stop.is_set():
                application.stop()
            elif whole.look() and once:
                stop.set()

    thread = Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _application(places: Places, folder: Path, stop: Event) -> Application:
    """A transaction is named after the machine and the folder of the worker. So a worker that is started again ends the
    one of before at once, and nobody waits until it times out."""
    application = _Stoppable(
        stop,
        broker_address=ConnectionConfig.from_librdkafka_dict(places.source.client),
        consumer_group=places.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=COMMIT_SECONDS,
        commit_every=COMMIT_MESSAGES,
        state_dir=folder,
        consumer_poll_timeout=POLL_SECONDS,
        consumer_extra_config={"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": SESSION_MS // 3},
        producer_extra_config={
            "transactional.id": f"{places.group}-{platform.node()}-{crc32(bytes(folder.resolve())):08x}",
            "transaction.timeout.ms": TRANSACTION_MS,
        },
        # Else it would drop the states of keys whose rows the broker does not have any more, and go on without them.
        auto_recover_from_source_offset_out_of_range=False,
        loglevel=None,
    )
    paced(application._processing_context)  # it has no public way to change the interval
    return application


def _build(
    application: Application, places: Places, root: Root, store: Store, checking: Checking, numbers: Numbers
) -> None:
    """Say what happens to a message of each topic. Raises BadParameter, KafkaException."""
    keyed = [places.keyed_topic(tables) for tables in places.keyed]
    wanted = dict.fromkeys((places.dead_letters, *keyed), "delete")
    topics = topics_of(application, places, wanted, (places.source.name, *keyed))  # says what is wrong with the brokers
    source = application.topic(places.source.name, value_deserializer="bytes", key_deserializer="bytes")
    checked = application.dataframe(source).apply(
        lambda text, key, timestamp, _: checking.check(text, key, timestamp, *_place()), metadata=True
    )
    dead = checked.filter(lambda value: isinstance(value, Dead))
    dead.apply(lambda value: Sent(places.dead_letters, value.key, value.letter)).to_topic(
        topics[places.dead_letters], key=lambda sent: sent.key
    )
    valid = checked.filter(lambda value: isinstance(value, Valid))
    changes = valid.apply(lambda value, state: checking.remember(value, _place()[1], state), stateful=True, expand=True)
    log = EventsSink(root, places.stream.raw, id_of(places.source, places.source.name))
    changes.filter(lambda change: isinstance(change, dict)).sink(log)
    changes.filter(lambda change: isinstance(change, Sent)).to_topic(
        lambda sent, *_: topics[sent.topic], key=lambda sent: sent.key
    )
    for tables in places.keyed:
        rows = application.dataframe(topics[places.keyed_topic(tables)])
        sink = StatesSink(root, places.stream.raw, tables, store, numbers.noted)
        rows.apply(lambda value, state: (value, state), stateful=True).sink(sink)


def _place() -> tuple[int, int]:
    """The partition and the offset of the present message."""
    context = message_context()
    return context.partition, context.offset
