"""`python -m jobs stream`: stream jobs in this process, a thread for each domain, until SIGTERM or Ctrl-C."""

import gc
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.util import find_spec
from threading import Event

import settings
from brokers import FORM, INSTALL, KafkaTopic, topic_of
from errors import BadParameter, BadSetting, RiskError, RootBroken
from features.domains import Stream, stream_of, streams
from files import fault, is_file_fault
from jobs.stream import loop
from jobs.stream.sources import Source, open_source
from root import Root
from serving import acts
from serving.store import Store

#: A batch makes hundreds of thousands of small containers, and no cycles. With Python's own thresholds the garbage
#: collector looks through them for a fifth of the job's time.
GC_THRESHOLDS = (500_000, 20, 20)


def collect_rarely() -> None:
    """Set the garbage collector of this process for a stream job. Only a process that does nothing else may call it."""
    gc.set_threshold(*GC_THRESHOLDS)


def run(root: Root, domain: str, source: str, once: bool, metrics: int | None, engine: str = "quix") -> None:
    """Run the stream job of a domain, or of `all`, until all have ended. A signal stops them. An error of one ends only
    that one: it is printed at once, and raised at the end. Raises BadParameter, Busy, BadInput, RootBroken."""
    wanted = list(streams().values()) if domain == "all" else [stream_of(domain)]
    if not wanted:
        return _print("No domain declares a stream, so there is nothing to do.")
    if len(wanted) > 1 and (source != "log" or metrics is not None):
        raise BadParameter("--source and --metrics are for one domain. Name it instead of all.")
    if topic := topic_of(source, settings.kafka()):
        return run_worker(root, wanted[0], topic, engine, once, metrics)
    if engine != "quix":
        raise BadParameter(f"--engine {engine} reads a topic. Name it: --source {FORM}")
    sources = [open_source(root, source, stream.raw.name) for stream in wanted]
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    # What a power cut takes, the job finds out and writes again: see `jobs/stream/online/`.
    store, hash_key = _prepared(root, wanted, waits_for_disk=False)

    spans = None
    if settings.sends_traces():
        from telemetry.spans import Spans

        spans = Spans("risk-stream")

    def work(stream: Stream, source: Source) -> None:
        try:
            loop.run(root, stream, source, store, hash_key, once, stop, _print, metrics, spans=spans)
        except Exception as error:
            known = RootBroken(fault(error)) if is_file_fault(error) else error
            if not isinstance(known, RiskError):
                stop.set()  # a bug: the process ends, and whoever started it notices
                raise
            if len(wanted) > 1:
                _print(
                    f"{stream.domain}: {known.name}: {known.message.rstrip('.')}. It has ended; other streams go on."
                )
            raise known from error

    with ThreadPoolExecutor(len(wanted)) as pool:
        jobs = [pool.submit(work, stream, source) for stream, source in zip(wanted, sources, strict=True)]
    for job in jobs:
        job.result()


def run_worker(
    root: Root, stream: Stream, topic: KafkaTopic, engine: str, once: bool = False, metrics: int | None = None
) -> None:
    """Run a worker of the stream job that reads a topic, until a signal stops it. Raises BadParameter, BadSetting,
    Busy; and with `once` what else is wrong."""
    if find_spec("quixstreams") is None:
        raise BadSetting(f"A source of Kafka needs quixstreams, which is not installed. {INSTALL}")
    store, hash_key = _prepared(root, [stream])
    from jobs.stream.kafka import worker
    from jobs.stream.kafka.places import Places

    how = worker.How(_print, once, metrics)
    if engine == "flink":
        from jobs.stream.flink import sinks
        from jobs.stream.flink.places import FlinkPlaces

        return sinks.run(root, FlinkPlaces(topic, stream), store, how)
    worker.run(root, Places(topic, stream), store, hash_key, how)


def _prepared(root: Root, streams: list[Stream], waits_for_disk: bool = True) -> tuple[Store, bytes]:
    """The online store and the hash key of a process that does nothing but this."""
    from serving.retrieval import FeastStore  # importing Feast takes seconds, and the checks before do without

    store = FeastStore(settings.FEATURE_REPO, settings.feature_store(), waits_for_disk=waits_for_disk)
    hash_key = settings.hash_key()
    if any(stream.raw.sealed_columns for stream in streams):
        acts.claim_hash_key(root, hash_key, acts.operator(datetime.now(UTC)))
    collect_rarely()
    return store, hash_key


def _print(line: str) -> None:
    print(f"{line}\n", end="", file=sys.stderr, flush=True)  # in one piece: another thread may print at the same time
