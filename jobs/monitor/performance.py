"""How good the decisions were, by the outcomes that callers have fed back."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from sklearn.metrics import brier_score_loss, roc_auc_score, root_mean_squared_error

from features.domains import risks
from features.risk import Risk
from features.utc import utc
from root import Root
from serving.audit.lookup import OUTCOMES
from serving.audit.outcomes import latest, with_outcome
from serving.audit.positions import Positions
from serving.monitoring import Performance

#: Decisions of this long before now are measured.
MEASURED = timedelta(days=30)
#: Of fewer outcomes, a figure says too little.
LEAST_OUTCOMES = 30


def outcomes(root: Root) -> Iterator[tuple[Mapping[str, Any], float]]:
    """Each decision of which the outcome is known, as the log has it, with the outcome that became known last. Raises
    RootBroken."""
    for records in with_outcome(Positions(root.decisions, root.outcomes)):
        for record in records:
            if given := latest(record[OUTCOMES]):
                yield record, float(given["outcome"])


def size_of(root: Root) -> list[list[Any]]:
    """What the files of the outcomes look like: without a change, nothing was fed back."""
    return [[file.name, file.stat().st_size] for file in sorted(root.outcomes.glob("*.jsonl"))]


def realised(root: Root, now: datetime) -> list[Performance]:
    """Of each risk and model: the decisions of the last days whose outcomes are known. Raises RootBroken."""
    known: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for record, outcome in outcomes(root):
        if record["risk"] in risks() and now - MEASURED <= utc(record["as_of"]) <= now:
            known.setdefault((record["risk"], record["model"]["version"]), []).append((record["score"], outcome))
    return [measured(risks()[risk], version, np.array(pairs)) for (risk, version), pairs in sorted(known.items())]


def measured(risk: Risk, version: str, pairs: np.ndarray) -> Performance:
    """The figures of some decisions: scores and outcomes, shape (n, 2)."""
    scores, labels = pairs.T
    auc = brier = rmse = None
    if len(pairs) >= LEAST_OUTCOMES:
        if risk.task == "regression":
            rmse = float(root_mean_squared_error(labels, scores))
        elif len(np.unique(labels)) == 2:
            auc, brier = float(roc_auc_score(labels, scores)), float(brier_score_loss(labels, scores))
    return Performance(risk.name, version, len(pairs), float(labels.mean()), float(scores.mean()), auc, brier, rmse)
