"""The reference of a model, from its training rows: quantiles, what follows the clock, and how bursty rows are."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.domains import empty_inputs
from features.risk import Risk
from model import drift
from model.reference import HOURS, SCORE, Distribution, Reference, hours_of

#: Up to this many distinct values, a bin is a value. Otherwise it is between two percentiles.
FEW_VALUES, QUANTILES = 20, 100
#: Training rows are compared with all of them in blocks of this many, in the order of their timestamps.
BLOCK_ROWS = 200
#: A distribution follows the clock if its hours predict the rows of other days this much better than all rows do: the
#: mean index is less by `LEAST_GAIN`, and this share of it at most.
LEAST_GAIN, MOST_LEFT = 0.05, 0.5
#: The index that this share of the blocks exceeds says how bursty rows are.
SURPRISING = 0.05
_DAY_US = 86_400_000_000


@dataclass(frozen=True)
class _Column:
    """One input, or the score: the training rows in the order of their timestamps, µs since 1970."""

    values: np.ndarray
    times: np.ndarray

    def part(self, is_in: np.ndarray) -> "_Column":
        return _Column(self.values[is_in], self.times[is_in])


def reference(risk: Risk, frame: pd.DataFrame, scores: np.ndarray) -> Reference:
    """The reference of the training rows `frame` and of their scores, shape (rows,). An input keeps its missing values,
    and what stands for it where nothing is stored is counted apart."""
    defaults = empty_inputs(risk)
    columns = {i.name: frame[i.name].astype(float).to_numpy() for i in risk.inputs} | {SCORE: scores}
    times = None
    if "event_timestamp" in frame:
        times = frame["event_timestamp"].dt.as_unit("us").astype("int64").to_numpy()
    distributions = (distribution(name, values, times, defaults.get(name)) for name, values in columns.items())
    return Reference(rows=len(frame), distributions=tuple(distributions))


def distribution(name: str, values: np.ndarray, times: np.ndarray | None, default: float | None = None) -> Distribution:
    """The distribution of some values, shape (n,), NaN where there is none. `times` are µs since 1970; without them,
    nothing is known of the clock and of bursts."""
    present = values[~np.isnan(values)]
    present = present if default is None else present[present != default]
    edges = np.unique(present)
    if not (is_few := len(edges) <= FEW_VALUES):
        edges = np.unique(np.quantile(present, np.arange(1, QUANTILES + 1) / QUANTILES, method="inverted_cdf"))
    drawn = Distribution(name=name, default=default, is_few=is_few, edges=tuple(edges.tolist()), counts=())
    if times is None:
        return _counted(drawn, values)
    order = np.argsort(times, kind="stable")
    column = _Column(values[order], times[order])
    drawn = _hourly(drawn, column) if _follows_clock(drawn, column) else _counted(drawn, values)
    return drawn.model_copy(update={"spread": _spread(drawn, column)})


def _counted(drawn: Distribution, values: np.ndarray) -> Distribution:
    return drawn.model_copy(update={"counts": tuple(drawn.count(values).tolist())})


def _hourly(drawn: Distribution, column: _Column) -> Distribution:
    hours = hours_of(column.times)
    by_hour = {int(hour): tuple(drawn.count(column.values[hours == hour]).tolist()) for hour in np.unique(hours)}
    return _counted(drawn, column.values).model_copy(update={"by_hour": by_hour})


def _follows_clock(drawn: Distribution, column: _Column) -> bool:
    """Whether the hours of every other day tell what the hours of the days between them are like."""
    is_even = column.times // _DAY_US % 2 == 0
    if is_even.all() or not is_even.any():
        return False
    even, odd = column.part(is_even), column.part(~is_even)
    by_all = np.array([index for index, _ in _blocks(_counted(drawn, even.values), odd)])
    by_hour = np.array([index for index, _ in _blocks(_hourly(drawn, even), odd)])
    if not len(by_all) or not len(by_hour):
        return False
    gain = by_all.mean() - by_hour.mean()
    return bool(gain >= LEAST_GAIN and by_hour.mean() <= MOST_LEFT * by_all.mean())


def _spread(drawn: Distribution, column: _Column) -> float:
    """How many rows say as much as one: what the index of blocks seldom exceeds, by what it would not exceed if each
    row were drawn by itself."""
    ratios = [index / alone for index, alone in _blocks(drawn, column)]
    return max(1.0, float(np.quantile(ratios, 1 - SURPRISING))) if ratios else 1.0


def _blocks(drawn: Distribution, column: _Column) -> Iterator[tuple[float, float]]:
    """The index of each block of rows, and what rows that are drawn one by one would seldom exceed."""
    hours = hours_of(column.times)
    is_known = drawn.knows(hours)
    values, hours = column.values[is_known], hours[is_known]
    for first in range(0, len(values) - BLOCK_ROWS + 1, BLOCK_ROWS):
        block = slice(first, first + BLOCK_ROWS)
        expected = drawn.grouped(drawn.expected(np.bincount(hours[block], minlength=HOURS)))
        seen = drawn.grouped(drawn.count(values[block]))
        bins = int(((expected > 0) | (seen > 0)).sum())
        yield drift.psi(expected, seen), drift.quantile(SURPRISING, max(bins - 1, 1)) / BLOCK_ROWS
