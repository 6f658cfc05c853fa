"""The numbers of the service that Prometheus reads: what requests did, counted as they end, and the state of the
system, looked up when it asks.

Several processes serve, and any of them may answer Prometheus. So each counts in files of its own in a folder that they
share, and the answer is the sum of all files. A process that takes the place of a dead one goes on with its files: no
count goes back, and the folder does not grow."""

import fcntl
import os
from bisect import bisect_left
from collections.abc import Iterable
from itertools import count
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, values
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from serving.call import Call
from serving.gauges import Gauge

CONTENT_TYPE = CONTENT_TYPE_LATEST
#: Upper bounds in seconds. A decision takes about a millisecond, and the audit log waits for a disk.
BUCKETS = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
NANOSECOND = 1e-9


class Metrics:
    """Counts of one process. `shared` is the folder that the processes of a service share, None for a process that is
    alone."""

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        values.ValueClass = values.MutexValue  # another one of this process may have shared its counts
        if shared is not None:
            slot = _claim(shared)
            values.ValueClass = values.MultiProcessValue(lambda: slot)
        self._registry = CollectorRegistry()
        self._requests = Histogram(
            "risk_request_seconds", "From the head of a request to its answer, by the rule of its path.",
            ("method", "route", "status"), buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._steps = Histogram(
            "risk_step_seconds", "Time of a step of decisions: one or a list of them.",
            ("step",), buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._decisions = Counter(
            "risk_decisions", "Decisions that were answered.", ("risk", "outcome"), registry=self._registry
        )
        self._errors = Counter("risk_errors", "Errors that were answered.", ("error",), registry=self._registry)
        self._misses = Counter(
            "risk_feature_misses", "Rows that a read of a view did not find, or found older than the view's TTL.",
            ("view", "status"), registry=self._registry,
        )  # fmt: skip
        # `labels` takes a lock and makes texts each time, so what it gave is kept.
        self._of_request: dict[tuple[str, str, int], Histogram] = {}
        self._of_step: dict[str, Histogram] = {}
        self._of_decision: dict[tuple[str, str], Counter] = {}
        self._of_miss: dict[tuple[str, str], Counter] = {}

    def answered(self, call: Call, method: str, route: str, status: int, end: int) -> None:
        """Count a request that was answered at `end`, in ns of the call's timer."""
        key = (method, route, status)
        child = self._of_request.get(key)
        if child is None:
            child = self._of_request[key] = self._requests.labels(method, route, status)
        _observe(child, (end - call.arrived) * NANOSECOND)
        for name, begin, until in call.steps:
            step = self._of_step.get(name)
            if step is None:
                step = self._of_step[name] = self._steps.labels(name)
            _observe(step, (until - begin) * NANOSECOND)
        for decided in call.decided:
            outcome = self._of_decision.get(decided)
            if outcome is None:
                outcome = self._of_decision[decided] = self._decisions.labels(*decided)
            outcome.inc()
        if call.error:
            self._errors.labels(call.error).inc()

    def missed(self, view: str, status: str, rows: int) -> None:
        """Count rows that a read of a view did not find (NOT_FOUND), or found too old (OUTSIDE_MAX_AGE)."""
        child = self._of_miss.get((view, status))
        if child is None:
            child = self._of_miss[view, status] = self._misses.labels(view, status)
        child.inc(rows)

    def text(self, gauges: Iterable[Gauge]) -> bytes:
        """Everything that all processes counted, and the gauges, in the format of Prometheus."""
        counted = self._registry
        if self._shared is not None:
            counted = CollectorRegistry()
            MultiProcessCollector(counted, str(self._shared))
        state = CollectorRegistry()
        state.register(_Families(gauges))  # type: ignore[arg-type]
        return generate_latest(counted) + generate_latest(state)


def _observe(histogram: Histogram, seconds: float) -> None:
    """As `histogram.observe`, which takes three times as long: it looks for an exemplar and goes through all bounds."""
    histogram._sum.inc(seconds)
    histogram._buckets[bisect_left(BUCKETS, seconds)].inc(1)


class _Families:
    """Gauges in the form that a registry collects."""

    def __init__(self, gauges: Iterable[Gauge]) -> None:
        self._families: dict[str, GaugeMetricFamily] = {}
        for gauge in gauges:
            family = self._families.get(gauge.name)
            if family is None:
                family = GaugeMetricFamily(gauge.name, gauge.help, labels=list(gauge.labels))
                self._families[gauge.name] = family
            family.add_metric(list(gauge.labels.values()), gauge.value)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The registry calls this."""
        return self._families.values()


def _claim(folder: Path) -> int:
    """The lowest number that no living process has. The system gives it back when the process ends, however it
    ends."""
    for slot in count():
        file = os.open(folder / f"slot-{slot}", os.O_RDWR | os.O_CREAT, 0o600)  # never closed: it holds the lock
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return slot
    raise AssertionError
