"""`python -m jobs models`: which versions there are, how they differ, and which one serves."""

import json
import os
from pathlib import Path
from pwd import getpwuid

import numpy as np
import pytest
from click.testing import CliRunner
from fake import APPLICANT, NOW, Fake, shelve, unlogged

import settings
from app import create_app
from errors import BadParameter, ModelBroken, ModelNotTrained
from features.domains import risks
from jobs.commands import jobs
from model import history, promotion, shelf
from model.card import Card
from serving import lines

NAME, INPUTS = "onboarding", risks()["onboarding"].by_input
VERSIONS = ("20260101T000000-aaaaaaaa", "20260201T000000-bbbbbbbb", "20260301T000000-cccccccc")


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shelf on which three versions were put, one after the other."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    for version, base in zip(VERSIONS, (-1.0, -5.0, 5.0), strict=True):
        shelve(NAME, base=base)
        made = tmp_path / "models" / NAME / "1"
        card = Card.model_validate_json((made / "card.json").read_text())
        (made / "card.json").write_text(card.model_copy(update={"version": version}).model_dump_json())
        made.rename(made.with_name(version))
        (tmp_path / "models" / NAME / "served.json").write_text(json.dumps(history_without_1(tmp_path)))
        shelf.switch(tmp_path / "models", NAME, version, unlogged)
    return tmp_path / "models"


def history_without_1(root: Path) -> list[str]:
    listed = json.loads((root / "models" / NAME / "served.json").read_text())
    return [version for version in listed if version != "1"]


def run(*arguments: str) -> str:
    return CliRunner().invoke(jobs, ["models", NAME, *arguments], catch_exceptions=False, standalone_mode=False).output


def serving(models: Path) -> str:
    return shelf.current(models, NAME).name


def test_the_list_has_every_version_and_marks_the_one_that_serves(models):
    lines = run("list").splitlines()
    assert [line.split()[0] for line in lines[1:]] == [*VERSIONS[:2], "serves"]
    assert lines[3].split() == ["serves", VERSIONS[2], "logistic_regression", "AUC", "1.000", "1", "2026-01-31"]


def test_a_version_that_cannot_be_read_stays_in_the_list(models):
    (models / NAME / VERSIONS[0] / "card.json").write_text("{")
    assert f"{VERSIONS[0]}  cannot be read" in run("list")


def test_a_version_is_shown_with_its_metrics_and_the_thresholds_of_today(models, tmp_path):
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies/onboarding.yaml").write_text("thresholds: {low: 0.01, high: 0.5}")
    text = run("show")
    assert {"roc auc", "serves", "thresholds today", "low 0.01, high 0.5", VERSIONS[2]} <= {
        part.strip() for line in text.splitlines() for part in line.split("  ")
    }
    assert VERSIONS[0] in run("show", VERSIONS[0])


def test_a_comparison_has_metrics_inputs_and_thresholds(models):
    card = models / NAME / VERSIONS[0] / "card.json"
    changed = json.loads(card.read_text())
    changed["inputs"][0]["name"] = "another"
    changed["metrics"]["logistic_regression"]["roc_auc"] = 0.75
    card.write_text(json.dumps(changed))
    text = run("compare", VERSIONS[0], "current")
    assert "roc auc" in text
    assert "+0.2500" in text
    assert "inputs added: is_gt_18_years_old" in text
    assert "inputs removed: another" in text
    assert "thresholds today: low 0.15, high 0.6" in text


def test_a_promoted_version_serves_from_the_next_request_on(models):
    client = create_app(Fake(), clock=lambda: NOW).test_client()
    scores = []
    for version in (VERSIONS[1], VERSIONS[2]):
        assert run("promote", version) == f"{NAME} {version} serves\n" or serving(models) == version
        scores.append(client.post("/onboarding-risk-score/", json=APPLICANT).json["score"])
    assert scores[0] < 0.01 < 0.5 < scores[1]


def test_a_roll_back_goes_to_the_version_before_and_never_to_and_fro(models):
    assert run("rollback") == f"{NAME} {VERSIONS[1]} serves\n"
    assert run("rollback") == f"{NAME} {VERSIONS[0]} serves\n"
    with pytest.raises(BadParameter, match=rf"No version of {NAME} served before {VERSIONS[0]}"):
        run("rollback")
    assert serving(models) == VERSIONS[0]


def test_what_served_before_is_not_what_was_trained_before(models):
    run("promote", VERSIONS[0])
    assert run("rollback") == f"{NAME} {VERSIONS[2]} serves\n"
    run("rollback")
    run("promote", VERSIONS[2])
    assert run("rollback") == f"{NAME} {VERSIONS[1]} serves\n"


def test_a_link_that_somebody_moved_by_hand_is_right(models):
    (models / NAME / ".next").symlink_to(VERSIONS[0])
    os.replace(models / NAME / ".next", models / NAME / "current")
    with pytest.raises(BadParameter, match="No version"):
        run("rollback")
    run("promote", VERSIONS[2])
    assert run("rollback") == f"{NAME} {VERSIONS[0]} serves\n"


def test_the_log_of_acts_says_who_promoted_and_rolled_back(models):
    run("promote", VERSIONS[0])
    run("promote", VERSIONS[0])  # it serves already
    run("rollback")
    acts = list(lines.read_folder(settings.root().cases))
    who = f"cli:{getpwuid(os.getuid()).pw_name}"
    assert [(line["model"], line["act"], line["version"]) for line in acts] == [
        (NAME, "promote", VERSIONS[0]), (NAME, "rollback", VERSIONS[2])
    ]  # fmt: skip
    assert {line["caller"] for line in acts} == {who}


@pytest.mark.parametrize("left", [None, "{", "[]", '["x"]'])
def test_a_root_without_a_history_goes_back_to_the_older_version(models, left):
    file = models / NAME / "served.json"
    file.unlink() if left is None else file.write_text(left)
    if left in ("[]", '["x"]'):
        with pytest.raises(BadParameter):
            run("rollback")
    else:
        assert run("rollback") == f"{NAME} {VERSIONS[1]} serves\n"


def test_a_version_that_somebody_deleted_is_passed_over(models):
    for file in (models / NAME / VERSIONS[1]).iterdir():
        file.unlink()
    assert run("rollback") == f"{NAME} {VERSIONS[0]} serves\n"


def spoil(models, what):
    folder = models / NAME / VERSIONS[0]
    card = json.loads((folder / "card.json").read_text())
    if what == "onnx":
        (folder / "model.onnx").write_bytes(b"no model")
    elif what == "sum":
        card["base"] += 1.0
    elif what == "input":
        card["inputs"][0]["name"] = "another"
    elif what == "version":
        card["version"] = "another"
    (folder / "card.json").write_text(json.dumps(card))


@pytest.mark.parametrize("what", ["onnx", "sum", "input", "version"])
def test_a_version_that_cannot_serve_is_refused_and_nothing_changes(models, what):
    spoil(models, what)
    before = (models / NAME / "served.json").read_text()
    with pytest.raises(ModelBroken):
        run("promote", VERSIONS[0])
    run("rollback")
    with pytest.raises(ModelBroken):
        run("rollback")
    assert serving(models) == VERSIONS[1]
    assert json.loads((models / NAME / "served.json").read_text()) == json.loads(before)[:2]


def test_an_unknown_version_is_answered_with_the_nearest_one(models):
    for command in (
        ("show", VERSIONS[0][:-1]),
        ("promote", VERSIONS[0][:-1]),
        ("compare", VERSIONS[0][:-1], "current"),
    ):
        with pytest.raises(BadParameter, match=f"Did you mean '{VERSIONS[0]}'"):
            run(*command)


def test_a_risk_without_models_says_how_to_train_one(tmp_path, monkeypatch):
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    for command in (("list",), ("show",), ("rollback",)):
        with pytest.raises(ModelNotTrained, match="jobs train onboarding"):
            run(*command)


def test_a_model_without_declared_inputs_is_loaded_as_it_serves(models):
    scorer = promotion.loaded(models, NAME, VERSIONS[0], INPUTS)
    assert scorer.score(np.zeros((1, len(INPUTS)))).shape == (1,)
    assert history.versions(models / NAME) == list(VERSIONS)
