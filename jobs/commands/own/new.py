"""`python -m jobs new`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli import console
from cli.values import Whole
from features import DOMAINS
from jobs.commands.own.importing import show
from jobs.commands.own.options import dialect_options, is_terminal

MOST_DAYS = 3650
COLUMN = "[OURS=]THEIRS"


@click.command()
@click.argument("domain", help="The name of the new domain: one word, in small letters.")
@click.option(
    "--from", "files", required=True, multiple=True, type=click.Path(path_type=Path), metavar="FILE",
    show_default="none; it must be given", help="A CSV, Parquet or Excel file of its events. May be repeated.",
)  # fmt: skip
@click.option("--time", metavar=COLUMN, show_default="asked for", help="The column of the event time.")
@click.option(
    "--id", "identity", metavar=f"{COLUMN} or OURS,OURS", show_default="asked for",
    help="The column that names an event; or columns of ours that name it together.",
)  # fmt: skip
@click.option(
    "--key", "keys", multiple=True, metavar=COLUMN, show_default="asked for",
    help="A column whose values have a history: a customer, a merchant, a device. May be repeated.",
)  # fmt: skip
@click.option(
    "--amount", "amounts", multiple=True, metavar=COLUMN, show_default="asked for",
    help="A column of numbers, such as an amount. May be repeated.",
)  # fmt: skip
@click.option(
    "--label", metavar=COLUMN, show_default="asked for", help="The column that is 1 where an event ended badly."
)
@click.option(
    "--label-time", metavar=COLUMN, show_default="asked for",
    help="Instead of --label: the column that has a timestamp where an event ended badly.",
)  # fmt: skip
@click.option(
    "--label-after", type=Whole(0, MOST_DAYS), metavar="DAYS", show_default="asked for",
    help="How many days after an event its end is known.",
)  # fmt: skip
@click.option("--table", metavar="NAME", show_default="DOMAIN_events", help="The raw table of its events.")
@click.option("--only", is_flag=True, help="Switch off all other domains. Their files stay.")
@dialect_options
def new(
    domain: str,
    files: tuple[Path, ...],
    only: bool,
    stated: dict[str, Any],
    quarantine: Path | None,
    **columns: Any,
) -> None:
    """Write a new domain from a file of its events.

    The file is imported, too. What is not given is asked for on a terminal. No existing file is overwritten.
    """
    import settings
    from jobs.commands.own.questions import Answers, command_line
    from jobs.own.new import creating, naming

    naming.check_domain(domain, settings.PROJECT, DOMAINS)  # before somebody answers questions
    answers = Answers(domain, files, stated, columns, is_terminal())
    spec, now = answers.spec(), datetime.now(UTC)
    if answers.is_asking:  # a bad row may stop it, and nobody answers twice
        rest = [*(["--only"] if only else []), *(["--quarantine", str(quarantine)] if quarantine else [])]
        console.line(f"The same without questions:\n{command_line(spec, files, rest)}")
    created = creating.create(
        settings.root(), settings.PROJECT, spec, files, now, settings.hash_key(), only, quarantine
    )
    show(created.report, quarantine, now)
    console.line(f"{created.bad:,} of {created.known:,} events with a known end ended badly.")
    for file in created.files:
        console.line(f"Wrote {file.relative_to(settings.PROJECT)}")
    console.line("Next: make pipeline")
