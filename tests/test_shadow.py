"""A second model or policy scores every decision, and harms none."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from constants import override
from fake import APPLICANT, NOW, Fake, shelve

from cli.exit_codes import ExitCode
from features.domains import risks
from jobs.commands import jobs
from jobs.commands.risk import shadow as command_line
from jobs.shadow import known_outcomes, report
from root import Root
from serving.decision import Decision
from serving.policies import Policies
from serving.service import RiskService
from serving.shadow import runner, setting

ONBOARDING = risks()["onboarding"]
APPLICANT_REQUEST = ONBOARDING.request(**APPLICANT)
STRICT = b"thresholds: {low: 0.0, high: 0.01}\n"


class Shadow:
    """The shadow of onboarding in a root, and the decisions that it is given."""

    def __init__(self, root: Path) -> None:
        self.root, self.folder = Root(root), root / "shadow"
        self.service = RiskService(Fake(), self.root, b"key")

    def set(self, model: str | None = None, policy: bytes | None = None) -> None:
        setting.write(self.folder, "onboarding", model, policy)

    def decide(self) -> Decision:
        decision = self.service.decision(ONBOARDING, APPLICANT_REQUEST, NOW)
        self.service.shadows.drain()
        return decision

    def lines(self) -> list[dict]:
        return [json.loads(line) for file in self.folder.glob("*.jsonl") for line in file.read_text().splitlines()]


@pytest.fixture
def shadow(tmp_path, monkeypatch) -> Shadow:
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    shelve("onboarding")
    return Shadow(tmp_path)


def test_without_a_shadow_nothing_is_scored_and_no_thread_runs(shadow):
    shadow.decide()
    assert not shadow.folder.exists()


def test_a_second_model_scores_each_decision_and_is_not_answered(shadow):
    before = shadow.decide()
    shelve("onboarding", base=2.0, version="2")
    shadow.set(model="2")
    answer = shadow.decide()
    assert replace(answer, decision_id="") == replace(before, decision_id="")
    (line,) = shadow.lines()
    assert (line["decision_id"], line["as_of"]) == (answer.decision_id, answer.as_of.isoformat())
    champion, challenger = line["champion"], line["challenger"]
    assert champion == {
        "decision": answer.decision, "score": answer.score, "model": "1", "policy": answer.policy["version"],
    }  # fmt: skip
    assert (challenger["model"], challenger["policy"]) == ("2", champion["policy"])
    assert challenger["score"] > champion["score"]
    assert (champion["decision"], challenger["decision"]) == ("approve", "review")


def test_a_second_policy_decides_by_the_score_that_was_given(shadow):
    shadow.set(policy=STRICT)
    answer = shadow.decide()
    (line,) = shadow.lines()
    assert (answer.decision, line["challenger"]["decision"]) == ("approve", "decline")
    assert line["challenger"]["score"] == answer.score
    assert line["challenger"]["policy"] != answer.policy["version"]


def test_a_changed_setting_counts_from_the_next_decision_on(shadow):
    shelve("onboarding", base=2.0, version="2")
    shadow.set(policy=STRICT)
    shadow.decide()
    shadow.set(model="2")
    shadow.decide()
    setting.remove(shadow.folder, "onboarding")
    shadow.decide()
    assert [line["challenger"]["model"] for line in shadow.lines()] == ["1", "2"]
    shadow.set(policy=STRICT.replace(b"0.01", b"0.9"))
    shadow.decide()
    assert [line["challenger"]["decision"] for line in shadow.lines()] == ["decline", "review", "review"]


def test_a_model_may_take_a_feature_that_the_champion_does_not_take(shadow):
    shelve("onboarding", version="2", more=["is_valid_state"])
    shadow.set(model="2")
    shadow.decide()
    (line,) = shadow.lines()
    assert line["challenger"]["score"] > line["champion"]["score"]


@pytest.mark.parametrize("version", ["gone", "damaged"])
def test_a_broken_challenger_is_named_and_harms_no_decision(shadow, version, caplog):
    shelve("onboarding", version="damaged")
    (shadow.root.models / "onboarding/damaged/model.onnx").write_bytes(b"")
    shadow.set(model=version)
    answers = [shadow.decide().decision for _ in range(2)]
    assert answers == ["approve"] * 2
    assert [(line["failed"], version in line["error"]) for line in shadow.lines()] == [(1, True)] * 2
    assert caplog.text.count("The shadow of onboarding fails") == 1


def test_a_setting_that_is_no_setting_harms_no_decision(shadow):
    shadow.set(policy=STRICT)
    (shadow.folder / "onboarding.json").write_text("[]")
    assert shadow.decide().decision == "approve"
    assert "does not say what the shadow is" in shadow.lines()[0]["error"]


def test_a_log_that_cannot_be_written_harms_no_decision(shadow, caplog):
    shadow.set(policy=STRICT)
    answer = shadow.decide()
    (log,) = shadow.folder.glob("*.jsonl")
    log.unlink()
    log.mkdir()
    assert shadow.decide().decision == answer.decision
    assert "cannot be logged" in caplog.text


def test_what_does_not_fit_into_the_queue_is_counted(shadow, monkeypatch):
    override(monkeypatch, runner, MOST_WAITING=2)
    shadow.set(policy=STRICT)
    with shadow.service.shadows._at_work:  # the thread waits as it would behind a slow disk
        for _ in range(5):
            shadow.service.decision(ONBOARDING, APPLICANT_REQUEST, NOW)
    shadow.service.shadows.drain()
    made = report(shadow.root, ONBOARDING, None, {})
    assert (made.comparisons[0].decisions, made.dropped) == (2, 3)


# The comparison


def test_the_comparison_counts_outcomes_scores_and_known_outcomes(shadow):
    ids = [f"d{number}" for number in range(4)]
    scores = [(0.1, 0.2), (0.2, 0.9), (0.3, 0.1), (0.4, 0.8)]
    words = [("approve", "approve"), ("approve", "decline"), ("review", "approve"), ("review", "review")]
    shadow.folder.mkdir()
    with (shadow.folder / "2026-01-31.jsonl").open("w") as log:
        for number, (mine, theirs), (champion, challenger) in [
            *zip(ids, scores, words, strict=True),
            ("d0", (0.0, 1.0), words[1]),
        ]:
            line = {"risk": "onboarding", "decision_id": number, "as_of": f"2026-01-31T12:00:0{number[1]}+00:00"}
            line["champion"] = {"decision": champion, "score": mine, "model": "1", "policy": "p"}
            line["challenger"] = {"decision": challenger, "score": theirs, "model": "2", "policy": "p"}
            log.write(json.dumps(line) + "\n")
    (comparison,) = report(shadow.root, ONBOARDING, None, {"d0": 0, "d1": 1, "d2": 1, "d3": 0}).comparisons
    assert comparison.outcomes == dict.fromkeys(words, 1)
    assert (comparison.difference, comparison.distance) == pytest.approx((1.0, 1.4))
    assert comparison.aucs() == (0.5, 0.5)
    assert report(shadow.root, ONBOARDING, None, {"d0": 0, "d1": 1}).comparisons[0].aucs() == (1.0, 1.0)
    assert report(shadow.root, ONBOARDING, None, {"d0": 0}).comparisons[0].aucs() is None


# The command


@pytest.fixture
def command(shadow, monkeypatch):
    monkeypatch.setattr(command_line, "_store", Fake)
    return lambda *arguments: CliRunner().invoke(jobs, ["shadow", "onboarding", *arguments])


def test_the_command_sets_compares_and_switches_off(shadow, command, tmp_path):
    shelve("onboarding", base=2.0, version="2")
    (tmp_path / "new.yaml").write_bytes(STRICT)
    done = command("--model", "2", "--policy", str(tmp_path / "new.yaml"))
    assert done.exit_code == ExitCode.OK
    assert Policies(tmp_path / "policies", Fake()).check(ONBOARDING, tmp_path / "new.yaml").version in done.output
    shadow.decide()
    output = command().output
    assert "1 decisions, 1 with another outcome (100.00%)" in output
    assert "challenger: model 2" in output
    assert "has no shadow any more" in command("--off").output
    assert "has no shadow to switch off" in command("--off").output
    shadow.decide()
    assert len(shadow.lines()) == 1


def test_the_version_that_came_last_can_be_the_shadow(shadow, command):
    shelve("onboarding", version="3")
    shelve("onboarding", base=2.0, version="2")  # trained as of an earlier timestamp
    assert "model 2 will score every decision, too" in command("--model", "newest").output
    assert setting.read(shadow.folder, "onboarding") == setting.Setting("2", has_policy=False)


def test_the_command_measures_both_by_outcomes_that_were_fed_back(shadow, command):
    shelve("onboarding", base=2.0, version="2")
    shadow.set(model="2")
    first, second, third = (shadow.decide().decision_id for _ in range(3))
    assert "AUC: outcomes of both kinds are not known yet." in command().output
    known = [(first, 0, 1), (second, 0, 1), (second, 1, 2), (third, 1, 1)]  # the second one was corrected
    shadow.root.outcomes.mkdir()
    with (shadow.root.outcomes / f"{NOW.date()}.jsonl").open("w") as log:
        for decision_id, outcome, day in known:
            line = {"decision_id": decision_id, "outcome": outcome, "known_at": f"2026-03-0{day}T00:00:00+00:00"}
            log.write(json.dumps(line) + "\n")
    assert "AUC of 3 known outcomes: 0.5000, challenger 0.5000" in command().output
    assert known_outcomes(shadow.root, ONBOARDING) == {first: 0, second: 1, third: 1}
    assert known_outcomes(shadow.root, risks()["daily"]) == {}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "9"], "no version of onboarding '9'"),
        (["--model", "2"], "takes 'shoe_size', and the feature service of onboarding has no such feature"),
        (["--off", "--model", "1"], "--off goes alone"),
    ],
)
def test_what_cannot_be_a_shadow_is_refused_and_nothing_changes(shadow, command, arguments, words):
    shelve("onboarding", version="2", more=["shoe_size"])
    shadow.set(policy=STRICT)
    refused = command(*arguments)
    assert refused.exit_code == ExitCode.FAILED
    assert words in refused.stderr
    assert setting.read(shadow.folder, "onboarding") == setting.Setting(None, has_policy=True)
