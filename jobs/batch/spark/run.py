"""The engine that `--engine spark` chooses."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from errors import BadParameter
from features.windows.tables import Table
from jobs.batch import at_ticks, partitions
from jobs.batch.layout import Layout
from jobs.batch.spark import session, staged
from jobs.batch.spark.reader import SparkReader, readable
from jobs.batch.table import Engine, Run
from jobs.raw import checks, relations

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def engine(options: Mapping[str, str], with_hive: bool = False) -> Engine:
    """Spark, with these options (`settings.spark`)."""
    return partial(_at_work, options, with_hive)


@contextmanager
def _at_work(options: Mapping[str, str], with_hive: bool, directory: Path) -> Iterator[Run]:
    with partitions.locked(directory), readable():
        run = _SparkRun(SparkReader(session.opened(options, with_hive)))
        try:
            yield run
        finally:
            for frame in run.kept:
                frame.unpersist()


@dataclass(frozen=True)
class _SparkRun:
    """A `Run` on Spark. `kept` are the frames that executors keep until it ends."""

    reader: SparkReader
    kept: list["DataFrame"] = field(default_factory=list)

    def events(
        self, table: Table, files: list[Path], end: datetime, first: int | None, quarantine: Path | None
    ) -> checks.Counts:
        counts, query = relations.events(self.reader, table, files, end, first, quarantine)
        self.reader.view("event", query)
        return counts

    def fold(self, layout: Layout, since: int | None, until: int) -> str:
        for a in layout.table.aggregations:
            if a.window is not None and layout.fixed_reach(a) is None:
                seen = f"{a.name} has a hop of {a.old_edge_hop}, which parts no day"
                raise BadParameter(f"{seen}. Spark has no frame for it: use duckdb.")
        tile = self.reader.frame(at_ticks.tiles(layout)).persist()
        self.kept.append(tile)
        tile.createOrReplaceTempView("tile")
        if layout.can_be_dense:
            ((is_dense,),) = self.reader.rows(at_ticks.is_dense_enough(layout))
            layout = replace(layout, is_dense=is_dense)
        self.reader.view("grid", at_ticks.grid(layout, since, until))
        return at_ticks.at_ticks(layout, since, until)

    def replace(
        self, query: str, directory: Path, key: str, since: datetime | None, until: datetime, now: datetime
    ) -> partitions.Replaced:
        return staged.replace(self.reader, query, directory, key, since, until, now)
