"""How the scores of a published model are explained: exactly if it is linear in its inputs, else by sampling."""

import io
from collections.abc import Callable

import numpy as np

from model import shelf
from model.card import Card, Sampling
from model.explanation import Sampled, background_rows
from model.link import LINKS, Link
from model.publishing.fitted import Fitted
from model.session import Session
from model.shapley import Trees

Sums = Callable[[np.ndarray], np.ndarray]
#: Training rows that a model is probed with, to see whether it is linear.
PROBED_ROWS = 1_000
#: A probability outside may have lost digits of its log-odds in 32 bits. It is no probe.
LEAST, SUREST = 1e-3, 0.999
#: The error of sampling is measured on this many training rows, against this many times as many orders.
MEASURED_ROWS, MEASURED_ROUNDS = 8, 8
ERROR_QUANTILE = 0.95


def explained(card: Card, model: Fitted, rows: np.ndarray) -> tuple[Card, str | None]:
    """The card with what explains the model, and the text of the file that does, if it needs one. `rows` are the
    training rows, (n, inputs), without missing values. A linear model that was fitted, and small trees, are scored by
    the sum of what explains them."""
    if model.weights is not None or model.trees is not None:
        has_sums = model.trees is None or Trees(model.trees).have_sums
        return card.model_copy(update={"scored_by": "sums" if has_sums else "onnx"}), model.trees
    session, link = Session(model.onnx), LINKS[card.task]

    def sums(some: np.ndarray) -> np.ndarray:
        return link.sum_of(link.score_of(session.answer(some)))

    linear = affine(sums, rows, link, is_probability=card.task == "classification")
    if linear is not None:
        base, weights = linear
        inputs = (i.model_copy(update={"weight": float(w)}) for i, w in zip(card.inputs, weights, strict=True))
        return card.model_copy(update={"base": base, "inputs": tuple(inputs)}), None
    text = background(rows, [i.name for i in card.inputs])
    sampled = Sampled(text, sums)
    sampling = Sampling(rows=text.count("\n") - 1, error=_error(sampled, rows))
    digest = shelf.sha256(text.encode())
    return card.model_copy(update={"base": sampled.base, "sampled": sampling, "background_sha256": digest}), text


def affine(sums: Sums, rows: np.ndarray, link: Link, is_probability: bool) -> tuple[float, np.ndarray] | None:
    """The sum at the means of `rows` and the weight of each input, (inputs,), if the sum is linear in the inputs within
    the link's tolerance, also beyond the training rows. None if it is not, or if that cannot be seen."""
    rng = np.random.default_rng(0)
    means, low, high = rows.mean(axis=0), rows.min(axis=0), rows.max(axis=0)
    spans = np.where(high > low, high - low, np.maximum(np.abs(low), 1.0))
    some = rows[rng.permutation(len(rows))[:PROBED_ROWS]]
    probes = [some]
    for reach in (0.5, 10.0):
        moved = rng.random(some.shape) < 0.5
        probes.append(np.where(moved, low - reach * spans + (1 + 2 * reach) * spans * rng.random(some.shape), some))
    points = np.vstack(probes)
    targets = sums(points)
    if is_probability:
        probabilities = link.of_sum(targets)
        inner = (probabilities > LEAST) & (probabilities < SUREST)
        points, targets = points[inner], targets[inner]
    if len(points) < 4 * (rows.shape[1] + 1):
        return None
    design = np.column_stack([np.ones(len(points)), (points - means) / spans])
    solution, _, rank, _ = np.linalg.lstsq(design, targets, rcond=None)
    weights = solution[1:] / spans
    parts = np.column_stack([np.full(len(points), solution[0]), (points - means) * weights])
    difference = np.abs(link.of_sum(targets) - link.of_sum(parts.sum(axis=1)))
    is_linear = rank == design.shape[1] and bool((difference <= link.tolerance(parts)).all())
    is_close = np.abs(parts.sum(axis=1) - targets).max() <= 1e-3 * max(float(targets.std()), 1e-12)
    return (float(solution[0]), weights) if is_linear and is_close else None


def background(rows: np.ndarray, names: list[str]) -> str:
    """Some training rows as CSV, with every digit."""
    count = min(background_rows(rows.shape[1]), len(rows))
    kept = rows[np.sort(np.random.default_rng(0).permutation(len(rows))[:count])]
    buffer = io.StringIO()
    np.savetxt(buffer, kept, fmt="%.17g", delimiter=",", header=",".join(names), comments="")
    return buffer.getvalue()


def _error(sampled: Sampled, rows: np.ndarray) -> float:
    """The 95 % quantile of the difference between a sampled contribution and one of many more orders."""
    some = rows[np.linspace(0, len(rows) - 1, min(MEASURED_ROWS, len(rows))).astype(int)]
    given = sampled.contributions(some)
    all_rounds = sampled.contributions(some, rounds=MEASURED_ROUNDS + 1)
    others = (all_rounds * (MEASURED_ROUNDS + 1) - given) / MEASURED_ROUNDS
    return float(np.quantile(np.abs(given - others), ERROR_QUANTILE))
