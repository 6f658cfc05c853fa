"""`python -m jobs simulate loyalty`: tills send purchases to the running service through a network that loses some, and
none is lost.

Sent are those that are to come, oldest first, and of them those that the service has not accepted before: another run
goes on where the last one stopped.
"""

import argparse
import sys
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import randrange
from typing import TYPE_CHECKING

import settings
from errors import BadParameter
from features.loyalty import PURCHASES
from root import Root

if TYPE_CHECKING:  # it takes its time to import, and `python -m jobs --help` does without
    import pandas as pd

ABOUT = "tills send purchases through a lossy network"
TO_COME = "purchases_to_come"
MOST_LOSS, LONGEST_DELAY = 0.5, 60.0
SLOWEST, FASTEST = 0.01, 10_000.0
MOST_EVENTS, MOST_TILLS = 10_000_000, 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    loss, double, speed = _number(0, MOST_LOSS), _number(0, 1), _number(SLOWEST, FASTEST)
    delay = "each message takes from so long to so long; default: 0.1:3"
    # Not times the history's own pace: at a thousand times that, the demo would take an hour and a half.
    rate = "purchases a second that the tills send, fewer where the service is slower; default: %(default)g"
    parser.add_argument("--loss", type=loss, default=0.05, metavar="P", help="of messages and answers; default: 0.05")
    parser.add_argument("--duplicate", type=double, default=0.02, metavar="P", help="come twice; default: 0.02")
    parser.add_argument("--delay-seconds", type=_range, default=(0.1, 3.0), metavar="A:B", help=delay)
    parser.add_argument("--speed", type=speed, default=1000.0, metavar="N", help=rate)
    parser.add_argument(
        "--events", type=_count(MOST_EVENTS), metavar="N", help="default: all that were not sent before"
    )
    parser.add_argument("--producers", type=_count(MOST_TILLS), default=3, metavar="N", help="tills; default: 3")
    parser.add_argument("--url", default="http://127.0.0.1:5000", help="of the service; default: %(default)s")
    parser.add_argument("--seed", type=int, help="loses, doubles and delays the same messages again; default: others")


def run(asked: argparse.Namespace) -> None:
    """Raises NoData, BadParameter, ServiceFailed."""
    from jobs.simulate.caller import Callers
    from jobs.simulate.loyalty import report as closing
    from jobs.simulate.loyalty.tills import Tills
    from jobs.simulate.network import Network, Wire
    from simulators.live import as_events

    purchases = to_send(settings.root(), asked.events)
    requests = as_events(purchases.drop(columns="loyalty_score"))
    seed = randrange(10**6) if asked.seed is None else asked.seed
    name, service = uuid.uuid4().hex[:8], Callers(asked.url)
    service.missing(PURCHASES.name, name, 0)  # one that is not there is told before anything is sent
    print(f"Run {name}: {len(requests):,} purchases at {asked.producers} tills, --seed {seed}", flush=True)
    network = Network(asked.loss, asked.duplicate, asked.delay_seconds, seed)
    with Wire() as wire:
        tills = Tills(name, asked.producers, network, wire, service, partial(print, flush=True))
        tills.send_all(requests, asked.speed)
    report = closing.made(settings.root(), tills, purchases, service)
    print(report)
    if report.fault:
        sys.exit(report.fault)


def to_send(root: Root, most: int | None) -> "pd.DataFrame":
    """The purchases to come that the service has not accepted yet, oldest first, so many at most."""
    import pandas as pd

    from jobs.raw import places
    from serving import lines

    files = places.history_files(root, TO_COME)
    purchases = pd.concat(map(pd.read_parquet, files)).sort_values(["purchase_timestamp", "purchase_id"])
    came = {event["purchase_id"] for event in lines.read_folder(root.event_log(PURCHASES.name))}
    new = purchases[~purchases["purchase_id"].isin(came)]
    if new.empty:
        raise BadParameter(
            f"All {len(purchases):,} purchases to come were sent before, and one that comes again changes nothing. "
            "Make others, with the service and the stream job stopped: python -m jobs pipeline --seed N"
        )
    return new[:most].reset_index(drop=True)


def _number(least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        with suppress(ValueError):
            if least <= (given := float(text)) <= most:
                return given
        raise argparse.ArgumentTypeError(f"{text!r} cannot be. Give a number from {least:g} to {most:g}.")

    return number


def _count(most: int) -> Callable[[str], int]:
    def count(text: str) -> int:
        if not text.isdecimal() or not 0 < int(text) <= most:
            raise argparse.ArgumentTypeError(f"{text!r} cannot be. Give 1 to {most:,}.")
        return int(text)

    return count


def _range(text: str) -> tuple[float, float]:
    with suppress(ValueError):
        least, most = map(float, text.split(":"))
        if 0 <= least <= most <= LONGEST_DELAY:
            return least, most
    raise argparse.ArgumentTypeError(f"{text!r} are no seconds. Give two, as 0.1:3, up to {LONGEST_DELAY:g}.")
