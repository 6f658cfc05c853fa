"""`python -m jobs import`."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from choices import listed
from cli import console
from jobs.commands.own.options import dialect_options, pair

if TYPE_CHECKING:
    from jobs.own.importing import Report

#: Windows look back a month at most, in most domains.
OLD = timedelta(days=30)


@click.command("import")
@click.argument("table", help="The raw table that gets the rows.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), help="CSV, Parquet or Excel files.")
@click.option(
    "--map", "columns", multiple=True, metavar="OURS=THEIRS", show_default="the same name",
    help="Which column of theirs a column of ours is. May be repeated.",
)  # fmt: skip
@click.option(
    "--id", "identity", metavar="OURS,OURS", show_default="their file has the id",
    help="Make the id of an event from these columns of ours.",
)  # fmt: skip
@dialect_options
def import_(
    table: str,
    files: tuple[Path, ...],
    columns: tuple[str, ...],
    identity: str | None,
    stated: dict[str, Any],
    quarantine: Path | None,
) -> None:
    """Add the rows of your own files to a raw table.

    What you state about a file is kept in sources/TABLE.yaml. The next file needs only its name.
    """
    import settings
    from jobs.own import importing, mapping

    raw = importing.raw_table_named(table)
    if columns:
        stated["columns"] = dict(pair(text, "--map") for text in columns)
    if identity:
        stated["id"] = tuple(name.strip() for name in identity.split(","))
    place = mapping.path_of(settings.sources(), raw.name)
    now = datetime.now(UTC)
    wanted, hash_key = mapping.read(place).changed(stated), settings.hash_key()
    report = importing.run(settings.root(), raw, files, wanted, place, now, hash_key, quarantine)
    show(report, quarantine, now)
    console.line(f"How these files are read is kept in {place}.")


def show(report: "Report", quarantine: Path | None, now: datetime) -> None:
    """Print what became of each row."""
    for file in report.files:
        console.line(str(file))
    if report.changes:
        console.line(f"{report.changes:,} of the kept rows change an earlier row.")
    if report.faults:
        console.line(f"Quarantined in {quarantine}:")
        for fault, count in report.faults.items():
            console.line(f"  {count:>9,}  {fault}")
    for remedy in report.remedies:
        console.line(remedy)
    if unread := list(dict.fromkeys(name for file in report.files for name in file.unread)):
        console.line(f"Left out: {listed(unread)}")
    if report.newest and now - report.newest > OLD:
        console.line(f"The newest row is of {report.newest:%Y-%m-%d}. A window of the last days holds none of them.")
