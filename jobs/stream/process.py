"""`python -m jobs stream`: stream jobs in this process, a thread for each domain, until SIGTERM or Ctrl-C."""

import signal
import sys
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from threading import Event

import settings
from errors import BadParameter
from features.domains import Stream, stream_of, streams
from jobs.stream import loop
from jobs.stream.sources import opened
from root import Root


def run(root: Root, domain: str, source: str, once: bool, metrics: int | None) -> None:
    """`domain` may be `all`. Raises BadParameter, Busy."""
    wanted = list(streams().values()) if domain == "all" else [stream_of(domain)]
    if not wanted:
        return _tell("No domain declares a stream, so there is nothing to do.")
    if len(wanted) > 1 and (source != "log" or metrics is not None):
        raise BadParameter("--source and --metrics are for one domain. Name it instead of all.")
    sources = [opened(root, source, stream.raw.name) for stream in wanted]
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    from serving.retrieval import FeastStore  # importing Feast takes seconds, and a wrong name needs none

    store = FeastStore(settings.FEATURE_REPO)

    def work(job: tuple[Stream, object]) -> None:
        stream, source = job
        loop.run(root, stream, source, store, once, stop, _tell, metrics)  # type: ignore[arg-type]

    with ThreadPoolExecutor(len(wanted)) as pool:
        running = [pool.submit(work, job) for job in zip(wanted, sources, strict=True)]
        wait(running, return_when=FIRST_EXCEPTION)
        if any(job.done() and job.exception() for job in running):
            stop.set()  # one that fails stops the others: whoever started them sees it
    for job in running:
        job.result()


def _tell(text: str) -> None:
    print(f"{text}\n", end="", file=sys.stderr, flush=True)  # in one piece: another thread may print, too
