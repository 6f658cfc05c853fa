"""A model that a team published serves until the team says otherwise: training puts its own models beside it."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from fake import unlogged
from regression import NAMES, declared, made_up
from sklearn.linear_model import LinearRegression

import model
import settings
from features import domains
from jobs.build.work import training
from jobs.commands import jobs
from jobs.train.champion import train
from model import history, promotion, shelf
from serving import retrieval

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC)
RISK = declared()


@pytest.fixture
def source(tmp_path, monkeypatch):
    """The made-up store; the risk is one that the commands know."""
    monkeypatch.setenv("RISK_DATA", str(tmp_path))
    source = made_up()
    monkeypatch.setattr(retrieval, "FeastStore", lambda *_: source)
    monkeypatch.setattr(domains, "risk_named", lambda name: RISK)
    return source


def published(source):
    frame = source.features.assign(loyalty=source.features["orders"] + 1.0)
    return model.publish(RISK, LinearRegression().fit(frame[list(NAMES)], frame["loyalty"]), frame)


def current():
    return shelf.current(settings.root().models, "made_up").name


def step(days):
    """What the pipeline prints of its training step, some days later."""
    return training.train(settings.root(), RISK, NOW + timedelta(days=days), lambda part: None)


def command(*arguments):
    return CliRunner().invoke(jobs, arguments, catch_exceptions=False, standalone_mode=False).output


def test_the_pipeline_keeps_a_published_model_and_says_how_to_replace_it(source):
    step(0)
    own = published(source)
    first, line = step(1).split("\n")
    assert current() == own.version
    assert first.endswith("your own model serves on")
    *_, trained = line.split()
    assert trained in set(history.versions(settings.root().models / "made_up")) - {own.version}
    assert f"made_up {own.version}, a model of your own, serves on" in line
    command(*line.split("python -m jobs ")[1].split())
    assert current() == trained
    assert "\n" not in step(2)
    assert current() not in (trained, own.version)


def test_the_command_that_shelves_says_what_takes_time_as_publish_does(source, capsys):
    published(source)
    (line,) = capsys.readouterr().out.splitlines()
    (onnx,) = (settings.root().models / "made_up" / current()).glob("*.onnx")
    first, *_ = command("shelve", "made_up", "--onnx", str(onnx), "--now", "2026-01-01").splitlines()
    assert line.endswith("A slow model takes minutes.")
    assert re.split("[0-9,]+ training", first.split(": ")[-1]) == re.split("[0-9,]+ training", line.split(": ")[-1])


def test_the_command_that_trains_keeps_it_too_and_marks_what_serves(source):
    own = published(source)
    printed = command("train", "made_up").splitlines()
    assert next(line.split()[:2] for line in printed if "serves" in line) == ["serves", own.version]
    assert "python -m jobs models made_up promote" in printed[-1]
    assert current() == own.version


def test_a_training_beside_lets_the_trained_version_serve_on(source):
    first = train(settings.root(), source, RISK, NOW - timedelta(days=1), unlogged)
    printed = command("train", "made_up", "--beside").splitlines()
    assert current() == first.version
    newest = history.versions(settings.root().models / "made_up")[-1]
    assert newest != first.version
    assert printed[-1] == (
        f"made_up {first.version} serves on. To let the trained one serve: "
        f"python -m jobs models made_up promote {newest}"
    )


def test_a_training_beside_serves_where_nothing_can(source):
    command("train", "made_up", "--beside")
    first = current()
    damaged(settings.root().models / "made_up" / first / "card.json")
    train(settings.root(), source, RISK, NOW + timedelta(days=1), unlogged, beside=True)
    assert current() != first


def test_a_model_that_a_roll_back_brought_back_is_kept_as_well(source):
    own = published(source)
    trained = train(settings.root(), source, RISK, NOW, unlogged)
    models = settings.root().models
    promotion.promote(models, "made_up", trained.version, RISK.by_input, unlogged)
    assert promotion.rollback(models, "made_up", RISK.by_input, unlogged) == own.version
    train(settings.root(), source, RISK, NOW + timedelta(days=1), unlogged)
    assert current() == own.version


def damaged(card):
    card.write_text("{")


def takes_another_input(card):
    text = json.loads(card.read_text())
    text["inputs"][0]["name"] = "gone"
    card.write_text(json.dumps(text))


@pytest.mark.parametrize("spoil", [damaged, takes_another_input])
def test_a_published_model_that_cannot_serve_is_replaced_with_a_note(source, spoil):
    own = published(source)
    spoil(settings.root().models / "made_up" / own.version / "card.json")
    card = train(settings.root(), source, RISK, NOW + timedelta(days=1), unlogged)
    assert current() == card.version
    assert "It takes the place of a version that cannot serve. " in card.notes[0]


def test_a_version_without_timestamps_is_listed_shown_and_compared(source):
    train(settings.root(), source, RISK, NOW, unlogged)
    own = published(source)
    assert f"serves  {own.version}  own" in command("models", "made_up", "list")
    assert "3,000, without timestamps" in command("models", "made_up", "show")
    older = history.versions(settings.root().models / "made_up")[0]
    assert "3,000, without timestamps" in command("models", "made_up", "compare", older, "current")
