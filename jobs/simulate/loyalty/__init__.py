"""`python -m jobs simulate loyalty`: tills send purchases to the running service through a network that loses some of
them, and none is lost for good.

It sends the purchases to come, oldest first, without those that the service has accepted before. So another run
continues where the last one stopped.
"""

import uuid
from random import randrange
from typing import TYPE_CHECKING

import click

import settings
from cli import console
from cli.values import SEED, Delays, Number, Whole
from errors import BadParameter, Mismatch
from features.loyalty import PURCHASES
from jobs.simulate import url_option
from root import Root

if TYPE_CHECKING:  # slow to import, and `--help` does without
    import pandas as pd

TO_COME = "purchases_to_come"
MOST_LOSS, LONGEST_DELAY_SECONDS = 0.5, 60.0
DELAY_SECONDS = (0.1, 3.0)
SLOWEST, FASTEST = 0.01, 10_000
MOST_EVENTS, MOST_TILLS = 10_000_000, 100


@click.command("loyalty")
@click.option("--loss", type=Number(0, MOST_LOSS), default=0.05, help="Share of messages, and of answers, lost.")
@click.option("--duplicate", type=Number(0, 1), default=0.02, help="Share of messages that arrive twice.")
@click.option(
    "--delay-seconds",
    type=Delays(LONGEST_DELAY_SECONDS),
    default=DELAY_SECONDS,
    metavar="A:B",
    show_default="{:g}:{:g}".format(*DELAY_SECONDS),
    help="The shortest and the longest delay of a message.",
)
# Not a multiple of the history's own pace: at a thousand times that, the demo would take an hour and a half.
@click.option(
    "--speed",
    type=Number(SLOWEST, FASTEST),
    default=1000,
    help="Purchases a second that the tills send. It is less where the service is slower.",
)
@click.option(
    "--events",
    type=Whole(1, MOST_EVENTS),
    show_default="all that were not sent before",
    help="How many purchases.",
)
@click.option("--producers", type=Whole(1, MOST_TILLS), default=3, help="How many tills.")
@url_option
@click.option("--seed", type=SEED, show_default="random", help="Lose, duplicate and delay the same messages again.")
def command(
    loss: float,
    duplicate: float,
    delay_seconds: tuple[float, float],
    speed: float,
    events: int | None,
    producers: int,
    url: str,
    seed: int | None,
) -> None:
    """Tills send purchases through a lossy network. A difference or a loss gives exit code 1."""
    from jobs.simulate.caller import Callers
    from jobs.simulate.loyalty import report as closing
    from jobs.simulate.loyalty.tills import Tills
    from jobs.simulate.network import Network, Wire
    from simulators.live import as_events

    root = settings.root()
    purchases = to_send(root, events)
    requests = as_events(purchases.drop(columns="loyalty_score"))
    seed = randrange(10**6) if seed is None else seed
    name, service = uuid.uuid4().hex[:8], Callers(url, settings.api_key())
    service.missing(PURCHASES.name, name, 0)  # fails now, and not in the middle, where the service is not there
    console.line(f"Run {name}: {len(requests):,} purchases at {producers} tills, --seed {seed}")
    with Wire() as wire:
        network = Network(loss, duplicate, delay_seconds, seed)
        tills = Tills(name, producers, network, wire, service, console.line)
        tills.send_all(requests, speed)
    report = closing.make(root, tills, purchases, service)
    console.table([console.Column(""), console.Column("")], report.rows())
    if report.fault:
        raise Mismatch(report.fault)


def to_send(root: Root, most: int | None) -> "pd.DataFrame":
    """The purchases to come that the service has not accepted yet, oldest first, at most `most` of them. Raises NoData,
    and BadParameter where all were accepted."""
    import pandas as pd

    from jobs.raw import places
    from serving import lines

    files = places.history_files(root, TO_COME)
    purchases = pd.concat(map(pd.read_parquet, files)).sort_values(["purchase_timestamp", "purchase_id"])
    accepted = {event["purchase_id"] for event in lines.read_folder(root.event_log(PURCHASES.name))}
    new = purchases[~purchases["purchase_id"].isin(accepted)]
    if new.empty:
        raise BadParameter(
            f"All {len(purchases):,} purchases to come were sent before, and a purchase sent again changes nothing. "
            "Stop the service and the stream job, and generate others: python -m jobs pipeline --seed N"
        )
    return new[:most].reset_index(drop=True)
