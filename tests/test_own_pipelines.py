"""Usual estimators serve as they were fitted, or are refused with what to do."""

import numpy as np
import pandas as pd
import pytest
import readme
from own_model import FRAMES, X, risk_of
from own_pipelines import MIXED, REFUSED, SERVES

import model
from errors import ModelRefused
from model.link import LINKS
from model.publishing.estimators import fitted_with
from model.publishing.proof import allowed
from model.session import Session

pytestmark = pytest.mark.slow

FRAME, RISK = FRAMES["classification"].head(500), risk_of("classification")
PAGE = readme.DOCS / "how-to/publish-your-own-model.md"
#: With holes, as a feature store gives them. The service fills them.
HOLES = FRAME.assign(spent=FRAME["spent"].where(FRAME.index % 7 > 0))
CAN_LEARN_FROM_HOLES = [
    "SimpleImputer",
    "SimpleImputer(add_indicator=True)",
    "LGBMClassifier",
    "HistGradientBoostingClassifier",
]


def serve(estimator: object) -> list[bool]:
    """Of each way in which it becomes ONNX, whether it gives the estimator's scores."""
    rows = FRAME[X].to_numpy(float)
    whole = []
    for way in fitted_with(RISK, estimator):
        given, own = LINKS["classification"].score_of(Session(way.onnx).answer(rows)), way.scores(rows)
        whole.append(bool((np.abs(given - own) <= allowed(CLASSIFICATION, own)).all()))
    return whole


class CLASSIFICATION:
    """As much of a card as the bounds need."""

    task = "classification"


@pytest.mark.parametrize("name", [*SERVES, *MIXED])
def test_a_usual_estimator_gives_the_scores_that_it_was_fitted_for(name: str):
    estimator = (SERVES | MIXED)[name].fit(FRAME[X], FRAME["loyalty"])
    assert any(serve(estimator))


@pytest.mark.parametrize("name", CAN_LEARN_FROM_HOLES)
def test_an_estimator_that_learned_from_missing_values_serves(name: str):
    assert any(serve(SERVES[name].fit(HOLES[X], HOLES["loyalty"])))


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_form_in_onnx_is_refused_with_what_to_do(tmp_path, name: str):
    estimator, words = REFUSED[name]
    with pytest.raises(ModelRefused, match=words):
        model.publish(RISK, estimator.fit(FRAME[X], FRAME["loyalty"]), FRAME, root=tmp_path)
    assert not (tmp_path / "models").exists()


def test_the_page_names_what_serves_and_what_is_refused():
    text = PAGE.read_text()
    assert [name for name in [*SERVES, *REFUSED] if f"`{name}`" not in text] == []


def test_rows_with_missing_values_are_published_with_xgboost(tmp_path):
    estimator = SERVES["XGBClassifier"].fit(HOLES[X], HOLES["loyalty"])
    card = model.publish(RISK, estimator, HOLES, root=tmp_path)
    filled = HOLES[X].fillna({"spent": HOLES["spent"].median()})
    assert isinstance(filled, pd.DataFrame)
    served = model_scores(tmp_path, filled)
    assert served == pytest.approx(estimator.predict_proba(filled)[:, 1], abs=1e-6)
    assert "xgboost" in " ".join(card.libraries)


def model_scores(root, rows):
    from model.scorer import Scorers

    return Scorers(root / "models")["made_up"].score(rows.to_numpy(float))
