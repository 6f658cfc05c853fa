"""Monitoring: unchanged traffic stays quiet, planted drift is found within an hour, and nothing is counted twice."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from constants import override
from traffic import LIVE_VIEW, START, Traffic, rows, tables

from errors import Busy, RootBroken
from features.domains import risks
from files import locked
from jobs.monitor import log, run
from jobs.monitor.book import Book
from jobs.monitor.window import LEAST_DECISIONS
from model import shelf
from root import Root
from serving import monitoring
from serving.audit import outcomes
from serving.audit.positions import Positions

HOUR = timedelta(hours=1)
#: Unchanged traffic before a change, and the hour of the day at which it is planted.
QUIET_HOURS, PLANTED = 3, 12


@pytest.fixture
def traffic(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    traffic = Traffic(Root(tmp_path))
    traffic.publish()
    return traffic


def monitor(traffic, now=START):
    lines: list[str] = []
    run.run(traffic.root, risks().keys(), now, lines.append)
    return lines


def alarms(traffic):
    return monitoring.alarms(traffic.root.monitor_db)


def test_a_day_and_its_night_of_unchanged_traffic_stay_quiet(traffic):
    traffic.decide(rows(0, 24))
    monitor(traffic)
    windows = monitoring.windows(traffic.root.monitor_db, "chargeback", START)
    assert len(windows) > 20
    assert all(w.ended - w.began >= timedelta(minutes=19) and w.decisions >= LEAST_DECISIONS for w in windows)
    assert alarms(traffic) == []
    nights = [s for w in windows if w.ended.hour < 6 for s in w.statistics if s.name == "is_night"]
    assert nights
    assert all(s.psi < 0.01 and s.ks < 0.01 for s in nights)


def tripled(frame):
    return frame.assign(order_amount=3 * frame["order_amount"])


def half_missing(frame):
    return frame.assign(order_amount=frame["order_amount"].where(frame.index % 2 == 0))


def all_defaults(frame):
    return frame.assign(orders_count_3d=0)


@pytest.mark.parametrize(
    ("plant", "name"),
    [(tripled, "order_amount"), (half_missing, "order_amount"), (all_defaults, "orders_count_3d")],
)
def test_drift_in_one_feature_is_found_within_an_hour_and_named_alone(traffic, plant, name):
    traffic.decide(rows(PLANTED - QUIET_HOURS, QUIET_HOURS))
    monitor(traffic)
    assert alarms(traffic) == []
    traffic.decide(plant(rows(PLANTED, 1)))
    (line,) = monitor(traffic, START + (PLANTED + 1) * HOUR)
    assert line.startswith(f"chargeback: ALARM: {name} is not as in training: PSI ")
    (alarm,) = alarms(traffic)
    assert (alarm.kind, alarm.name, alarm.ended) == ("drift", name, None)
    assert START + (PLANTED - 0.5) * HOUR <= alarm.began <= START + (PLANTED + 1) * HOUR
    traffic.decide(rows(PLANTED + 1, 1.5))
    assert monitor(traffic) == [f"chargeback: the alarm about {name} ends."]
    assert alarms(traffic)[0].ended > START + (PLANTED + 1) * HOUR


def test_a_live_view_that_stops_is_named(traffic):
    traffic.decide(rows(PLANTED - QUIET_HOURS, QUIET_HOURS))
    traffic.decide(rows(PLANTED, 1), lag=None)
    (line,) = monitor(traffic)
    assert line.startswith(f"chargeback: ALARM: {LIVE_VIEW} is late: its newest event is ")
    assert [(a.kind, a.name) for a in alarms(traffic)] == [("freshness", LIVE_VIEW)]


def test_a_crash_at_any_step_counts_nothing_twice(traffic, monkeypatch):
    traffic.decide(tripled(rows(PLANTED, 2)))
    override(monkeypatch, log, CHUNK_BYTES=256 * 1024)
    monitor(traffic)
    whole = tables(traffic.root.monitor_db)
    assert len(whole[0]) > 3
    assert whole[2]
    for path in traffic.root.path.glob("monitor.db*"):
        path.unlink()
    kept, chance, crashes = Book.keep, random.Random(0), []

    def crashing(book, name, value):
        crash = chance.choice(["before", "after", "", "", ""])
        if crash != "before":
            kept(book, name, value)
        if crash:
            crashes.append(name)
            raise MemoryError

    monkeypatch.setattr(Book, "keep", crashing)
    while True:
        try:
            run.run(traffic.root, risks().keys(), START)
            break
        except MemoryError:
            continue
    assert {run.POSITION, "risk chargeback"} == set(crashes)
    assert tables(traffic.root.monitor_db) == whole


def test_a_second_monitor_is_refused(traffic):
    with locked(traffic.root.monitor_lock), pytest.raises(Busy, match="Another monitor is at work"):
        monitor(traffic)


def test_a_new_champion_begins_anew_and_ends_the_alarms(traffic):
    traffic.decide(tripled(rows(PLANTED, 1)))
    monitor(traffic, START + (PLANTED + 1) * HOUR)
    shelf_of_risk = traffic.root.models / "chargeback"
    (shelf_of_risk / "2").symlink_to(shelf_of_risk / "1")
    traffic.version = "2"
    traffic.decide(tripled(rows(PLANTED + 1, 0.5)))
    assert monitor(traffic) == ["chargeback: 1 alarms end: the model 2 serves now."]
    assert alarms(traffic)[0].ended is not None
    traffic.decide(tripled(rows(PLANTED + 1.5, 0.5)))
    monitor(traffic, START + (PLANTED + 2) * HOUR)
    assert [(a.version, a.name) for a in alarms(traffic)] == [("2", "order_amount"), ("1", "order_amount")]


def test_a_model_without_a_reference_is_named_and_its_outcomes_counted(traffic):
    (traffic.root.models / "chargeback" / "1" / shelf.REFERENCE).unlink()
    traffic.decide(rows(PLANTED, 1))
    assert monitor(traffic) == []
    (window,) = monitoring.latest(traffic.root.monitor_db)
    assert (window.note, window.statistics) == (run.NO_REFERENCE, ())
    assert sum(window.outcomes.values()) == window.decisions


def test_what_is_no_decision_is_passed_over_and_a_removed_day_forgotten(traffic):
    traffic.decide(rows(PLANTED, 1))
    (day,) = traffic.root.decisions.glob("*.jsonl")
    lines = day.read_bytes()
    broken = b'{"risk":"chargeback"}\nnot json\n{"risk":"chargeback","as_of":3}\n[]\n'
    day.write_bytes(broken + lines + b'{"risk":"charge')
    monitor(traffic, START + 24 * HOUR)
    counted = [w.decisions for w in monitoring.windows(traffic.root.monitor_db, "chargeback", START)]
    day.unlink()
    assert monitor(traffic, START + 24 * HOUR) == []
    assert [w.decisions for w in monitoring.windows(traffic.root.monitor_db, "chargeback", START)] == counted


def test_an_empty_log_has_no_windows_and_a_damaged_file_is_explained(tmp_path):
    root = Root(tmp_path)
    assert run.run(root, risks().keys(), START) == 0
    assert monitoring.latest(root.monitor_db) == []
    for path in tmp_path.glob("monitor.db*"):
        Path(path).write_bytes(b"no SQLite file" * 100)
    with pytest.raises(RootBroken, match="move it away and start the monitor again"):
        run.run(root, risks().keys(), START)


def test_decisions_before_since_are_left_out(traffic):
    traffic.decide(rows(PLANTED, 2))
    run.run(traffic.root, risks().keys(), START, since=START + (PLANTED + 1) * HOUR)
    windows = monitoring.windows(traffic.root.monitor_db, "chargeback", START)
    assert min(w.began for w in windows) >= datetime.fromisoformat("2026-03-02T13:00:00+00:00")


def test_fed_back_outcomes_are_measured_against_the_scores(traffic):
    decided = rows(PLANTED, 1).head(400)
    traffic.decide(decided)
    records = [record for some, _ in log.read(traffic.root.decisions, {}) for record in some]
    bad = {record.decision_id: int(record.score > 0.04) ^ (n % 9 == 0) for n, record in enumerate(records)}
    given = [{"decision_id": name, "outcome": outcome} for name, outcome in list(bad.items())[:300]]
    now = START + 24 * HOUR
    positions = Positions(traffic.root.decisions, traffic.root.outcomes)
    outcomes.give(positions, given, now, {"caller": "", "request_id": ""}, [""] * len(given))
    monitor(traffic, now)
    (known,) = monitoring.performance(traffic.root.monitor_db)
    scores, labels = np.array([(r.score, bad[r.decision_id]) for r in records[:300]]).T
    differences = scores[labels == 1][:, None] - scores[labels == 0]
    assert (known.risk, known.version, known.outcomes) == ("chargeback", "1", 300)
    assert known.roc_auc == pytest.approx(np.mean((np.sign(differences) + 1) / 2))
    assert known.brier == pytest.approx(np.mean((scores - labels) ** 2))
    assert known.mean_outcome == pytest.approx(labels.mean())
    later = [{"decision_id": records[0].decision_id, "outcome": 1 - bad[records[0].decision_id]}]
    outcomes.give(positions, later, now + HOUR, {"caller": "", "request_id": ""}, [""])
    monitor(traffic, now + HOUR)
    (corrected,) = monitoring.performance(traffic.root.monitor_db)
    assert corrected.outcomes == 300
    assert abs(corrected.mean_outcome - known.mean_outcome) == pytest.approx(1 / 300)
