"""What a model must show before it serves: the service can load it, and would give the scores that were trained."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from errors import ModelBroken, ModelRefused
from model import shelf
from model.card import Card
from model.scorer import Scorer

#: A served probability p may differ from the trained one by this much, and by this share of p · (1 − p).
PROBABILITY_BOUND, PROBABILITY_SHARE = 1e-6, 1e-3
#: A served number may differ by this share of the standard deviation of the trained ones. If they are all equal, it may
#: differ by this share of the number, which is the rounding of a 32-bit float.
NUMBER_SHARE, ROUNDING_SHARE = 1e-3, 2e-7
OTHERWISE = "If none is large, ONNX computes a step of the model in another way: use another step or estimator. "
STAYS = "The current model stays."


def loaded(name: str, load: Callable[[], Scorer]) -> Scorer:
    """The scorer of a model of that name, as `load` gives it. Raises ModelRefused if it cannot be loaded."""
    try:
        return load()
    except ModelBroken as error:
        cause, _, _ = error.message.partition(" Train again")
        raise ModelRefused(f"The model of {name} cannot be served. {cause} {STAYS}") from error


def taken(version: Path) -> Scorer:
    """The scorer of the version in that folder, loaded as the service loads it. Raises ModelRefused."""
    return loaded(version.parent.name, lambda: Scorer(*shelf.take(version)))


def hold(scorer: Scorer, rows: np.ndarray, trained: np.ndarray) -> float:
    """Compare the scores that would be served with those of the trained model, `trained`, before any bounds. `rows` has
    shape (n, inputs), without missing values; `trained` has shape (n,). Returns the largest difference. Raises
    ModelRefused if a difference is beyond `allowed`, or a score is no finite number."""
    card = scorer.card
    expected = trained if card.bounds is None else trained.clip(*card.bounds)
    served = scorer.score(rows)
    differences, limits = np.abs(served - expected), allowed(card, expected)
    beyond = ~(differences <= limits)  # also where a score is NaN
    if beyond.any():
        row = int(np.argmax(np.where(np.isfinite(differences), differences / np.maximum(limits, 1e-300), np.inf)))
        values = ", ".join(f"{i.name} {value:.10g}" for i, value in zip(card.inputs, rows[row], strict=True))
        raise ModelRefused(
            f"The model of {card.name} would not serve what was trained: {int(beyond.sum()):,} of {len(rows):,} "
            f"training rows get another score. At {values} the service would give {served[row]:.6g}, and the trained "
            f"model gives {expected[row]:.6g}; they may differ by {limits[row]:.2g}. Count large inputs from a nearer "
            f"zero, so that 32-bit numbers keep their digits. {OTHERWISE if card.is_own else ''}{STAYS}"
        )
    return float(differences.max(initial=0.0))


def allowed(card: Card, scores: np.ndarray) -> np.ndarray:
    """By how much a served score may differ from the trained one, for scores of shape (n,)."""
    if card.task == "classification":
        return np.asarray(PROBABILITY_BOUND + PROBABILITY_SHARE * scores * (1 - scores))
    spread = float(scores.std()) if len(scores) else 0.0
    return np.full(len(scores), NUMBER_SHARE * spread) if spread else ROUNDING_SHARE * np.abs(scores)
