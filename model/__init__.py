"""Numbers in, score out. It knows neither Feast nor Flask, and never loads a pickle.

`model.publish` makes a model of your own the one that serves.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from features.risk import Risk
    from model.card import Card
    from root import Root


def publish(
    risk: "str | Risk",
    estimator: Any,
    training_frame: "pd.DataFrame",
    test_frame: "pd.DataFrame | None" = None,
    *,
    label: str | None = None,
    missing: Mapping[str, float] | None = None,
    algorithm: str | None = None,
    accept_against: Sequence[str] = (),
    root: "str | Path | Root | None" = None,
) -> "Card":
    """Make a model of your own the one that serves a risk. Returns its card. The next request is scored with it.

    risk            the name of a declared risk, or the risk
    estimator       a fitted scikit-learn classifier with `predict_proba`, a regressor, or a pipeline that ends in one;
                    a model of LightGBM or XGBoost; or an ONNX file, as its path or its bytes
    training_frame  the rows it was fitted on: a column for each input of the risk, numbers; the label, 0 or 1, or the
                    number of a regression; and, if you have it, `event_timestamp`, with a time zone
    test_frame      later rows in the same columns, for the metrics. Without it the metrics are those of the training
                    rows, and the card says so
    label           the name of the label's column; by default the one that the risk declares
    missing         input → the number that the service gives to the model where the input is missing; by default the
                    median of the training rows. The model never gets a missing value
    algorithm       the model in words, for the card
    accept_against  inputs in which the model may go against the direction that the risk declares
    root            the folder of all data; by default RISK_DATA, as for every command

    The model becomes ONNX. The scorer of the service loads it, and must give the estimator's scores on the training
    rows. One printed line says what goes on, since a slow model may take minutes. Raises ModelRefused if it cannot be
    served or goes against a declared direction, BadInput if a frame is wrong, BadParameter if there is no such risk.
    Then nothing changes.
    """
    from datetime import UTC, datetime

    import settings
    from features.domains import risk_named
    from model.publishing import own
    from root import Root
    from serving import acts, policies

    declared = risk_named(risk) if isinstance(risk, str) else risk
    folder = settings.root() if root is None else root if isinstance(root, Root) else Root(Path(root).resolve())
    actor = acts.operator(datetime.now(UTC))
    with acts.logged(folder.cases, actor, "model", declared.name, "publish") as log:
        return own.publish(
            folder.models, declared, policies.appetite(folder.policies, declared), estimator, training_frame,
            test_frame, now=actor.at, log=lambda version: log(version=version), label=label, missing=missing,
            algorithm=algorithm, accept_against=tuple(accept_against), tell=print,
        )  # fmt: skip
