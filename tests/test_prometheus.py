"""A real Prometheus reads a real service of two processes: what the dashboard and the alarms ask for is there."""

import json
import os
import re
import signal
import sqlite3
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from fake import unlogged
from processes import WAIT_SECONDS, Child, wait_until
from production import own_key_root, production
from prometheus import DEPLOY, Prometheus, reading
from servers import answering

import settings
from access import keys
from serving import monitoring

pytestmark = pytest.mark.slow

DRIVER = "/daily-risk-decision/1001/"
DASHBOARD = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
#: What Grafana puts in by itself.
EXPRESSIONS = [
    target["expr"].replace("$__rate_interval", "1m") for panel in DASHBOARD["panels"] for target in panel["targets"]
]
NAME = re.compile(r"\brisk_[a-z_]+\b")


@dataclass(frozen=True)
class Service:
    """A service of two processes, and a key for it."""

    port: int
    child: Child
    key: str

    def ask(self, path: str) -> tuple[int, str]:
        """Status and body."""
        headers = {"Authorization": f"Bearer {self.key}"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def decisions(self) -> float:
        """All that the processes together have counted, as any of them tells it."""
        lines = self.ask("/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("risk_decisions_total{"))

    def listening(self) -> set[int]:
        """The processes that listen on the port."""
        sockets = psutil.net_connections("tcp4")
        return {s.pid for s in sockets if s.pid and s.laddr.port == self.port and s.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="module")
def service(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    root = own_key_root(world, tmp_path_factory.mktemp("production"))
    key = keys.add(
        root / "access.db", "prometheus", ["audit:read", "decisions:write"], timedelta(days=1), datetime.now(UTC),
        unlogged,
    )  # fmt: skip
    with closing(sqlite3.connect(root / "monitor.db")) as monitor, monitor:  # as the monitor writes it
        monitor.executescript(monitoring.SCHEMA)
        monitor.execute("INSERT INTO window VALUES (1, 'daily', '1', 0, 1, 500, '{}', 0.1, '{}', '')")
        monitor.execute("INSERT INTO statistic VALUES (1, 'acc_rate', 500, 0.31, 0.2, 0.4, 0.05, 0, 0, 0)")
        monitor.execute("INSERT INTO alarm VALUES (1, 'daily', '1', 'drift', 'acc_rate', 0, NULL, 'drifts')")
    with answering(production(root, workers=2), "/api/health-check") as server:
        service = Service(server.port, server.child, key)
        wait_until(service.listening, lambda pids: len(pids) == 2, what="two processes listen", child=server.child)
        yield service


@pytest.fixture(scope="module")
def prometheus(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """It has read the service several times, between decisions and errors."""
    folder = tmp_path_factory.mktemp("prometheus")
    with reading(f"127.0.0.1:{service.port}", service.key, folder) as prometheus:
        for _ in range(3):
            before = scrapes(prometheus)
            assert service.ask(DRIVER)[0] == 200
            assert service.ask("/daily-risk-decision/999999999/")[0] == 404
            wait_until(lambda: scrapes(prometheus), lambda count, old=before: count > old, what="it reads again")
        yield prometheus


def scrapes(prometheus: Prometheus) -> float:
    """How often Prometheus has read the service, up to an hour back."""
    return sum(float(row["value"][1]) for row in prometheus.query('count_over_time(up{job="risk"}[1h])'))


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_each_expression_of_the_dashboard_has_series(prometheus: Prometheus, expression: str):
    wait_until(lambda: prometheus.query(expression), what=f"{expression} has series")


def test_each_rule_can_be_evaluated_and_names_what_is_there(prometheus: Prometheus):
    rules = wait_until(
        prometheus.rules,
        lambda rules: rules and all(rule["health"] != "unknown" for rule in rules),
        what="all ran once",
    )
    assert [(rule["name"], rule.get("lastError", "")) for rule in rules if rule["health"] != "ok"] == []
    for name in {name for rule in rules for name in NAME.findall(rule["query"])}:
        assert prometheus.query(name), name
    assert [rule["name"] for rule in rules if rule["name"] == "ServiceDown" and rule["state"] != "inactive"] == []


def test_an_alarm_of_the_monitor_is_an_alarm_of_prometheus(prometheus: Prometheus):
    rules = wait_until(
        prometheus.rules,
        lambda rules: any(rule["name"] == "Drift" and rule["alerts"] for rule in rules),
        what="it fires",
    )
    (labels,) = [alert["labels"] for rule in rules if rule["name"] == "Drift" for alert in rule["alerts"]]
    assert (labels["risk"], labels["kind"]) == ("daily", "drift")


def test_the_page_about_monitoring_lists_the_numbers_and_the_alarms(prometheus: Prometheus):
    page = (settings.PROJECT / "docs/how-to/monitor-the-service.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`(risk_\w+)`", row.split("|")[1])}
    names = {row["metric"]["__name__"] for row in prometheus.query('{__name__=~"risk_.*"}')}
    of_kafka = {"risk_stream_waiting_messages"}  # `test_kafka_operated.py` reads them
    assert named - of_kafka == {re.sub("_(bucket|count|sum)$", "", name) for name in names}
    alarms = re.findall(r"^ *- alert: (\w+)", (DEPLOY / "alerts.yml").read_text(), re.MULTILINE)
    assert [name for name in alarms if f"| `{name}` |" not in page] == []


def test_no_count_goes_back_when_a_process_dies(service: Service):
    before = service.decisions()
    for _ in range(20):
        assert service.ask(DRIVER)[0] == 200
    assert service.decisions() == before + 20
    victim = min(service.listening())
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: service.listening() - {victim}, lambda pids: len(pids) == 2, what="two processes listen again")
    for _ in range(20):
        assert service.ask(DRIVER)[0] == 200
    assert service.decisions() == before + 40


def test_the_log_has_a_line_of_json_for_each_request(service: Service):
    assert service.ask("/daily-risk-decision/987654321/")[0] == 404

    def lines() -> list[dict[str, object]]:
        return [json.loads(line) for line in service.child.stderr.splitlines() if line.endswith("}")]

    seen = wait_until(lines, lambda lines: any(map(is_unknown, lines)), what="the log has the line")
    assert "987654321" not in json.dumps(seen)


def is_unknown(line: dict[str, object]) -> bool:
    return line.get("error") == "unknown_entity" and line["caller"] == "key:prometheus"


def test_numbers_are_for_those_who_may_read_them(service: Service):
    assert Service(service.port, service.child, "rk_wrong").ask("/metrics")[0] == 401
    assert Service(service.port, service.child, "rk_wrong").ask("/api/health-check")[0] == 200
