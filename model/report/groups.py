"""How groups of people are treated: approval and error rates, and the four-fifths rule."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.risk import Appetite, Risk
from model.report.tables import Row, percent, wilson

#: A group is compared if its approval rate is less than this share of the highest one: the four-fifths rule.
LEAST_RATIO = 0.8
#: Of fewer rows, a rate says too little to be compared.
LEAST_ROWS = 30
TITLE, NO_GROUP = "Fair treatment", "not known"
HEADING = (
    "group", "rows", "approved", "95 % interval", "ratio to the highest", "good cases not approved", "of", "interval",
    "bad cases approved", "of", "interval", "",
)  # fmt: skip


@dataclass(frozen=True)
class Share:
    """Some of `count` rows."""

    some: int
    count: int

    @property
    def share(self) -> float | None:
        """None where there are no rows."""
        return self.some / self.count if self.count else None

    @property
    def interval(self) -> str | None:
        """The 95 % interval, after Wilson."""
        return " to ".join(str(percent(end)) for end in wilson(self.some, self.count)) if self.count else None


@dataclass(frozen=True)
class Group:
    """The rows of one group. `wrongly_stopped` are of the good cases, and `wrongly_approved` of the bad ones; both are
    None where the cases have no labels. `ratio` is that of the approval rate to the highest of the groups that can be
    compared; None if this one cannot."""

    name: str
    approved: Share
    wrongly_stopped: Share | None
    wrongly_approved: Share | None
    ratio: float | None = None

    @property
    def mark(self) -> str:
        """What to know of the group."""
        if self.ratio is None:
            return f"too few: under {LEAST_ROWS} rows"
        return "below four fifths" if self.ratio < LEAST_RATIO else ""


def by_group(names: pd.Series, approved: np.ndarray, labels: np.ndarray | None) -> list[Group]:
    """The groups, the largest first. `names` is the group of each row, `approved` whether its outcome is the mildest
    one, and `labels` is 1 for a bad case; shape (n,) each."""
    keys = names.astype("string").fillna(NO_GROUP).to_numpy(str)
    groups = []
    for key in np.unique(keys):
        inside = keys == key
        groups.append(Group(
            str(key),
            _share(approved[inside]),
            None if labels is None else _share(~approved[inside & (labels == 0)]),
            None if labels is None else _share(approved[inside & (labels == 1)]),
        ))  # fmt: skip
    rates = [group.approved.share or 0.0 for group in groups if group.approved.count >= LEAST_ROWS]
    highest = max(rates, default=0.0)
    return sorted((_compared(group, highest) for group in groups), key=lambda group: -group.approved.count)


def _compared(group: Group, highest: float) -> Group:
    if group.approved.count < LEAST_ROWS:
        return group
    ratio = (group.approved.share or 0.0) / highest if highest else 1.0
    return Group(group.name, group.approved, group.wrongly_stopped, group.wrongly_approved, ratio)


def _share(chosen: np.ndarray) -> Share:
    return Share(int(chosen.sum()), len(chosen))


def rows_of(groups: list[Group]) -> list[Row]:
    """The groups as rows of a table, under `HEADING`."""
    return [
        (
            group.name, group.approved.count, percent(group.approved.share), group.approved.interval,
            None if group.ratio is None else f"{group.ratio:.2f}",
            *_cells(group.wrongly_stopped), *_cells(group.wrongly_approved), group.mark,
        )
        for group in groups
    ]  # fmt: skip


def _cells(share: Share | None) -> Row:
    return (None, None, None) if share is None else (percent(share.share), share.count, share.interval)


def fair_treatment(
    risk: Risk, appetite: Appetite, frame: pd.DataFrame, labels: np.ndarray, scores: np.ndarray
) -> tuple[str, str, list[Row]] | None:
    """The table of a report: a title, what it says, and rows with their headings. `frame` has the test rows, `labels`
    and `scores` are theirs. None if the risk declares no group."""
    if risk.group is None:
        return None
    if risk.group not in frame:
        return TITLE, f"The test rows have no column {risk.group}, which is the group that the risk declares.", []
    mildest = appetite.word(0)
    approved = np.digitize(scores, [appetite.low, appetite.high]) == appetite.words.index(mildest)
    groups = by_group(frame[risk.group], approved, labels if risk.task == "classification" else None)
    text = (
        f"By {risk.group}, which is no input of the model. Approved means {mildest}, by the thresholds of today and "
        f"without rules. A group whose approval rate is under {LEAST_RATIO:.0%} of the highest one is marked."
    )
    return TITLE, text, [HEADING, *rows_of(groups)]
