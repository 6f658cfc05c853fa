"""Generates the raw events of every domain, the same for the same seed, `now` and size.

    python generate_data.py --seed 7 --now 2026-01-31T00:00:00Z --drivers 10000 --domain onboarding

`simulators/<domain>.py` tells what happens in each domain, and what a model can find there.
"""

from datetime import UTC, datetime
from functools import partial

import click

import settings
from cli import console
from cli.edge import Command
from cli.sizes import size_options
from cli.values import SEED, TIMESTAMP, OneOf
from errors import BadParameter, Busy
from features import DOMAINS
from features.domains import simulated
from files import locked
from jobs.world.generate import generate
from jobs.world.marker import World
from jobs.world.shares import move_aside, shares
from serving import acts
from simulators import Size


@click.command(cls=Command, context_settings={"show_default": True})
@click.option("--seed", type=SEED, default=7, help="The same seed, time and size generate the same events.")
@click.option("--now", type=TIMESTAMP, show_default="the clock", help="No event is later than this timestamp.")
@click.option(
    "--domain",
    "domains",
    type=OneOf("domain", DOMAINS),
    multiple=True,
    metavar="DOMAIN",
    show_default="every domain that has a simulator",
    help=f"Only this domain: {', '.join(DOMAINS)}. Give it again for another.",
)
@click.option("--replace-demo", is_flag=True, help="Move the present world aside first. Nothing is deleted.")
@size_options(Size())
def main(seed: int, now: datetime | None, domains: tuple[str, ...], replace_demo: bool, size: Size) -> None:
    """Generate raw events of the domains, below $RISK_DATA/raw."""

    def done(table: str, rows: int) -> None:
        console.line(f"{table:<24}{rows:>10,} rows")

    domains = domains or _simulated()
    root, clock = settings.unchecked_root() if replace_demo else settings.root(), datetime.now(UTC)
    with locked(root.pipeline_lock, Busy(f"A pipeline is at work on {root}. Wait for it, or use another root.")):
        if replace_demo:
            console.line(move_aside(root, clock, settings.belongs_to_another_key(root)))
        key = settings.hash_key()
        claim = partial(acts.claim_hash_key, root, key, acts.operator(clock))
        generate(root, World(seed, size, key), now or clock, shares(root, domains), claim, done)


def _simulated() -> tuple[str, ...]:
    """Raises BadParameter where no domain has a simulator."""
    if domains := simulated():
        return domains
    raise BadParameter("No domain has a simulator. Write one, or import your own: python -m jobs import TABLE FILE")


if __name__ == "__main__":
    main(prog_name="python generate_data.py")
