"""Files of a team that has never seen this project: other names, another dialect, bad rows."""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.parquet as pq

import settings
from features.windows import Column, RawTable
from jobs.own import importing, mapping
from jobs.own.importing import Report
from root import Root

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
#: The columns of `ORDERS`, and a row.
HEAD = "order_id,customer,ordered_at,amount"
ROW = "o1,c1,2026-11-01T12:00:00Z,12.50"
BERLIN = ZoneInfo("Europe/Berlin")
#: How `write` writes, as options of the command line.
DIALECT = ("--delimiter", ";", "--decimal", ",", "--time-zone", "Europe/Berlin", "--time-format", "%d.%m.%Y %H:%M:%S")
HEADER = "Bestellnr;Kunden-Nr;Händler;Bestellt am;Betrag;Betrug;Bemerkung"
#: Days of orders before the newest.
DAYS = 90
#: A raw table of a stream, and one without an id.
ORDERS = RawTable(
    "own_orders",
    time="ordered_at",
    id="order_id",
    is_live=True,
    columns=(
        Column("order_id", "string"),
        Column("customer", "string"),
        Column("amount", "float", minimum=0),
        Column("is_fraud", "int", is_optional=True, minimum=0, maximum=1),
        Column("is_fraud_timestamp", "timestamp", is_optional=True),
    ),
)
VISITS = RawTable("own_visits", columns=(Column("customer", "string"), Column("pages", "int", is_optional=True)))


def write(path: Path, count: int, now: datetime, seed: int = 1) -> dict[str, int]:
    """Write `count` orders of the days before `now`. Nine customers in a hundred are thieves: they buy often and for
    much. Returns how many rows of each kind the file has: good, duplicates, bad."""
    chance = random.Random(seed)
    lines, kinds = [HEADER], {"good": 0, "duplicates": 0, "bad": 0}
    for number in range(count):
        when = (now - timedelta(days=DAYS * (count - number) / count)).astimezone(BERLIN)
        is_thief = chance.random() < 0.06
        customer = chance.randrange(90) if is_thief else 90 + chance.randrange(910)
        amount = chance.gammavariate(2, 60 if is_thief else 15)
        label = "ja" if is_thief and chance.random() < 0.8 else "nein"
        cells = [f"B{number:06d}", f"{customer:05d}", f"H{chance.randrange(40):02d}", f"{when:%d.%m.%Y %H:%M:%S}",
                 f"{amount:.2f}".replace(".", ","), label, '"bar; sofort"' if number % 50 == 0 else ""]  # fmt: skip
        kind = "bad" if _is_ambiguous(when) else "good"
        if number % 1000 == 100:
            kind, cells = "bad", [*cells, "zuviel"]  # a row with a cell too many
        elif number % 1000 == 200:
            kind, cells[4] = "bad", "auf Anfrage"
        elif number % 1000 == 300:
            kind, cells[1] = "bad", ""
        elif number % 1000 == 400:
            kind, cells[5] = "bad", "vielleicht"
        lines.append(";".join(cells))
        kinds[kind] += 1
        if number % 500 == 50 and kind == "good":
            lines.append(lines[-1])
            kinds["duplicates"] += 1
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return kinds


def _is_ambiguous(when: datetime) -> bool:
    """Whether the clock in Berlin shows this time twice."""
    naive = when.replace(tzinfo=None)
    return naive.replace(tzinfo=BERLIN, fold=0).utcoffset() != naive.replace(tzinfo=BERLIN, fold=1).utcoffset()


class Importer:
    """Imports on a root of its own, with a mapping of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, Root(folder / "root")
        self.kept = folder / "sources" / "own_orders.yaml"
        self.quarantine = folder / "bad.csv"

    def file(self, text: str, name: str = "orders.csv") -> Path:
        (self.folder / name).write_text(text, "utf-8")
        return self.folder / name

    def run(self, *files: Path, raw: RawTable = ORDERS, now: datetime = NOW, **stated: Any) -> Report:
        quarantine = self.quarantine if stated.pop("quarantines", False) else None
        wanted = mapping.read(self.kept).changed(stated)
        return importing.run(self.root, raw, files, wanted, self.kept, now, settings.hash_key(), quarantine)

    def rows(self, raw: RawTable = ORDERS) -> list[dict[str, Any]]:
        files = sorted(self.root.raw_table(raw.name).glob("*.parquet"))
        return [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]


def counts(report: Report) -> list[tuple[int, int, int, int]]:
    """Of each file: rows in, kept, duplicates, quarantined."""
    for file in report.files:
        assert file.rows == file.kept + file.duplicates + file.quarantined
    return [(file.rows, file.kept, file.duplicates, file.quarantined) for file in report.files]


if __name__ == "__main__":
    write(Path(sys.argv[1]), 30_000, datetime.now(UTC))
