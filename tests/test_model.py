"""Numbers in, score out. The card explains a score exactly, and the shelf never gives half a model."""

import json
import os
import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from constants import override
from fake import unlogged
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from errors import ModelBroken, ModelNotTrained
from model import shelf
from model.card import Card
from model.scorer import Scorer, Scorers

NAMES = ("is_known", "rate", "trips")
MEANS, SPREADS = [0.3, 0.6, 40.0], [0.5, 0.2, 12.0]
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
SPLIT = {"since": NOON, "until": NOON, "rows": 9, "positives": 3}
METRICS = {"linear": {"roc_auc": 0.8, "average_precision": 0.5, "brier": 0.1, "log_loss": 0.3}}


def trained(seed, version=None, spreads=SPREADS):
    """The card and the bytes of a small logistic model, made as jobs/train/champion.py makes them."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(MEANS, spreads, (400, 3))
    log_odds = rng.normal(0, 1.5, 3) @ ((rows - MEANS) / spreads).T
    labels = rng.random(len(rows)) < 1 / (1 + np.exp(-log_odds))
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, labels)
    model = to_onnx(
        pipeline, initial_types=[("rows", FloatTensorType([None, 3]))], options={"zipmap": False}
    ).SerializeToString()
    weights = pipeline[-1].coef_[0] / pipeline[0].scale_
    inputs = [
        {"name": name, "dtype": "float", "missing": 0.0, "weight": weight, "mean": mean, "low": low, "high": high}
        for name, weight, mean, low, high in zip(
            NAMES, weights, pipeline[0].mean_, rows.min(axis=0), rows.max(axis=0), strict=True
        )
    ]
    card = Card(
        name="made_up", version=version or f"v{seed}", feature_service="made_up", champion="linear", algorithm="-",
        inputs=inputs, base=pipeline[-1].intercept_[0], train=SPLIT, test=SPLIT, metrics=METRICS,
        outcomes={}, libraries={},
        model_sha256=shelf.sha256(model),
    )  # fmt: skip
    return card, model


CARD, MODEL = trained(1)
ROW = np.array([[1.0, 0.2, 55.0]])


def put(directory, seed, **changes):
    card, model = trained(seed, **changes)
    return shelf.put(directory, card, model, "<!doctype html>", log=unlogged)


def files(directory):
    return {
        str(f.relative_to(directory)): os.readlink(f) if f.is_symlink() else f.read_bytes()
        for f in directory.rglob("*")
        if f.is_symlink() or (f.is_file() and f.suffix != ".lock")
    }


def logit(probabilities):
    return np.log(probabilities / (1 - probabilities))


@given(arrays(float, st.tuples(st.integers(1, 20), st.just(3)), elements=st.floats(-1.5, 1.5)))
def test_base_and_contributions_sum_to_the_score(units):
    scorer = Scorer(CARD, MODEL)
    rows = [i.mean for i in CARD.inputs] + units * SPREADS
    scores, contributions = scorer.score(rows), scorer.contributions(rows)
    assert scores.shape == (len(units),)
    assert contributions.shape == rows.shape
    assert np.abs(CARD.base + contributions.sum(axis=1) - logit(scores)).max() < 1e-4


def test_a_row_at_the_training_means_scores_the_base():
    scorer, means = Scorer(CARD, MODEL), np.array([[i.mean for i in CARD.inputs]])
    assert not scorer.contributions(means).any()
    assert logit(scorer.score(means)) == pytest.approx(CARD.base, abs=1e-4)


def test_a_score_is_a_probability_for_extreme_rows_too():
    scores = Scorer(CARD, MODEL).score(np.array([[1e6, 1e6, 1e6], [-1e6, -1e6, -1e6], [0, 0, 0]]))
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ModelBroken, match="gave a score that is no number"):
        Scorer(CARD, MODEL).score(np.array([[np.nan, 0.2, 55.0]]))


def test_a_row_scores_the_same_alone_and_among_others():
    scorer, rows = Scorer(CARD, MODEL), np.random.default_rng(3).normal(size=(50, 3))
    alone = np.concatenate([scorer.score(row[None]) for row in rows])
    assert scorer.score(rows) == pytest.approx(alone, abs=1e-6)


def test_a_version_on_the_shelf_comes_back_whole_and_serves(tmp_path):
    directory = put(tmp_path, 1)
    assert directory == tmp_path / "made_up" / "v1" == shelf.current(tmp_path, "made_up")
    assert shelf.take(directory) == (CARD, MODEL, None)
    assert (directory / "report.html").read_text() == "<!doctype html>"
    assert set(files(tmp_path)) == {f"made_up/{name}" for name in ("current", "served.json")} | {
        f"made_up/v1/{name}" for name in ("model.onnx", "card.json", "report.html")
    }


def test_a_new_version_serves_at_once_and_an_old_one_can_come_back(tmp_path):
    scorers = Scorers(tmp_path)
    served = {}
    for version in (1, 2):
        put(tmp_path, version)
        assert scorers["made_up"].card.version == f"v{version}"
        served[version] = scorers["made_up"].score(ROW)[0]
    assert served[1] != served[2]
    shelf.switch(tmp_path, "made_up", "v1", unlogged)
    assert scorers["made_up"].card.version == "v1"
    assert scorers["made_up"].score(ROW)[0] == served[1]


def test_a_model_is_loaded_once_while_it_serves(tmp_path):
    put(tmp_path, 1)
    scorers = Scorers(tmp_path)
    assert scorers["made_up"] is scorers["made_up"]


def test_two_names_on_a_shelf_do_not_meet(tmp_path):
    put(tmp_path, 1)
    other, model = trained(2)
    shelf.put(tmp_path, other.model_copy(update={"name": "another"}), model, "", log=unlogged)
    scorers = Scorers(tmp_path)
    assert (scorers["made_up"].card.version, scorers["another"].card.version) == ("v1", "v2")


def test_a_version_is_never_overwritten(tmp_path):
    put(tmp_path, 1)
    put(tmp_path, 2)
    before = files(tmp_path)
    with pytest.raises(FileExistsError, match="written once"):
        put(tmp_path, 3, version="v1")
    assert files(tmp_path) == before


@pytest.mark.parametrize("fails", ["report", "folder", "link"])
def test_the_old_version_goes_on_if_the_new_one_cannot_be_written(tmp_path, monkeypatch, fails):
    put(tmp_path, 1)
    before = files(tmp_path / "made_up" / "v1")

    replace = os.replace

    def full(source, target):
        if fails == ("link" if os.path.islink(source) else "folder"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    card, model = trained(2)
    with pytest.raises((OSError, UnicodeEncodeError)):
        shelf.put(tmp_path, card, model, "\ud800" if fails == "report" else "", log=unlogged)
    assert os.readlink(tmp_path / "made_up" / "current") == "v1"
    assert Scorers(tmp_path)["made_up"].card.version == "v1"
    assert files(tmp_path / "made_up" / "v1") == before
    assert not list((tmp_path / "made_up").glob(".new-*"))


def test_the_link_is_switched_after_the_version_is_written(tmp_path, monkeypatch):
    seen = []
    override(monkeypatch, shelf, switch=lambda *to: seen.append((to, set(files(tmp_path)))))
    put(tmp_path, 1)
    whole = {f"made_up/v1/{name}" for name in ("model.onnx", "card.json", "report.html")}
    assert seen == [((tmp_path, "made_up", "v1", unlogged), whole)]


def test_a_model_that_is_not_trained_says_how_to_train_it(tmp_path):
    with pytest.raises(ModelNotTrained, match="Run: python -m jobs train made_up"):
        Scorers(tmp_path)["made_up"]


def change_model(version):
    model = bytearray((version / "model.onnx").read_bytes())
    model[len(model) // 2] ^= 1
    (version / "model.onnx").write_bytes(model)


def change_card(version, change):
    card = json.loads((version / "card.json").read_text())
    change(card)
    (version / "card.json").write_text(json.dumps(card))


def no_onnx(version):
    (version / "model.onnx").write_bytes(b"no model")
    change_card(version, lambda card: card.update(model_sha256=shelf.sha256(b"no model")))


def weigh(version, factor):
    change_card(version, lambda card: card["inputs"][1].update(weight=factor * card["inputs"][1]["weight"]))


BREAKS = {
    "another model's bytes": change_model,
    "no model": lambda version: (version / "model.onnx").unlink(),
    "no card": lambda version: (version / "card.json").unlink(),
    "half a card": lambda version: (version / "card.json").write_text((version / "card.json").read_text()[:99]),
    "a card of unknown things": lambda version: change_card(version, lambda card: card.update(new=1)),
    "another weight": lambda version: weigh(version, 1.01),
    "a weight turned round": lambda version: weigh(version, -1),
    "inputs in another order": lambda version: change_card(version, lambda card: card["inputs"].reverse()),
    "another base": lambda version: change_card(version, lambda card: card.update(base=card["base"] + 0.01)),
    "an input too few": lambda version: change_card(version, lambda card: card["inputs"].pop()),
    "bytes that are no model": no_onnx,
    "no version": shutil.rmtree,
}


@pytest.mark.parametrize("broken", BREAKS)
def test_a_model_that_is_not_the_one_on_its_card_is_not_served(tmp_path, broken):
    BREAKS[broken](put(tmp_path, 1))
    with pytest.raises(ModelBroken, match="rain again"):
        Scorers(tmp_path)["made_up"]


@pytest.mark.parametrize("factor", [0.5, 0.9])
def test_another_weight_is_seen_in_an_input_that_varies_little(tmp_path, factor):
    weigh(put(tmp_path, 1, spreads=[0.5, 0.002, 12.0]), factor)
    with pytest.raises(ModelBroken):
        Scorers(tmp_path)["made_up"]
