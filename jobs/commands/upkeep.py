"""`python -m jobs prune`."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import click

from cli import console
from cli.console import Column
from cli.values import DURATION
from jobs.commands.acts import act

MEGABYTE = 1e6


@click.command()
@click.option("--keep", type=DURATION, required=True, help="How long to keep, such as 400d.")
@click.option("--dry-run", is_flag=True, help="Only print what would be removed.")
def prune(keep: timedelta, dry_run: bool) -> None:
    """Remove what is older than the time to keep.

    That is: days of the event log that are processed, of the offline log, of the states, of the dead letters and of the
    decisions, and versions of models and of policies that no kept decision needs. Raw events, feature tables and
    datasets stay.
    """
    import settings
    from jobs import prune as pruning

    files, sizes = Counter[str](), Counter[str]()
    root = settings.root()
    items = list(pruning.old(root, keep, datetime.now(UTC)))
    for item in items:
        files[item.kind] += 1
        sizes[item.kind] += item.size_bytes
    if not files:
        console.line(f"Nothing is older than {keep.days} days.")
        return
    if not dry_run:
        with act("retention", f"{keep.days}d", "prune") as log:
            log(files=files)
            for item in items:
                pruning.remove(root, item)
    console.line("Would be removed:" if dry_run else "Removed:")
    rows = [(kind, f"{count:,}", f"{sizes[kind] / MEGABYTE:,.1f} MB") for kind, count in files.items()]
    console.table([Column("what"), Column("files", "right"), Column("size", "right")], rows, headings=True, indent=2)
