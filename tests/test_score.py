"""Batch scoring decides about each entity once, as of a timestamp, by a version of the model."""

import json
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pandas as pd
import pytest
from constants import override
from fake import NOW, STATS, Fake, shelve

import settings
from errors import Busy
from features.domains import risks
from files import locked
from jobs import score as scoring
from serving import audit, lines, scores
from serving.store import Store

DAILY, DAY = risks()["daily"], timedelta(days=1)


class Drivers(Fake):
    """Features that change whenever somebody asks."""

    joined = 0

    def historical(self, risk: Any, frame: pd.DataFrame) -> pd.DataFrame:
        self.joined += len(frame)
        return super().historical(risk, frame).assign(**dict.fromkeys(STATS, float(self.joined)))


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drivers:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    shelve("daily")
    known = pd.Timestamp(NOW - DAY)
    drivers = pd.DataFrame({"driver_id": range(1000, 1050), "event_timestamp": known, "created": known})
    drivers = drivers.assign(ssn=drivers["driver_id"].astype(str), dl=drivers["driver_id"].astype(str))
    path = settings.root().raw_table("drivers").with_suffix(".parquet")
    path.parent.mkdir()
    drivers.to_parquet(path)
    return Drivers()


def score(store: Drivers, days: int = 0) -> int:
    return scoring.score(settings.root(), cast(Store, store), DAILY, NOW + days * DAY)


def log() -> list[dict[str, Any]]:
    return list(lines.read_folder(settings.root().decisions))


def page(driver: int) -> dict[str, Any] | None:
    return scores.latest(settings.root().scores_db, "daily", driver)[0]


def test_a_second_run_as_of_a_timestamp_logs_no_decision_again(store: Drivers) -> None:
    assert score(store) == 50
    before, shown = log(), page(1007)
    assert score(store) == 50
    assert (log(), page(1007), store.joined) == (before, shown, 50)
    assert len({record["decision_id"] for record in before}) == 50
    score(store, days=1)
    assert len(log()) == 100


@pytest.mark.parametrize("failing", ["scores", "audit"])
def test_a_run_after_a_crash_logs_only_what_is_missing(
    store: Drivers, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    override(monkeypatch, scoring, CHUNK_ROWS=20)
    calls, append, new_run = [], audit.append, scores.new_run

    def crash(*args: Any) -> Any:
        calls.append(args)
        if len(calls) > 2:
            raise RuntimeError("killed")
        return append(*args)

    @contextmanager
    def crash_at_end(*args: Any) -> Any:
        with new_run(*args) as add:
            yield add
            raise RuntimeError("killed")

    with monkeypatch.context() as broken:
        if failing == "scores":
            broken.setattr(scores, "new_run", crash_at_end)
        else:
            broken.setattr(audit, "append", crash)
        with pytest.raises(RuntimeError):
            score(store)
    assert page(1000) is None
    before = log()
    assert len(before) == {"scores": 50, "audit": 40}[failing]
    assert score(store) == 50
    assert log()[: len(before)] == before
    assert len({record["decision_id"] for record in log()}) == len(log()) == 50
    for record in log():
        assert page(record["entity"]["driver_id"]) == audit.decision_of(record)


def test_another_version_of_the_model_decides_again(store: Drivers) -> None:
    score(store)
    path = settings.root().models / "daily" / "current" / "card.json"
    text = json.loads(path.read_text())
    path.write_text(json.dumps(text | {"version": "2"}))
    score(store)
    assert len({record["decision_id"] for record in log()}) == len(log()) == 100
    newest = page(1007)
    assert newest is not None
    assert newest["model"]["version"] == "2"


def test_two_runs_of_a_risk_do_not_work_at_once(store: Drivers) -> None:
    with locked(audit.index(settings.root().decisions) / "daily.lock"), pytest.raises(Busy):
        score(store)
