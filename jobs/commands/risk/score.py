"""`python -m jobs score`."""

import time
from datetime import UTC, datetime, timedelta

import click

from cli import console
from cli.values import DURATION, TIMESTAMP
from errors import RiskError
from jobs.commands.risk import RISK


@click.command()
@click.argument("risk", help=RISK)
@click.option("--as-of", type=TIMESTAMP, show_default="the clock", help="Decide on what was known at this timestamp.")
@click.option("--every", type=DURATION, show_default="once", help="Go on for ever: 30s, 15m, 24h, 1d.")
def score(risk: str, as_of: datetime | None, every: timedelta | None) -> None:
    """Decide about everybody in a risk's population.

    The decisions go to the audit log and to the pages.
    """
    import settings
    from features.domains import risk_named

    declared = risk_named(risk)
    from jobs import score as scoring
    from serving.retrieval import FeastStore

    root, store = settings.root(), FeastStore(settings.FEATURE_REPO)
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
