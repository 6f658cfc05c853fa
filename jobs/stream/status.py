"""How a stream fares: a line for a person, and the same for Prometheus."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from errors import BadParameter

COUNTERS = {
    "events": "Events taken in.",
    "late": "Events that came when no window reached them any more; the log has them.",
    "duplicates": "Events that had come before.",
    "dead_letters": "Lines that were no events; they are in dead_letters/ with the reason.",
}

GAUGES = {
    "events_per_second": "Events a second since the last line.",
    "behind_bytes": "What the source holds that was not read yet.",
    "lag_seconds": "From the service's 202 to the online store, of the newest event.",
    "watermark_seconds": "When the newest event happened, since 1970.",
}


@dataclass
class Counts:
    events: int = 0
    late: int = 0
    duplicates: int = 0
    dead_letters: int = 0


class Status:
    """`counts` are of all runs; what is told to Prometheus, of this one."""

    def __init__(self, domain: str, counts: Counts) -> None:
        self.counts = counts
        self.watermark = 0
        self._domain, self._registry = domain, CollectorRegistry()
        to: dict[str, Any] = {"labelnames": ["domain"], "registry": self._registry}
        self._counters = {n: Counter(f"stream_{n}", about, **to).labels(domain) for n, about in COUNTERS.items()}
        self._gauges = {n: Gauge(f"stream_{n}", about, **to).labels(domain) for n, about in GAUGES.items()}
        about = "From the service's 202 to the online store, of every event."
        self._visible = Histogram("stream_visible_seconds", about, **to).labels(domain)
        self._lag_seconds, self._told, self._told_at = 0.0, counts.events, 0.0

    def serve(self, port: int) -> None:
        """On this machine only. Raises BadParameter."""
        try:
            start_http_server(port, "127.0.0.1", self._registry)
        except (OSError, OverflowError) as error:
            raise BadParameter(f"Port {port} cannot be opened ({error}). Choose another for --metrics.") from error

    def add(self, more: Counts, newest: int) -> None:
        for name, counter in self._counters.items():
            counter.inc(getattr(more, name))
            setattr(self.counts, name, getattr(self.counts, name) + getattr(more, name))
        self.watermark = max(self.watermark, newest)

    def visible(self, seconds: list[float]) -> None:
        for each in seconds:
            self._visible.observe(each)
        self._lag_seconds = seconds[-1] if seconds else self._lag_seconds

    def line(self, behind: int, clock: float) -> str:
        """`clock`: any steady one, in seconds."""
        rate = (self.counts.events - self._told) / (clock - self._told_at) if self._told_at else 0.0
        self._told, self._told_at = self.counts.events, clock
        told = (rate, behind, self._lag_seconds, self.watermark / 1e6)
        for gauge, value in zip(self._gauges.values(), told, strict=True):
            gauge.set(value)
        newest = f"{datetime.fromtimestamp(self.watermark / 1e6, UTC):%Y-%m-%d %H:%M:%S}" if self.watermark else "–"
        c = self.counts
        return (
            f"{self._domain}: {rate:,.0f} events/s, lag {self._lag_seconds:.3f} s and {behind:,} bytes, "
            f"watermark {newest}, {c.events:,} events, {c.late:,} late, {c.duplicates:,} duplicate, "
            f"{c.dead_letters:,} dead-lettered"
        )
