"""What a file of any form is read as: batches of cells as they are in it, with their lines."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BATCH_ROWS = 50_000


@dataclass(frozen=True)
class Batch:
    """Some rows of a file. `lines` counts from 1, the header included; of a Parquet file it is the number of the row.
    `cells` is column → a cell a row. `ragged` is number of a row in the batch → the text of a row that has not as many
    cells as the header; its cells are None."""

    lines: list[int]
    cells: dict[str, list[Any]]
    ragged: dict[int, str]


@dataclass(frozen=True)
class TheirFile:
    """A file with its header, and a function that reads it from the beginning."""

    path: Path
    header: list[str]
    batches: Callable[[], Iterator[Batch]]
