"""A training run's report: one HTML file with its pictures inside, readable without a network."""

import html
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from jobs.train.pictures import Pictures, of_numbers, of_probabilities, svg
from model.card import Card, OutcomeRate, Split, Task

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1f2937;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "figure{display:inline-block;margin:0 1rem 1rem 0;width:28rem;max-width:100%}svg{width:100%;height:auto}"
    "table{border-collapse:collapse;margin:0 0 1.5rem}td,th{padding:.25rem .9rem .25rem 0;text-align:left;"
    "border-bottom:1px solid #e5e7eb}td.n{text-align:right;font-variant-numeric:tabular-nums}"
)


@dataclass(frozen=True)
class Words:
    """How the report speaks of a task. `label`: what it says of the labels of some rows, by `of_split` and
    `of_outcome`. `weight`: what an input's weight means."""

    pictures: Pictures
    label: str
    of_split: Callable[[Split], float | None]
    of_outcome: Callable[[OutcomeRate], float | None]
    weight: str
    worse: str


WORDS: Mapping[Task, Words] = {
    "classification": Words(
        of_probabilities,
        "positive rate",
        lambda split: (split.positives or 0) / split.rows,
        lambda outcome: outcome.positive_rate,
        "log-odds per unit",
        "is less precise",
    ),
    "regression": Words(
        of_numbers,
        "mean",
        lambda split: split.mean,
        lambda outcome: outcome.mean,
        "score per unit",
        "errs more",
    ),
}


def report(card: Card, labels: np.ndarray, scores: np.ndarray, importance: np.ndarray) -> str:
    """The page. `labels`, `scores`: (test rows,); `importance`: (inputs,), how much worse the model is when an input is
    shuffled, in AUC or RMSE."""
    pictures = WORDS[card.task].pictures(card, labels, scores, importance)
    figures = "".join(
        f"<figure><figcaption>{html.escape(title)}</figcaption>{svg(draw)}</figure>" for title, draw in pictures.items()
    )
    bounds = f" A score is kept between {card.bounds[0]:g} and {card.bounds[1]:g}." if card.bounds else ""
    name = html.escape(f"{card.name} {card.version}")
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{name}</title><style>{STYLE}</style>"
        f"<h1>{name}</h1><p>{html.escape(card.algorithm)}. All figures are on the test rows, which are later than "
        f"every training row.{bounds}</p>{_facts(card)}{figures}</html>"
    )


def _facts(card: Card) -> str:
    def table(rows: list[tuple[object, ...]]) -> str:
        cells = (
            "".join(f"<td{' class=n' if i else ''}>{html.escape(_text(c))}" for i, c in enumerate(r)) for r in rows
        )
        return f"<table>{''.join(f'<tr>{row}' for row in cells)}</table>"

    words = WORDS[card.task]
    splits = [
        (name, s.since.date(), s.until.date(), s.rows, words.of_split(s))
        for name, s in (("train", card.train), ("test", card.test))
    ]
    return (
        table([("", "from", "to", "rows", words.label), *splits])
        + table([("", *card.metrics), *_figures(card)])
        + table(
            [("outcome", "share", words.label), *((o, r.share, words.of_outcome(r)) for o, r in card.outcomes.items())]
        )
        + table(
            [
                ("input", words.weight, "training mean", "least", "most"),
                *((i.name, i.weight, i.mean, i.low, i.high) for i in card.inputs),
            ]
        )
    )


def _figures(card: Card) -> list[tuple[object, ...]]:
    """Each figure that applies, of the champion and of its challengers."""
    of = {name: metrics.model_dump() for name, metrics in card.metrics.items()}
    rows: list[tuple[object, ...]] = [
        (f, *(m[f] for m in of.values())) for f, value in of[card.champion].items() if value is not None
    ]
    return [*rows, ("", *("serves" if n == card.champion else _why_not(card, n) for n in of))]


def _why_not(card: Card, name: str) -> str:
    against = card.refused.get(name)
    return f"goes against {', '.join(against)}" if against else WORDS[card.task].worse


def _text(cell: object) -> str:
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else "–" if cell is None else str(cell)
