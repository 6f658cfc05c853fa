"""How a stream job is doing: a line for a person, and the same numbers for Prometheus."""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from errors import BadParameter

COUNTERS = {
    "events": "Events processed.",
    "late": "Events received after the last window that they belong to. They are in the offline log.",
    "duplicates": "Events that were already processed.",
    "dead_letters": "Lines that are no valid events. They are in dead_letters/ with the reason.",
}

GAUGES = {
    "events_per_second": "Events a second since the last status line.",
    "behind_bytes": "Bytes of the source that are not read yet.",
    "lag_seconds": "From the service's 202 to the online store, of the newest event.",
    "watermark_seconds": "Timestamp of the newest event, in seconds since 1970.",
}


@dataclass
class Counts:
    """How many lines became events, and how many did not."""

    events: int = 0
    late: int = 0
    duplicates: int = 0
    dead_letters: int = 0


@contextmanager
def served(registry: CollectorRegistry, port: int) -> Iterator[None]:
    """Inside, Prometheus is served on a port of this machine, in a thread. Raises BadParameter."""
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except (OSError, OverflowError) as error:
        raise BadParameter(f"Port {port} cannot be opened ({error}). Choose another for --metrics.") from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Status:
    """`counts` are of all runs of the domain's job, `watermark` is the newest event's timestamp in µs since 1970.
    Prometheus gets the counts of this run."""

    def __init__(self, domain: str, counts: Counts) -> None:
        self.counts = counts
        self.watermark = 0
        self._domain, self._registry = domain, CollectorRegistry()
        options: dict[str, Any] = {"labelnames": ["domain"], "registry": self._registry}
        self._counters = {n: Counter(f"stream_{n}", text, **options).labels(domain) for n, text in COUNTERS.items()}
        self._gauges = {n: Gauge(f"stream_{n}", text, **options).labels(domain) for n, text in GAUGES.items()}
        text = "From the service's 202 to the online store, of every event."
        self._visible = Histogram("stream_visible_seconds", text, **options).labels(domain)
        self._lag_seconds = 0.0
        #: Of the last batch: when it was committed, on the steady clock in ns, and how long before it was online the
        #: service accepted its oldest event.
        self.committed_ns, self.oldest_seconds = 0, 0.0
        #: Of the last status line: events by then, and the clock. Without one yet, the clock is 0.
        self._last_events, self._last_clock = counts.events, 0.0

    def served(self, port: int) -> AbstractContextManager[None]:
        """As the function `served`, of these numbers."""
        return served(self._registry, port)

    def add(self, more: Counts, newest: int) -> None:
        """Add a batch: its counts, and the newest timestamp in it, in µs since 1970."""
        for name, counter in self._counters.items():
            counter.inc(getattr(more, name))
            setattr(self.counts, name, getattr(self.counts, name) + getattr(more, name))
        self.watermark = max(self.watermark, newest)

    def committed(self) -> None:
        """Note that a batch is committed, and not online yet."""
        self.committed_ns = time.perf_counter_ns()

    def visible(self, seconds: list[float]) -> None:
        """Note how long after the service accepted them events went online, in the order of their receipt."""
        for delay in seconds:
            self._visible.observe(delay)
        self._lag_seconds = seconds[-1] if seconds else self._lag_seconds
        self.oldest_seconds = max(seconds, default=0.0)

    def line(self, behind: int, clock: float) -> str:
        """The status line. `behind` is in bytes; `clock` is any steady clock, in seconds."""
        rate = (self.counts.events - self._last_events) / (clock - self._last_clock) if self._last_clock else 0.0
        self._last_events, self._last_clock = self.counts.events, clock
        values = (rate, behind, self._lag_seconds, self.watermark / 1e6)
        for gauge, value in zip(self._gauges.values(), values, strict=True):
            gauge.set(value)
        newest = f"{datetime.fromtimestamp(self.watermark / 1e6, UTC):%Y-%m-%d %H:%M:%S}" if self.watermark else "–"
        c = self.counts
        return (
            f"{self._domain}: {rate:,.0f} events/s, lag {self._lag_seconds:.3f} s and {behind:,} bytes, "
            f"watermark {newest}, {c.events:,} events, {c.late:,} late, {c.duplicates:,} duplicate, "
            f"{c.dead_letters:,} dead-lettered"
        )
