"""The report of a training run: one HTML file with its pictures inside. `report.html` is its template."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from features.risk import Appetite, Risk
from model.card import Card, OutcomeRate, Split, Task
from model.report.groups import fair_treatment
from model.report.pictures import Pictures, number_pictures, probability_pictures, svg
from model.report.tables import Row, calibration, costs_of, percent, thresholds


@dataclass(frozen=True)
class Words:
    """How the report speaks of a task. `label` names the figure that `of_split` and `of_outcome` give of some labels;
    `weight` is the unit of an input's weight; `worse` says why a challenger does not serve."""

    pictures: Pictures
    label: str
    of_split: Callable[[Split], object]
    of_outcome: Callable[[OutcomeRate], object]
    weight: str
    worse: str


WORDS: Mapping[Task, Words] = {
    "classification": Words(
        probability_pictures,
        "positive rate",
        lambda split: percent((split.positives or 0) / split.rows),
        lambda outcome: percent(outcome.positive_rate),
        "log-odds per unit",
        "is less precise",
    ),
    "regression": Words(
        number_pictures,
        "mean",
        lambda split: split.mean,
        lambda outcome: outcome.mean,
        "score per unit",
        "has the larger errors",
    ),
}


def report(
    card: Card,
    risk: Risk,
    appetite: Appetite,
    frame: pd.DataFrame,
    labels: np.ndarray,
    scores: np.ndarray,
    importance: np.ndarray,
) -> str:
    """The page, with the thresholds of `appetite`. `frame` has the test rows, and `labels` and `scores` are theirs,
    shape (test rows,).
    `importance` has shape (inputs,): how much worse the model is when an input is shuffled, in AUC or RMSE."""
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=folder, autoescape=True, undefined=StrictUndefined)
    environment.filters["as_text"] = _as_text
    groups = filter(None, [fair_treatment(risk, appetite, frame, labels, scores)])
    pictures = WORDS[card.task].pictures(card, appetite, labels, scores, importance)
    return environment.get_template("report.html").render(
        card=card,
        tables=[*_tables(card), *_by_score(risk, appetite, labels, scores), *groups, ("Inputs", "", _inputs(card))],
        pictures={title: svg(draw) for title, draw in pictures.items()},
    )


INTERVALS = "If other test rows of this kind were drawn, the champion's metrics would be here in 19 of 20 cases."
#: A title, a sentence or nothing, and the rows with their headings first.
Table = tuple[str, str, list[Row]]


def _tables(card: Card) -> list[Table]:
    return [
        ("Rows", "", _splits(card)),
        ("Models", f"On the same test rows. {_chosen(card)}", _metrics(card)),
        *([("Rehearsal", _rehearsed(card), _rehearsal(card))] if card.rehearsal else []),
        *([("Intervals", INTERVALS, _intervals(card))] if card.intervals else []),
        ("Outcomes", "With the thresholds of today.", _outcomes(card)),
    ]


def _by_score(risk: Risk, appetite: Appetite, labels: np.ndarray, scores: np.ndarray) -> list[Table]:
    """Of a classification: what other thresholds would cost, and the calibration."""
    if risk.task == "regression":
        return []
    costs, text = costs_of(risk)
    return [
        ("Thresholds", text, thresholds(appetite, costs, labels, scores)),
        ("Calibration", "The interval is Wilson's.", calibration(labels, scores)),
    ]


def _splits(card: Card) -> list[Row]:
    words = WORDS[card.task]
    return [
        ("", "from", "to", "rows", words.label),
        *(
            (name, _day(split.since), _day(split.until), split.rows, words.of_split(split))
            for name, split in (("train", card.train), ("test", card.test))
        ),
    ]


def _metrics(card: Card) -> list[Row]:
    """Each figure that applies to the task, of the champion and of its challengers."""
    figures = {name: metrics.model_dump() for name, metrics in card.metrics.items()}
    names = {name: name for name, value in figures[card.champion].items() if value is not None}
    if card.top and "card_precision" in names:
        names["card_precision"] = f"card_precision, top {card.top}"
    roles = [_role(card, name) for name in figures]
    if card.replaced:
        figures[f"before: {card.replaced.version}"] = card.replaced.metrics.model_dump()
        roles.append("served at the time")
    return [
        ("", *figures),
        *((label, *(values.get(name) for values in figures.values())) for name, label in names.items()),
        ("", *roles),
    ]


def _chosen(card: Card) -> str:
    return f"The champion was chosen by {'the rehearsal' if card.rehearsal else 'these figures, which flatter it'}."


def _rehearsed(card: Card) -> str:
    """How the champion was chosen, and calibrated."""
    assert card.rehearsal is not None
    past, later = card.rehearsal.train, card.rehearsal.test
    chosen = (
        f"The same algorithms, fitted on {past.rows:,} rows of {_day(past.since)} to {_day(past.until)}, and measured "
        f"on {later.rows:,} rows of {_day(later.since)} to {_day(later.until)}. They chose the champion."
    )
    if card.calibration is None:
        return chosen
    line = f"{card.calibration.slope:g} times those that it learned, plus {card.calibration.intercept:g}"
    return f"{chosen} The calibration is from them, too: its log-odds are {line}."


def _rehearsal(card: Card) -> list[Row]:
    assert card.rehearsal is not None
    figures = {name: metrics.model_dump(exclude_none=True) for name, metrics in card.rehearsal.metrics.items()}
    names = next(iter(figures.values()))
    return [("", *figures), *((name, *(values[name] for values in figures.values())) for name in names)]


def _intervals(card: Card) -> list[Row]:
    figures = card.quality.model_dump()
    return [
        ("metric", card.champion, "from", "to"),
        *((name, figures[name], low, high) for name, (low, high) in card.intervals.items()),
    ]


def _role(card: Card, algorithm: str) -> str:
    if algorithm == card.champion:
        return "the best"
    against = card.refused.get(algorithm)
    if against:
        return f"goes against {', '.join(against)}"
    return f"{WORDS[card.task].worse}{' in the rehearsal' if card.rehearsal else ''}"


def _outcomes(card: Card) -> list[Row]:
    words = WORDS[card.task]
    rates = ((outcome, percent(rate.share), words.of_outcome(rate)) for outcome, rate in card.outcomes.items())
    return [("outcome", "share", words.label), *rates]


def _inputs(card: Card) -> list[Row]:
    inputs = ((i.name, i.weight, i.mean, i.low, i.high) for i in card.inputs)
    return [("input", WORDS[card.task].weight, "training mean", "least", "most"), *inputs]


def _day(timestamp: datetime | None) -> date | None:
    return None if timestamp is None else timestamp.date()


def _as_text(cell: object) -> str:
    if cell is None:
        return "–"
    if isinstance(cell, float):
        return f"{cell:.4g}"
    return f"{cell:,}" if isinstance(cell, int) else str(cell)
