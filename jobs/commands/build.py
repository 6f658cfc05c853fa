"""`python -m jobs pipeline`."""

from datetime import UTC, datetime

import click

from cli.sizes import size_options
from cli.values import SEED, TIMESTAMP
from simulators import Size

#: Small enough that a first look takes a minute or two; `python generate_data.py` makes the full size.
DEMO_SIZE = Size(drivers=10_000, users=1_000, merchants=2_000, order_days=90)


@click.command()
@click.option("--seed", type=SEED, default=7, help="Another seed is another world.")
@click.option(
    "--now", type=TIMESTAMP, show_default="the clock", help="Everything is made as of the midnight before it, UTC."
)
@size_options(DEMO_SIZE)
def pipeline(seed: int, now: datetime | None, size: Size) -> None:
    """Make everything, from raw events to batch scores.

    Redo only what is stale.
    """
    import settings
    from jobs.build import run as build

    build.run(settings.root(), seed, size, now or datetime.now(UTC))
