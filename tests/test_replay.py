"""Logged requests are decided again: today's versions make the same decisions, and others show what would change."""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner, Result
from constants import override
from fake import APPLICANT, NOW, Fake
from flask.testing import FlaskClient

import settings
from features.domains import risks
from jobs.commands import jobs
from jobs.replay import comparing
from jobs.replay.comparing import Comparison, compare
from jobs.replay.versions import Versions
from model import shelf
from serving.store import Store

DAY = timedelta(days=1)
STRICT = "thresholds: {low: 0.0, high: 0.01}\n"


def decide(client: FlaskClient, fake: Fake) -> None:
    """Eight decisions: single ones, a list of three, and some with numbers that were seen before."""
    for seen in (0, 1):
        fake.seen = seen
        assert client.post("/onboarding-risk-decision/", json=APPLICANT | {"state": "AK"}).status_code == 200
        people = [APPLICANT | {"dl": f"D123456{n}"} for n in range(3)]
        assert client.post("/api/v1/decisions/onboarding", json=people).status_code == 200
    for driver in (1001, 1002):
        assert client.get(f"/daily-risk-decision/{driver}/").status_code == 200


@pytest.fixture
def decided(client: FlaskClient, fake: Fake) -> FlaskClient:
    decide(client, fake)
    return client


def replayed(fake: Fake, name: str = "onboarding", **options: Any) -> Comparison:
    root, risk, store = settings.root(), risks()[name], cast(Store, fake)
    between = (options.pop("since", None), options.pop("until", None))
    return compare(root, store, risk, Versions(root, store, risk, **options), *between)


def log() -> Path:
    return settings.root().decisions / f"{NOW.date()}.jsonl"


def edit(change: Callable[[dict[str, Any]], object]) -> None:
    """Change every line of the log."""
    records = [json.loads(line) for line in log().read_text().splitlines()]
    for record in records:
        change(record)
    log().write_text("".join(json.dumps(record) + "\n" for record in records))


def another_version(name: str = "onboarding") -> str:
    """Put a second version on the shelf that is the same model; the first one serves."""
    root = settings.root().models
    card, model, _ = shelf.take(shelf.current(root, name))
    shelf.add(root, card.model_copy(update={"version": "2"}), model, "")
    return "2"


@pytest.mark.parametrize(("name", "decisions"), [("onboarding", 8), ("daily", 2)])
def test_the_same_versions_make_the_same_decisions(decided: FlaskClient, fake: Fake, name: str, decisions: int) -> None:
    before = log().read_bytes()
    result = replayed(fake, name)
    assert (result.decisions, result.equal, result.left_out.total()) == (decisions, decisions, 0)
    assert log().read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(score=record["score"] + 1e-12),
        lambda record: record.update(decision="approve" if record["decision"] != "approve" else "review"),
        lambda record: record["reasons"][0].update(contribution=record["reasons"][0]["contribution"] + 1e-8),
        lambda record: record["reasons"][0].update(text="Another text."),
        lambda record: record["features"].update(is_previously_seen_dl=1 - record["features"]["is_previously_seen_dl"]),
    ],
    ids=["score", "outcome", "contribution", "text", "feature"],
)
def test_a_line_that_was_changed_is_a_difference(decided: FlaskClient, fake: Fake, change: Any) -> None:
    edit(lambda record: record["risk"] == "onboarding" and change(record))
    result = replayed(fake)
    assert (result.decisions, result.equal, result.proven) == (8, 0, 8)


def test_another_policy_shows_which_outcomes_change(decided: FlaskClient, fake: Fake, tmp_path: Path) -> None:
    strict = tmp_path / "strict.yaml"
    strict.write_text(STRICT)
    result = replayed(fake, file=strict)
    rows = {(before, after): int(count) for before, after, count, *_ in result.rows()}
    assert result.proven == 0
    assert sum(rows.values()) == 8
    assert {after for _, after in rows} == {"decline"}
    assert ("approve", "decline") in rows


def test_another_model_decides_with_its_own_version(decided: FlaskClient, fake: Fake) -> None:
    result = replayed(fake, model=another_version())
    assert (result.decisions, result.proven, result.scores) == (8, 0, 0)


def test_a_decision_of_a_version_that_is_gone_is_left_out(decided: FlaskClient, fake: Fake, tmp_path: Path) -> None:
    edit(lambda record: record["model"].update(version="0") if record["entity"].get("driver_id") == 1001 else None)
    edit(lambda record: record["policy"].update(version="f0") if record["entity"].get("driver_id") == 1002 else None)
    result = replayed(fake, "daily")
    assert result.decisions == 0
    assert result.left_out == {"model 0 is gone": 1, "policy f0 is gone": 1}
    assert replayed(fake, "daily", model="1").left_out == {"policy f0 is gone": 1}


def test_a_line_without_what_a_rule_reads_is_left_out(decided: FlaskClient, fake: Fake, tmp_path: Path) -> None:
    rule = tmp_path / "rule.yaml"
    rule.write_text('rules: [{when: state == "AK", outcome: review, reason: far, text: "Far away."}]')
    edit(lambda record: record["request"].pop("state", None) if record["decision"] == "review" else None)
    with_state = replayed(fake, file=rule)
    lacking = with_state.left_out["the line lacks state"]
    assert lacking > 0
    assert with_state.decisions + lacking == 8
    assert replayed(fake).left_out.total() == 0  # the policy in force reads the feature, and no field


def test_a_rule_sees_a_timestamp_of_the_log_as_one(client: FlaskClient, fake: Fake) -> None:
    rule = settings.root().policies / "onboarding.yaml"
    rule.parent.mkdir()
    rule.write_text('rules: [{when: dob < "2000-01-01", outcome: decline, reason: old, text: "Old."}]')
    decide(client, fake)
    result = replayed(fake)
    assert (result.decisions, result.equal) == (8, 8)
    assert set(result.outcomes) == {("decline", "decline")}


def test_contributions_may_differ_in_rounding(decided: FlaskClient, fake: Fake) -> None:
    def round_otherwise(record: dict[str, Any]) -> None:
        for reason in record["reasons"]:
            reason.update(contribution=reason["contribution"] * (1 + 1e-14))

    edit(round_otherwise)
    result = replayed(fake)
    assert (result.decisions, result.equal) == (8, 8)


@pytest.mark.parametrize(
    ("since", "until", "decisions"),
    [(NOW, None, 8), (NOW + DAY, None, 0), (None, NOW, 0), (NOW - DAY, NOW + timedelta(microseconds=1), 8)],
)
def test_only_the_interval_is_decided_again(
    decided: FlaskClient, fake: Fake, since: datetime | None, until: datetime | None, decisions: int
) -> None:
    assert replayed(fake, since=since, until=until).decisions == decisions


@pytest.mark.parametrize("part", ["features", "reasons", "model", "as_of", "score", "decision_id"])
def test_a_damaged_line_is_counted_and_spoils_no_other(decided: FlaskClient, fake: Fake, part: str) -> None:
    edit(lambda record: record.update({part: None}) if record["entity"].get("driver_id") == 1001 else None)
    result = replayed(fake, "daily")
    assert (result.decisions, result.equal, result.left_out) == (1, 1, {"the line is damaged": 1})


def test_many_batches_give_what_one_gives(decided: FlaskClient, fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    override(monkeypatch, comparing, BATCH=3)
    assert replayed(fake).equal == 8


def test_a_policy_that_was_replaced_decides_its_own_decisions(client: FlaskClient, fake: Fake) -> None:
    folder = settings.root().policies
    folder.mkdir()
    (folder / "far.txt").write_text("AK\n")
    rule = '{when: state in list far, outcome: decline, reason: far, text: "Far away."}'
    (folder / "onboarding.yaml").write_text(f"lists: {{far: far.txt}}\nrules: [{rule}]\n")
    decide(client, fake)
    (folder / "far.txt").write_text("HI\n")
    (folder / "onboarding.yaml").write_text(STRICT)
    decide(client, fake)
    result = replayed(fake)
    assert (result.decisions, result.equal, result.left_out.total()) == (16, 16, 0)


# The command


@pytest.fixture
def run(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setitem(sys.modules, "serving.retrieval", SimpleNamespace(FeastStore=lambda *_: fake))
    return lambda *arguments: CliRunner().invoke(jobs, ["replay", *arguments])


def test_the_command_proves_equality_and_exits_with_0(decided: FlaskClient, run: Callable[..., Result]) -> None:
    result = run("onboarding", "daily")
    assert result.exit_code == 0, result.output
    assert "onboarding: 8 decisions, 8 equal in score, reasons and outcome" in result.output


def test_a_difference_exits_with_1_and_an_example(decided: FlaskClient, run: Callable[..., Result]) -> None:
    edit(lambda record: record.update(score=0.5))
    result = run("daily")
    assert result.exit_code == 1
    assert "score 0.5 → " in result.output
    assert "mismatch: 2 decisions are not those" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model=1",), "Name the risk"),
        (("onboarding", "--model=9"), "version of onboarding"),
        (("onboarding", "--from=2026-02-01", "--to=2026-01-01"), "Exchange them"),
        (("onbording",), "Did you mean 'onboarding'?"),
    ],
)
def test_a_wrong_argument_is_named(
    decided: FlaskClient, run: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.output


def test_the_log_of_another_day_is_not_read(decided: FlaskClient, fake: Fake) -> None:
    (settings.root().decisions / "2020-01-01.jsonl").mkdir()  # to read it would fail
    assert replayed(fake, since=datetime(2026, 1, 1, tzinfo=UTC)).decisions == 8
