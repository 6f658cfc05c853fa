"""The state of the system as numbers, read from its files when somebody asks."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from errors import RiskError
from features.domains import risks, streams
from features.utc import EPOCH
from root import Root
from serving import health, monitoring
from serving.service import RiskService

MODEL = "The version of a risk's model that decides: 1."
POLICY = "The version of a risk's policy that decides: 1."
CHECK = "1 if a part of the system is well, 0 if it is not: what /api/health-check/ready says."
WAITING_SECONDS = "How long the oldest event has been waiting for the stream job, 0 if none waits."
WAITING_BYTES = "Bytes of the event log that the stream job has not processed."
WAITING_MESSAGES = "Messages of a partition that the workers on Kafka have not processed: the lag of their group."
MATERIALIZED = "Until when rows of a view were materialized, in seconds since 1970."
ALARMS = "Alarms of the monitor that go on."
PSI = "Population stability index of a feature or the score, in the newest window that was monitored."
KS = "Kolmogorov–Smirnov statistic of a feature or the score, in the newest window that was monitored."
MISSING = "Share of decisions without a value of the feature, in the newest window that was monitored."
KINDS = ("drift", "freshness")
FREE_BYTES = "Bytes left on the disk of the root."


@dataclass(frozen=True)
class Gauge:
    """A number as it is now. Gauges of one name have the same labels and one help text."""

    name: str
    help: str
    value: float
    labels: Mapping[str, str]


def gauges(service: RiskService, root: Root, now: datetime) -> Iterator[Gauge]:
    """Every gauge of the system."""
    for check in health.checks(service, root, now):
        yield Gauge("risk_check_ok", CHECK, check.is_ok, {"check": check.name})
    for risk in risks().values():
        with suppress(RiskError):  # what is wrong with it is a check
            version = service.scorers[risk.name].card.version
            yield Gauge("risk_model_info", MODEL, 1, {"risk": risk.name, "version": version})
    for risk in risks().values():
        with suppress(RiskError):
            version = service.policies[risk].version
            yield Gauge("risk_policy_info", POLICY, 1, {"risk": risk.name, "version": version})
    yield from _streams(service, now)
    with suppress(RiskError):
        yield from _monitored(root)
    with suppress(RiskError):
        for view, until in service.store.materialized().items():
            yield Gauge("risk_view_materialized_seconds", MATERIALIZED, (until - EPOCH).total_seconds(), {"view": view})
    with suppress(OSError):
        yield Gauge("risk_free_bytes", FREE_BYTES, shutil.disk_usage(root.path).free, {})


def _streams(service: RiskService, now: datetime) -> Iterator[Gauge]:
    for name in streams():
        with suppress(RiskError, OSError):
            waiting = service.events.waiting(name, now)
            seconds = waiting.oldest.total_seconds() if waiting.oldest else 0.0
            yield Gauge("risk_stream_waiting_seconds", WAITING_SECONDS, seconds, {"stream": name})
            if not waiting.messages:
                yield Gauge("risk_stream_waiting_bytes", WAITING_BYTES, waiting.bytes, {"stream": name})
            for (topic, partition), messages in waiting.messages.items():
                labels = {"stream": name, "topic": topic, "partition": str(partition)}
                yield Gauge("risk_stream_waiting_messages", WAITING_MESSAGES, messages, labels)


def _monitored(root: Root) -> Iterator[Gauge]:
    """What `python -m jobs monitor` found. Raises RootBroken."""
    going_on = [(alarm.risk, alarm.kind) for alarm in monitoring.alarms(root.monitor_db, only_open=True)]
    for risk in risks():
        for kind in KINDS:
            yield Gauge("risk_alarms", ALARMS, going_on.count((risk, kind)), {"risk": risk, "kind": kind})
    for window in monitoring.latest(root.monitor_db):
        for statistic in window.statistics:
            labels = {"risk": window.risk, "name": statistic.name}
            yield Gauge("risk_drift_psi", PSI, statistic.psi, labels)
            yield Gauge("risk_drift_ks", KS, statistic.ks, labels)
            yield Gauge("risk_missing_share", MISSING, statistic.missing, labels)
