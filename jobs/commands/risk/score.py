"""`python -m jobs score`."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from cli import console
from cli.values import DURATION, TIMESTAMP
from errors import BadParameter, RiskError
from jobs.commands.risk import RISK


@click.command()
@click.argument("risk", help=RISK)
@click.option("--as-of", type=TIMESTAMP, show_default="the clock", help="Decide on what was known at this timestamp.")
@click.option("--every", type=DURATION, show_default="once", help="Go on for ever: 30s, 15m, 24h, 1d.")
@click.option(
    "--input",
    "source",
    type=click.Path(path_type=Path),
    show_default="the risk's population",
    help="Decide about the requests in this file (.csv, .parquet or .jsonl), with the online features of now.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    show_default="none",
    help="Write the decisions about them to this new file (.csv or .parquet).",
)
@click.option(
    "--quarantine",
    type=click.Path(path_type=Path),
    show_default="a bad row stops the job",
    help="Write bad rows of the input with their reasons to this new file (.csv) and go on.",
)
def score(
    risk: str,
    as_of: datetime | None,
    every: timedelta | None,
    source: Path | None,
    output: Path | None,
    quarantine: Path | None,
) -> None:
    """Decide about a population, or about a file.

    A population is everybody that a risk decides about on a schedule. A file holds requests. The decisions go to the
    audit log. Those about a population go to the pages, too.
    """
    import settings
    from features.domains import risk_named

    if (source is None) != (output is None):
        raise click.UsageError("--input and --output go together. Give both, or neither.")
    if (quarantine and source is None) or (every and source):
        raise click.UsageError("--quarantine goes with --input, and --every without it.")
    if as_of and as_of > datetime.now(UTC):  # the log of a day that has not come is no place for it
        raise BadParameter(
            f"--as-of is {as_of:%Y-%m-%d %H:%M:%S} UTC, which is in the future. Give a timestamp up to now."
        )
    declared = risk_named(risk)
    from jobs import score as scoring
    from serving.retrieval import FeastStore

    root, store = settings.root(), FeastStore(settings.FEATURE_REPO, settings.feature_store())
    if source and output:
        from jobs.requests.deciding import decide_file

        timestamp = as_of or datetime.now(UTC)
        counts = decide_file(root, store, settings.hash_key(), declared, source, output, timestamp, quarantine)
        quarantined = f", {counts.quarantined:,} bad rows quarantined" if counts.quarantined else ""
        repeated = f", {counts.repeated:,} of them from the log of an earlier run" if counts.repeated else ""
        decided = counts.rows - counts.quarantined
        console.line(f"{declared.name}: {counts.rows:,} requests, {decided:,} decisions{repeated}{quarantined}")
        return
    while True:
        timestamp, as_of = as_of or datetime.now(UTC), None
        try:
            count = scoring.score(root, store, declared, timestamp)
            console.line(f"{declared.name} as of {timestamp:%Y-%m-%d %H:%M:%S} UTC: {count:,} decisions")
        except RiskError as error:
            if not every:
                raise
            click.echo(f"{error.name}: {error.message} The next run comes in its turn.", err=True)
        if not every:
            return
        # From this run's start, so that a long run does not shift the next. A run that is overdue starts at once.
        time.sleep(max(0.0, (timestamp + every - datetime.now(UTC)).total_seconds()))
