"""The picture of the benchmarks is that of their table, and so are the figures of the README."""

import re
import sys

import pytest

import settings

sys.path.append(str(settings.PROJECT / "bench"))

import draw

TABLE = """
## At a glance

| measure | peer | ratio | goal | command |
|---|---|---|---|---|
| a `daily` decision | `feast serve` | **1.5** | 5 | `a.py` |
| 〃 | stock | 0.7 | | 〃 |

## Stores

| measure | peer | ratio | goal | command |
"""


def test_the_picture_is_that_of_the_table():
    assert draw.PICTURE.read_text() == draw.drawn(draw.rows(draw.README.read_text())), "run: python bench/draw.py"


def test_a_table_is_read_with_its_goals():
    assert draw.rows(TABLE) == [
        draw.Row("a `daily` decision", "`feast serve`", 1.5, 5.0),
        draw.Row("a `daily` decision", "stock", 0.7, None),
    ]


@pytest.mark.parametrize("broken", ["", TABLE.replace("0.7", "fast"), TABLE.replace("At a glance", "Other")])
def test_a_text_without_the_table_is_refused(broken: str):
    with pytest.raises(ValueError, match=r"no table|no number"):
        draw.rows(broken)


def measured(text: str) -> str:
    return text.partition("\n## Measured\n")[2].partition("\n## ")[0]


def test_the_readme_has_the_ratios_of_the_table():
    ratios = [row.ratio for row in draw.rows(draw.README.read_text())]
    shown = re.findall(r"([\d.]+) ×", measured((settings.PROJECT / "README.md").read_text()))
    assert shown
    assert [text for text in shown if float(text) not in (*ratios, *map(round, ratios))] == []


def test_the_readme_has_the_metrics_of_the_model():
    metrics = re.findall(r"\| (0\.\d+) \|", measured((settings.PROJECT / "README.md").read_text()))
    means = re.findall(r"\| (0\.\d+) ±", draw.README.read_text())
    assert metrics == means
    assert len(means) == 3
