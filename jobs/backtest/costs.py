"""What decisions cost, from a YAML file: a bad case that was not stopped, a good one that was, and a review."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from choices import unknown
from errors import BadInput
from files import fault

#: The parts of a file, each with what it is the cost of.
PARTS = {
    "missed": "a bad case that was let through",
    "wrong_decline": "a good case that was declined",
    "review": "a review",
}
REMEDY = "Write a number, or {per: COLUMN, times: NUMBER}"


@dataclass(frozen=True)
class Cost:
    """A cost for each case, or `times` the value of a column."""

    times: float
    per: str | None = None

    def by_row(self, rows: pd.DataFrame) -> np.ndarray:
        """The cost of each row, shape (rows,). A missing value costs nothing. Raises BadInput."""
        if self.per is None:
            return np.full(len(rows), self.times)
        if self.per not in rows:
            raise BadInput(unknown("column", self.per, list(rows), "The cases have none.").message)
        values = pd.to_numeric(rows[self.per], errors="coerce").astype(float)
        if values.isna().all() and len(rows):
            raise BadInput(f"The column {self.per} has no number in {len(rows):,} cases. Name another column.")
        return self.times * values.fillna(0.0).to_numpy()


@dataclass(frozen=True)
class CostTable:
    """The three costs, in one unit."""

    missed: Cost
    wrong_decline: Cost
    review: Cost

    def by_part(self, rows: pd.DataFrame, bad: np.ndarray, severity: np.ndarray) -> dict[str, np.ndarray]:
        """Part → what it cost for each row, shape (rows,). `severity` is 0 where a case was let through, 1 where it was
        reviewed and 2 where it was declined. A review finds out what a case is."""
        return {
            "missed": np.where(bad & (severity == 0), self.missed.by_row(rows), 0.0),
            "wrong_decline": np.where(~bad & (severity == 2), self.wrong_decline.by_row(rows), 0.0),
            "review": np.where(severity == 1, self.review.by_row(rows), 0.0),
        }


def read(path: Path) -> CostTable:
    """Raises BadInput."""
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise BadInput(f"{path} is not YAML: {' '.join(str(error).split())}. Correct it.") from None
    except (OSError, UnicodeDecodeError) as error:
        words = fault(error, path, "Name a file of costs.") if isinstance(error, OSError) else "Write it as UTF-8."
        raise BadInput(f"{path} cannot be read. {words}") from None
    if not isinstance(content, dict):
        raise BadInput(f"{path} has no costs. Write {', '.join(PARTS)}, each with a number.")
    for name in content:
        if name not in PARTS:
            raise BadInput(f"{path}: {unknown('cost', str(name), PARTS, '').message}")
    if absent := [name for name in PARTS if name not in content]:
        raise BadInput(f"{path} lacks {absent[0]}, the cost of {PARTS[absent[0]]}. {REMEDY}.")
    return CostTable(**{name: _cost(path, name, content[name]) for name in PARTS})


def _cost(path: Path, name: str, value: Any) -> Cost:
    per: Any = None
    if isinstance(value, Mapping):
        if value.keys() - {"per", "times"} or not isinstance(per := value.get("per"), str):
            raise BadInput(f"{path}: {name} is {value!r}. {REMEDY}.")
        value = value.get("times", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise BadInput(f"{path}: {name} is {value!r}, which is no cost. {REMEDY}, from 0 on.")
    return Cost(float(value), per)
