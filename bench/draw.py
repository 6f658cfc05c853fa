"""Draws the table "At a glance" of bench/README.md.

    python bench/draw.py            (writes bench/glance.svg)

A bar is a ratio, on a logarithmic axis: right of 1 ours is better. A mark is the goal.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

README = Path(__file__).parent / "README.md"
PICTURE = README.with_name("glance.svg")
HEADING = "## At a glance"
#: Ink, better than the peer, worse than the peer.
INK, BETTER, WORSE = "#1f2937", "#15803d", "#b91c1c"
WIDTH_INCHES, ROW_INCHES = 9.0, 0.27


@dataclass(frozen=True)
class Row:
    """A line of the table. `goal` is None where there was none."""

    measure: str
    peer: str
    ratio: float
    goal: float | None


def rows(text: str) -> list[Row]:
    """The rows of the table in this text. Raises ValueError if there is none."""
    section = text.partition(f"{HEADING}\n")[2].partition("\n## ")[0]
    cells = [[cell.strip(" *") for cell in line.split("|")[1:-1]] for line in section.splitlines() if line[:1] == "|"]
    if len(cells) < 3:
        raise ValueError(f"{HEADING} has no table.")
    table: list[Row] = []
    for measure, peer, ratio, goal, *_ in cells[2:]:
        name = table[-1].measure if measure == "〃" else measure
        table.append(Row(name, peer, _number(ratio), _number(goal) if goal else None))
    return table


def _number(cell: str) -> float:
    match = re.match(r"[\d.]+", cell)
    if match is None:
        raise ValueError(f"{cell!r} begins with no number.")
    return float(match[0])


def drawn(table: list[Row]) -> str:
    """The table as an `<svg>` document, the same for the same rows."""
    with matplotlib.rc_context({"font.size": 9, "svg.fonttype": "none", "svg.hashsalt": "glance"}):
        figure = Figure(figsize=(WIDTH_INCHES, ROW_INCHES * (len(table) + 3)), layout="constrained")
        axes = figure.subplots()
        places = range(len(table), 0, -1)
        colours = [BETTER if row.ratio >= 1 else WORSE for row in table]
        axes.barh(places, [row.ratio - 1 for row in table], left=1, color=colours, height=0.6)
        for place, row in zip(places, table, strict=True):
            end, text = (max(row.ratio, 1), place), f"{row.ratio:g} ×"
            axes.annotate(text, end, (6, 0), textcoords="offset points", va="center", color=INK)
        goals = [(row.goal, place) for place, row in zip(places, table, strict=True) if row.goal]
        axes.plot(*zip(*goals, strict=True), "|", color=INK, markersize=11, markeredgewidth=2, label="goal")
        axes.axvline(1, color=INK, linewidth=0.8)
        axes.set_xscale("log")
        axes.set_xticks([0.3, 0.5, 1, 2, 5, 10, 20], labels=["0.3", "0.5", "1", "2", "5", "10", "20"])
        axes.set_xticks([], minor=True)
        axes.set_yticks(list(places), labels=[f"{row.measure}, × {row.peer}".replace("`", "") for row in table])
        axes.set_xlabel("ratio; right of 1, ours is better")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.legend(loc="lower right", frameon=False)
        picture = io.StringIO()
        figure.savefig(picture, format="svg", metadata={"Date": None})
    return picture.getvalue()


if __name__ == "__main__":
    PICTURE.write_text(drawn(rows(README.read_text())))
