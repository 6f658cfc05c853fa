"""The pictures of a backtest and of a tuning, as PNG, SVG or HTML."""

import html
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from errors import BadParameter
from files import replacing
from jobs.backtest.cases import SCORE, Cases
from jobs.backtest.costs import PARTS
from jobs.backtest.measures import Measures
from jobs.backtest.tuning import Proposal, Scored, curve
from model.report.pictures import FALL, INK, QUIET, RISE, svg

SUFFIXES = (".png", ".svg", ".html")
#: Inches of one picture.
WIDE, HIGH = 5.2, 3.6
Draw = Callable[[Axes], object]


def check(path: Path) -> None:
    """Raises BadParameter on a file that is none of SUFFIXES."""
    if path.suffix not in SUFFIXES:
        raise BadParameter(f"--picture {path} ends in {path.suffix or 'nothing'}. Use one of: {', '.join(SUFFIXES)}.")


def write(path: Path, title: str, text: str, pictures: Mapping[str, Draw]) -> None:
    """Write the pictures beside each other, each with its title; as HTML with the text. Raises BadParameter."""
    check(path)
    with replacing(path) as beside:
        if path.suffix == ".html":
            parts = (f"<h2>{html.escape(name)}</h2>{svg(draw)}" for name, draw in pictures.items())
            head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>"
            body = f"<h1>{html.escape(title)}</h1><pre>{html.escape(text)}</pre>{''.join(parts)}"
            beside.write_text(f"{head}{body}</html>")
            return
        figure = Figure(figsize=(WIDE * len(pictures), HIGH), layout="constrained")
        for axes, (name, draw) in zip(np.ravel(figure.subplots(1, len(pictures))), pictures.items(), strict=True):
            draw(axes)
            axes.set_title(name, fontsize=9)
        figure.savefig(beside, format=path.suffix[1:], dpi=150)


def of_backtest(cases: Cases, before: Measures, after: Measures) -> dict[str, Draw]:
    """The costs by part, and how many bad cases are among the highest scores."""
    return {
        "What it costs": lambda axes: _costs(axes, before, after),
        "Bad cases among the highest scores": lambda axes: _caught(axes, cases),
    }


def of_tuning(
    older: Scored, newer: Scored, proposal: Proposal, low: float, high: float, most: float
) -> dict[str, Draw]:
    """The cost of a case by each threshold, while the other one is the proposed one."""
    tried, means = curve(older, most)
    row = int(np.argmin(np.abs(np.minimum(tried, 1.0) - proposal.low)))
    column = int(np.argmin(np.abs(np.minimum(tried, 1.0) - proposal.high)))

    def drawn(costs: np.ndarray, of_newer: np.ndarray, present: float, best: float, name: str) -> Draw:
        def draw(axes: Axes) -> None:
            finite = np.isfinite(costs)
            axes.plot(tried[finite], costs[finite], color=INK, label="older half, chosen on")
            axes.plot(tried, of_newer, color=QUIET, label="newer half")
            axes.axvline(present, color=RISE, linestyle=":", label="in force")
            axes.axvline(best, color=FALL, linestyle="--", label="proposed")
            axes.set(xlabel=f"{name} threshold", ylabel="cost of a case")
            axes.legend(fontsize=7)

        return draw

    lows = np.array([newer.by_case(float(t), proposal.high).mean() for t in tried])
    highs = np.array([newer.by_case(proposal.low, float(t)).mean() for t in tried])
    return {
        "The low threshold": drawn(means[:, column], lows, low, proposal.low, "low"),
        "The high threshold": drawn(means[row], highs, high, proposal.high, "high"),
    }


def _costs(axes: Axes, before: Measures, after: Measures) -> None:
    base = np.zeros(2)
    for part, color in zip(PARTS, (RISE, INK, QUIET), strict=True):
        values = np.array([before.money[part], after.money[part]])
        axes.bar(["now", "then"], values, bottom=base, color=color, label=part.replace("_", " "))
        base += values
    axes.set(ylabel="cost")
    axes.legend(fontsize=7)


def _caught(axes: Axes, cases: Cases) -> None:
    for side, color, name in ((cases.before, QUIET, "now"), (cases.after, INK, "then")):
        order = np.argsort(-side[SCORE].to_numpy(), kind="stable")
        axes.plot(np.arange(1, len(order) + 1), np.cumsum(cases.bad[order]), color=color, label=name)
    axes.set(xlabel="cases, the highest scores first", ylabel="bad cases")
    axes.legend(fontsize=7)
