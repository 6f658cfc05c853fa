"""A training run's report: one HTML file with its pictures inside, readable without a network."""

import html
import io
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

from model.card import Card

INK, RISE, FALL, QUIET = "#1f2937", "#b91c1c", "#15803d", "#9ca3af"
matplotlib.rcParams.update(
    {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"}
)

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "figure{display:inline-block;margin:0 1rem 1rem 0;width:28rem;max-width:100%}svg{width:100%;height:auto}"
    "table{border-collapse:collapse;margin:0 0 1.5rem}td,th{padding:.25rem .9rem .25rem 0;text-align:left;"
    "border-bottom:1px solid #e5e7eb}td.n{text-align:right;font-variant-numeric:tabular-nums}"
)


def report(card: Card, labels: np.ndarray, scores: np.ndarray, importance: np.ndarray) -> str:
    """The page. `labels`, `scores`: (test rows,); `importance`: (inputs,), AUC lost when an input is shuffled."""
    pictures = {
        "ROC": lambda axes: RocCurveDisplay.from_predictions(labels, scores, ax=axes, name=card.name),
        "Precision and recall": lambda axes: PrecisionRecallDisplay.from_predictions(
            labels, scores, ax=axes, name=card.name
        ),
        "Calibration: is a score of 0.3 right three times in ten?": lambda axes: _calibration(axes, labels, scores),
        "Scores, with the thresholds": lambda axes: _distribution(axes, card, labels, scores),
        "Importance: AUC lost when the input is shuffled": lambda axes: _importance(axes, card, importance),
    }
    figures = "".join(
        f"<figure><figcaption>{html.escape(title)}</figcaption>{_svg(draw)}</figure>"
        for title, draw in pictures.items()
    )
    name = html.escape(f"{card.name} {card.version}")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title><style>{STYLE}</style>"
        f"<h1>{name}</h1><p>{html.escape(card.algorithm)}. All figures are on the test rows, which are later than "
        f"every training row.</p>{_facts(card)}{figures}</html>"
    )


def _facts(card: Card) -> str:
    def table(rows: list[tuple[object, ...]]) -> str:
        cells = (
            "".join(f"<td{' class=n' if i else ''}>{html.escape(_text(c))}" for i, c in enumerate(r)) for r in rows
        )
        return f"<table>{''.join(f'<tr>{row}' for row in cells)}</table>"

    splits = [(name, s.since.date(), s.until.date(), s.rows, s.positives / s.rows) for name, s in
              (("train", card.train), ("test", card.test))]  # fmt: skip
    return (
        table([("", "from", "to", "rows", "positive rate"), *splits])
        + table([("", *card.metrics), *_figures(card)])
        + table(
            [
                ("outcome", "share", "positive rate"),
                *((o, r.share, r.positive_rate) for o, r in card.outcomes.items()),
            ]
        )
        + table(
            [
                ("input", "log-odds per unit", "training mean", "least", "most"),
                *((i.name, i.weight, i.mean, i.low, i.high) for i in card.inputs),
            ]
        )
    )


def _figures(card: Card) -> list[tuple[object, ...]]:
    """Each figure, of the champion and of its challengers."""
    of = {name: metrics.model_dump() for name, metrics in card.metrics.items()}
    rows: list[tuple[object, ...]] = [(figure, *(m[figure] for m in of.values())) for figure in of[card.champion]]
    return [*rows, ("", *("serves" if n == card.champion else _why_not(card, n) for n in of))]


def _why_not(card: Card, name: str) -> str:
    against = card.refused.get(name)
    return f"goes against {', '.join(against)}" if against else "is less precise"


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else "–" if cell is None else str(cell)


def _svg(draw: Callable[[Axes], object]) -> str:
    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    draw(figure.subplots())
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _calibration(axes: Axes, labels: np.ndarray, scores: np.ndarray) -> None:
    seen, said = calibration_curve(labels, scores, n_bins=10, strategy="uniform")
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":")
    axes.plot(said, seen, marker="o", color=INK)
    axes.set(xlabel="score", ylabel="share that came true")


def _distribution(axes: Axes, card: Card, labels: np.ndarray, scores: np.ndarray) -> None:
    bins = np.linspace(0, 1, 41).tolist()
    axes.hist(
        [scores[labels == 0], scores[labels == 1]],
        bins=bins,
        stacked=True,
        color=[FALL, RISE],
        label=["0", "1"],
    )
    for threshold in (card.thresholds.approve_below, card.thresholds.decline_from):
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)
    axes.set(xlabel="score", ylabel="rows", yscale="log")
    axes.legend(title="outcome")


def _importance(axes: Axes, card: Card, importance: np.ndarray) -> None:
    order = np.argsort(importance)
    axes.barh([card.inputs[i].name for i in order], importance[order], color=INK)
