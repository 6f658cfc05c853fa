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
@click.option("--replace-demo", is_flag=True, help="Move the present world aside first. Nothing is deleted.")
@size_options(DEMO_SIZE)
def pipeline(seed: int, now: datetime | None, replace_demo: bool, size: Size) -> None:
    """Make everything, from raw events to batch scores.

    Redo only what is stale.
    """
    import settings
    from jobs.build import run as build
    from jobs.world.marker import World

    root, clock = settings.unchecked_root() if replace_demo else settings.root(), datetime.now(UTC)
    world = World(seed, size, settings.hash_key())
    build.run(root, world, now or clock, clock if replace_demo else None)
