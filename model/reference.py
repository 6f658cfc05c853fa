"""The reference of a model: how its inputs and its scores were distributed in the training rows, as quantiles.
`reference.json` lies beside the card. Monitoring compares the traffic with it."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import numpy as np

from errors import ModelBroken
from model.card import Card, Part
from model.shelf import CARD, REFERENCE, sha256

#: The name of the score among the distributions.
SCORE = "score"
#: The share of the rows that a group of bins has at least. The population stability index is of groups.
LEAST_GROUP = 0.1
#: The hours of a day from Monday to Friday, and those of a day at the weekend.
HOURS = 48
_HOUR_US, _DAY_HOURS, _WEEK_DAYS, _EPOCH_WEEKDAY, _SATURDAY = 3_600_000_000, 24, 7, 3, 5


def hours_of(timestamps: np.ndarray) -> np.ndarray:
    """The hour of each timestamp (µs since 1970, UTC): 0 to 23 from Monday to Friday, 24 to 47 at the weekend.

    >>> hours_of(np.array([0, 3_600_000_000 * 24 * 2]))  # a Thursday and a Saturday
    array([ 0, 24])
    """
    hours = timestamps // _HOUR_US
    weekday = (hours // _DAY_HOURS + _EPOCH_WEEKDAY) % _WEEK_DAYS
    return np.asarray(hours % _DAY_HOURS + _DAY_HOURS * (weekday >= _SATURDAY))


class Distribution(Part):
    """The training rows of one input, or of the score.

    Bin k has the values above `edges[k − 1]` up to `edges[k]`, and the last but two those above every edge. The last
    two bins have the rows with the `default`, which stands where nothing is stored, and those without a value. With
    `by_hour`, the distribution follows the clock, and the counts are also those of each hour (`hours_of`). Rows may
    come in bursts: then about `spread` of them say as much as one.
    """

    name: str
    default: float | None = None
    is_few: bool
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    by_hour: Mapping[int, tuple[int, ...]] | None = None
    spread: float = 1.0

    def bins(self, values: np.ndarray) -> np.ndarray:
        """The bin of each value, shape (n,). NaN is no value."""
        bins = np.searchsorted(self.edges, values, side="left")
        bins = np.where(values == self.default, len(self.edges) + 1, bins) if self.default is not None else bins
        return np.where(np.isnan(values), len(self.edges) + 2, bins)

    def count(self, values: np.ndarray) -> np.ndarray:
        """How many of the values, shape (n,), are in each bin."""
        return np.bincount(self.bins(values), minlength=len(self.edges) + 3)

    @cached_property
    def groups(self) -> np.ndarray:
        """The group of each bin, shape (bins,): neighbours together, so that each has a tenth of the rows or more. The
        defaults and the missing values are a group each, and so is each of few values."""
        counts = np.array(self.counts)
        *values, _, _ = counts.tolist()
        least, groups, group, rows, left = LEAST_GROUP * sum(values), np.zeros(len(counts), int), 0, 0, sum(values)
        for number, count in enumerate(values):
            groups[number], rows, left = group, rows + count, left - count
            if self.is_few or min(rows, left) >= least > 0:
                group, rows = group + 1, 0
        groups[-2:] = group + 1, group + 2
        return groups

    def grouped(self, counts: np.ndarray) -> np.ndarray:
        """The counts of bins as those of groups."""
        return np.bincount(self.groups, weights=counts)

    def ordered(self, counts: np.ndarray) -> np.ndarray:
        """The counts of bins in the order of their values: the defaults are among the values, and nothing stands for
        those that are missing."""
        *values, defaults, _ = counts.tolist()
        if self.default is not None:
            values[int(np.searchsorted(self.edges, self.default))] += defaults
        return np.array(values)

    def expected(self, hours: np.ndarray) -> np.ndarray:
        """The counts, shape (bins,), of training rows that are spread over the hours as `hours`, shape (48,), says. The
        sum is the number of rows that are as sure: few of an hour with a large share count for little."""
        if self.by_hour is None or not hours.sum():
            return np.array(self.counts, dtype=float)
        shares, unsure = np.zeros(len(self.counts)), 0.0
        for hour, counts in self.by_hour.items():
            if not hours[hour]:
                continue
            share, rows = hours[hour] / hours.sum(), sum(counts)
            shares += share * np.array(counts) / rows
            unsure += share**2 / rows
        return np.asarray(shares / unsure)

    def knows(self, hours: np.ndarray) -> np.ndarray:
        """Whether each of some hours can be compared, shape (n,). What follows the clock cannot in an hour without
        training rows."""
        return np.ones(len(hours), bool) if self.by_hour is None else np.isin(hours, list(self.by_hour))


class Reference(Part):
    """The distributions of the inputs, in the order of the card, and of the score."""

    rows: int
    distributions: tuple[Distribution, ...]


def read(version: Path) -> Reference | None:
    """The reference of the version in that folder. None if it has none: an older version of this code trained it.
    Raises ModelBroken."""
    remedy = f"Train again: python -m jobs train {version.parent.name}"
    try:
        card = Card.model_validate_json((version / CARD).read_bytes())
        if card.reference_sha256 is None:
            return None
        content = (version / REFERENCE).read_bytes()
        if sha256(content) != card.reference_sha256:
            raise ModelBroken(f"{version / REFERENCE} is not the one that the card describes. {remedy}")
        return Reference.model_validate_json(content)
    except (OSError, ValueError) as error:
        raise ModelBroken(f"{version / REFERENCE} cannot be read ({type(error).__name__}). {remedy}") from error
