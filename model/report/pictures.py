"""The pictures of a training report, as SVG: those of probabilities, and those of estimated numbers."""

import io
from collections.abc import Callable

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import PrecisionRecallDisplay, RocCurveDisplay

from features.risk import Appetite
from model.card import Card
from model.report.tables import BINS, wilson

#: The card; the thresholds; labels and scores, (test rows,); importance, (inputs,) → title → the function that draws
#: the picture.
Pictures = Callable[[Card, Appetite, np.ndarray, np.ndarray, np.ndarray], dict[str, Callable[[Axes], object]]]

INK, RISE, FALL, QUIET = "#1f2937", "#b91c1c", "#15803d", "#9ca3af"
TENTHS = 10
#: Width and height of a picture, and the height of a bar, in inches.
FIGURE, BAR_INCHES = (4.6, 3.2), 0.2
matplotlib.rcParams.update(
    {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.fonttype": "none"}
)


def probability_pictures(
    card: Card, appetite: Appetite, labels: np.ndarray, scores: np.ndarray, importance: np.ndarray
) -> dict[str, Callable[[Axes], object]]:
    """The pictures of a classification."""
    return {
        "ROC": lambda axes: RocCurveDisplay.from_predictions(labels, scores, ax=axes, name=card.name),
        "Precision and recall": lambda axes: PrecisionRecallDisplay.from_predictions(
            labels, scores, ax=axes, name=card.name
        ),
        "Calibration: is a score of 0.3 right three times in ten?": lambda axes: _calibration(axes, labels, scores),
        "Scores, with the thresholds": lambda axes: _distribution(axes, appetite, labels, scores),
        "Importance: AUC lost when the input is shuffled": lambda axes: _importance(axes, card, importance),
    }


def number_pictures(
    card: Card, appetite: Appetite, labels: np.ndarray, scores: np.ndarray, importance: np.ndarray
) -> dict[str, Callable[[Axes], object]]:
    """The pictures of a regression."""
    return {
        "Score and truth, with the thresholds": lambda axes: _score_and_truth(axes, appetite, labels, scores),
        "Errors: truth minus score": lambda axes: _errors(axes, labels, scores),
        "By tenths of the rows: is a score right on average?": lambda axes: _tenths(axes, labels, scores),
        "Importance: RMSE gained when the input is shuffled": lambda axes: _importance(axes, card, importance),
    }


def svg(draw: Callable[[Axes], object]) -> str:
    """The picture as an `<svg>` element."""
    figure = Figure(figsize=FIGURE, layout="constrained")
    draw(figure.subplots())
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _calibration(axes: Axes, labels: np.ndarray, scores: np.ndarray) -> None:
    """A point for each bin that has rows, with the 95 % interval of its share."""
    number = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = [number == n for n in range(BINS) if (number == n).any()]
    shares = np.array([(labels[inside] == 1).mean() for inside in bins])
    ends = np.array([wilson(int((labels[inside] == 1).sum()), int(inside.sum())) for inside in bins])
    errors = np.abs(ends.T - shares)
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle=":")
    axes.errorbar([scores[inside].mean() for inside in bins], shares, yerr=errors, marker="o", color=INK, ecolor=QUIET)
    axes.set(xlabel="score", ylabel="share that came true")


def _distribution(axes: Axes, appetite: Appetite, labels: np.ndarray, scores: np.ndarray) -> None:
    bins = np.linspace(0, 1, 41).tolist()
    axes.hist(
        [scores[labels == 0], scores[labels == 1]],
        bins=bins,
        stacked=True,
        color=[FALL, RISE],
        label=["0", "1"],
    )
    _thresholds(axes, appetite)
    axes.set(xlabel="score", ylabel="rows", yscale="log")
    axes.legend(title="outcome", loc="upper right")


def _thresholds(axes: Axes, appetite: Appetite) -> None:
    for threshold in (appetite.low, appetite.high):
        axes.axvline(threshold, color=INK, linestyle="--", linewidth=1)


def _score_and_truth(axes: Axes, appetite: Appetite, labels: np.ndarray, scores: np.ndarray) -> None:
    """Rows are counted in cells. A point for each row would make a file of many megabytes."""
    axes.hexbin(scores, labels, gridsize=25, bins="log", cmap="Greys", mincnt=1)
    _diagonal(axes, labels)
    _thresholds(axes, appetite)
    axes.set(xlabel="score", ylabel="truth")


def _errors(axes: Axes, labels: np.ndarray, scores: np.ndarray) -> None:
    axes.hist(labels - scores, bins=40, color=INK)
    axes.axvline(0, color=QUIET, linestyle=":")
    axes.set(xlabel="truth minus score", ylabel="rows")


def _tenths(axes: Axes, labels: np.ndarray, scores: np.ndarray) -> None:
    """The error bar of a tenth is its mean absolute error, up and down."""
    tenths = [part for part in np.array_split(np.argsort(scores), TENTHS) if len(part)]
    mean_score, mean_truth = ([values[part].mean() for part in tenths] for values in (scores, labels))
    mean_error = [np.abs(labels[part] - scores[part]).mean() for part in tenths]
    _diagonal(axes, labels)
    axes.errorbar(mean_score, mean_truth, yerr=mean_error, marker="o", color=INK, ecolor=QUIET)
    axes.set(xlabel="mean score", ylabel="mean truth")


def _diagonal(axes: Axes, labels: np.ndarray) -> None:
    """Where score and truth are equal."""
    axes.plot([labels.min(), labels.max()], [labels.min(), labels.max()], color=QUIET, linestyle=":")


def _importance(axes: Axes, card: Card, importance: np.ndarray) -> None:
    """In per cent of the sum, the largest above. An input whose shuffling helps has 0."""
    lost = importance.clip(min=0)
    shares = 100 * lost / (lost.sum() or 1.0)
    order = np.argsort(shares, kind="stable")
    figure = axes.figure
    assert isinstance(figure, Figure)
    figure.set_figheight(max(FIGURE[1], 0.8 + BAR_INCHES * len(order)))  # a bar stays readable
    bars = axes.barh([card.inputs[i].name for i in order], shares[order], color=INK)
    axes.bar_label(bars, labels=[f"{share:.1f} %" for share in shares[order]], padding=2, fontsize=7)
    axes.tick_params(axis="y", labelsize=7)
    axes.set(xlabel="% of all that is lost", xlim=(0, max(1.0, 1.15 * shares.max())))
