"""The commands about logged decisions, on a real root: `replay`, `why`, `backtest` and `tune`, for decisions that were
served and for those of a batch."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from click.testing import CliRunner, Result
from conftest import own_root
from test_parity import decide_15_times

import settings
from app import create_app
from features.domains import risks
from features.utc import MICROSECOND
from jobs import score
from jobs.commands import jobs
from serving import lines
from serving.policies import Policies
from serving.retrieval import FeastStore

pytestmark = pytest.mark.slow

COSTS = "missed: {per: amount, times: 1.0}\nwrong_decline: 5.0\nreview: 2.0\n"
STRICT = "thresholds: {low: 0.0, high: 0.01}\n"


@pytest.fixture(scope="module")
def store(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeastStore]:
    """A root of its own. Its log has served decisions, some with outcomes, and those of a batch."""
    root = tmp_path_factory.mktemp("decided")
    own_root(world, root)
    (root / "costs.yaml").write_text(COSTS)
    (root / "strict.yaml").write_text(STRICT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RISK_DATA", str(root))
        store = FeastStore(settings.FEATURE_REPO)
        client = create_app(store).test_client()
        decide_15_times(client)
        served = [record["decision_id"] for record in records("chargeback")]
        fed = [{"decision_id": number, "outcome": i % 2} for i, number in enumerate(served[:10])]
        assert client.post("/api/v1/outcomes", json=fed).status_code == 200
        score.score(settings.root(), store, risks()["daily"], datetime.now(UTC))
        yield store


def records(name: str) -> list[dict[str, Any]]:
    """The lines of a risk, oldest first."""
    return [record for record in lines.read_folder(settings.root().decisions) if record["risk"] == name]


def batch() -> list[dict[str, Any]]:
    return [record for record in records("daily") if record["caller"] == score.CALLER]


def run(command: str, code: int = 0) -> Result:
    result = CliRunner().invoke(jobs, command.format(root=settings.root()).split())
    assert result.exit_code == code, result.output
    return result


# Batch scores


def test_a_batch_logs_the_event_time_of_each_view_as_the_service_does(store: FeastStore) -> None:
    served = {r["entity"]["driver_id"]: r for r in records("daily") if r["caller"] != score.CALLER}
    of_batch = {r["entity"]["driver_id"]: r for r in batch()}
    assert len(served) == 15
    for driver, record in served.items():
        assert of_batch[driver]["event_times"] == record["event_times"]
        assert of_batch[driver]["views"] == record["views"]
    assert any(record["event_times"]["driver_yesterdays_stats"] for record in served.values())


def test_a_batch_logs_how_long_each_step_took_for_how_many(store: FeastStore) -> None:
    logged = batch()
    assert {record["batch_size"] for record in logged} == {len(logged)}
    for record in logged:
        assert record["latency_us"].keys() == {"retrieve", "featurize", "score", "decide"}
        assert record["latency_us"]["retrieve"] > 0


def test_event_times_of_the_past_are_those_of_the_rows_that_held_then(store: FeastStore) -> None:
    frame = score.population(settings.root(), risks()["daily"].population, datetime.now(UTC))  # type: ignore[arg-type]
    newest = store.joined_times(risks()["daily"], frame)
    day = max(time for times in newest if (time := times["driver_yesterdays_stats"]))
    frame = frame.assign(event_timestamp=pd.Timestamp(day - MICROSECOND).as_unit("us"))
    earlier = [times["driver_yesterdays_stats"] for times in store.joined_times(risks()["daily"], frame)]
    assert max(filter(None, earlier)) == day - timedelta(days=1)


def test_a_batch_decision_is_explained_from_raw_events(store: FeastStore) -> None:
    known = [r["decision_id"] for r in batch() if r["event_times"]["driver_yesterdays_stats"]]
    for number in known[:3]:
        lines_of = run(f"why {number}").stdout.splitlines()
        assert len(lines_of) == 1 + len(batch()[0]["features"])
        assert all("equal" in line for line in lines_of[1:])


# Replay


def test_all_logged_decisions_are_made_again(store: FeastStore) -> None:
    text = run("replay").stdout
    for name in ("onboarding", "daily", "chargeback"):
        count = len(records(name))
        assert f"{name}: {count:,} decisions, {count:,} equal in score, reasons and outcome" in text


def test_another_policy_shows_what_would_change(store: FeastStore) -> None:
    text = run("replay daily --policy {root}/strict.yaml").stdout
    assert "other reasons" in text
    assert "decline" in text


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("replay --from 2026-01-02 --to 2026-01-01", "is not before"),
        ("replay daily chargeback --policy {root}/strict.yaml", "Name the risk"),
        ("backtest chargeback --costs {root}/costs.yaml --from 2026-01-02 --to 2026-01-01", "is not before"),
        ("backtest loyalty --costs {root}/costs.yaml", "jobs replay loyalty"),
        ("tune chargeback --costs {root}/costs.yaml --picture {root}/x.pdf", ".png, .svg, .html"),
        ("why 00000000-0000-0000-0000-000000000000", "has no decision of this id"),
    ],
)
def test_a_mistake_is_named(store: FeastStore, command: str, message: str) -> None:
    assert message in run(command, 1).stderr


def test_a_line_that_was_changed_is_found_by_both(store: FeastStore, tmp_path: Path) -> None:
    record = next(record for record in batch() if record["event_times"]["driver_yesterdays_stats"])
    file = max(settings.root().decisions.glob("*.jsonl"))
    before = file.read_text()
    features = record["features"] | {"conv_rate": 0.123}
    changed = json.dumps(record | {"features": features, "score": 0.5, "decision_id": "changed"})
    with file.open("a") as log:
        log.write(f"{changed}\n")
    try:
        assert "are not those that the same model and policy make" in run("replay daily", 1).stderr
        result = run("why changed", 1)
        assert "do not give the logged value of conv_rate" in result.stderr
    finally:
        file.write_text(before)


# Backtest and tune


def test_a_stricter_policy_is_compared_on_past_cases(store: FeastStore, tmp_path: Path) -> None:
    orders = pq.read_table(settings.root().raw_table("orders").with_suffix(".parquet"))
    until = min(orders["order_timestamp"].to_pylist()) + timedelta(days=2)  # to decide all cases takes a minute
    command = f"backtest chargeback --costs {{root}}/costs.yaml --to {until.isoformat()}"
    text = run(f"{command} --policy {{root}}/strict.yaml --picture {tmp_path}/backtest.html").stdout
    assert "Note: chargeback" in text  # the model has learned from these cases
    assert f"Picture: {tmp_path}/backtest.html" in text
    assert (tmp_path / "backtest.html").read_text().startswith("<!doctype html>")
    same, cost = (
        next(row for row in out.splitlines() if row.startswith("cost ")) for out in (run(command).stdout, text)
    )
    assert float(same.split()[-1].replace(",", "")) == 0
    assert float(cost.split()[-1].replace(",", "")) != 0


def test_logged_decisions_with_outcomes_are_compared(store: FeastStore) -> None:
    text = run("backtest chargeback --costs {root}/costs.yaml --on log --policy {root}/strict.yaml").stdout
    assert text.splitlines()[0] == "chargeback: 10 cases, 5 of them bad"
    assert "5 left out, as its outcome is not known" in text


def test_proposed_thresholds_are_a_policy_that_can_be_applied(store: FeastStore, tmp_path: Path) -> None:
    picture = tmp_path / "tune.svg"
    text = run(f"tune chargeback --costs {{root}}/costs.yaml --most-reviews 0.2 --picture {picture}").stdout
    assert picture.read_bytes().startswith(b"<?xml")
    proposed = text[text.index("# To apply it") :]
    (tmp_path / "new.yaml").write_text(proposed)
    policy = Policies(settings.root().policies, store).check(risks()["chargeback"], tmp_path / "new.yaml")
    assert yaml.safe_load(proposed)["thresholds"] == {"low": policy.appetite.low, "high": policy.appetite.high}
