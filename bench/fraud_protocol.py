"""The chargeback risk under the protocol of the Fraud Detection Handbook, on worlds of its design: seeds and weeks.

    python bench/fraud_protocol.py --seeds 3 --weeks 3

A world has 5,000 users, 10,000 merchants and about 9,600 orders a day. An order is bad if its amount is over 220; if
its merchant is compromised, two more every day for 28 days; or if its user is, three more every day for 14 days, in a
third of the orders, whose amounts are five times as large. A bad order is known to be bad exactly 7 days later, which
is later than in our demo. A model learns from a week, waits a week, and is tested on a week, without users that were
known to be bad. Features come from our definitions, by the joins of `python -m jobs train`, which chooses the champion
by its rehearsal on earlier weeks. The test weeks are the newest of a world.

Best published, on other data of this design: ROC AUC 0.872, average precision 0.694, card precision@100 0.304.
"""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np

from features.chargeback import CHARGEBACK, LABEL_DELAY
from features.risk import ALGORITHMS, Protocol, Risk
from jobs.train.champion import train
from model.card import Card
from root import Root
from simulators import Size, chargeback

END = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
METRICS = ("roc_auc", "average_precision", "card_precision", "calibration_error")
PROTOCOL = Protocol(who="user_id")
#: A test week ends so long before the world does: by then its outcomes are known.
KNOWN_DAYS = 8


class Names:
    """A feature store that stores nothing: every feature of the risk is live."""

    def views(self, service: str) -> dict[str, str]:
        assert CHARGEBACK.live is not None
        return dict.fromkeys([feature.name for feature in CHARGEBACK.live.features], CHARGEBACK.live.name)


def write_world(root: Root, seed: int, size: Size) -> None:
    """The orders of a world, each bad one known after `LABEL_DELAY`."""
    orders = chargeback.events(seed, END, size, b"")["orders"]
    known = (orders["order_timestamp"] + LABEL_DELAY).where(orders["chargeback_timestamp"].notna())
    folder = root.raw_table("orders")
    folder.mkdir(parents=True)
    orders.assign(chargeback_timestamp=known).to_parquet(folder / "made.parquet")


def card_of(root: Root, risk: Risk, week: int) -> Card:
    """The card of the models that were tested on a week; 0 is the newest."""
    until = END - (KNOWN_DAYS + 7 * week) * DAY
    length = PROTOCOL.train_days + PROTOCOL.delay_days + PROTOCOL.test_days
    now = until + LABEL_DELAY + timedelta(microseconds=week)  # a version is named by it
    return train(root, Names(), risk, now, lambda *_: None, protocol=PROTOCOL, start=until - length * DAY)


def spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values):.3f} ({min(values):.3f} to {max(values):.3f})"


@click.command()
@click.option("--seeds", default=3, help="Worlds.")
@click.option("--weeks", default=3, help="Test weeks of each world.")
@click.option("--users", default=Size().users, help="Users of a world. With few, there is little to learn from.")
@click.option("--days", default=Size().order_days, help="Days of orders of a world.")
def main(seeds: int, weeks: int, users: int, days: int) -> None:
    """Print each model's metrics of each week, and their mean, standard deviation and range."""
    logging.disable(logging.WARNING)
    risk = replace(CHARGEBACK, algorithms=ALGORITHMS["classification"])
    size = replace(Size(), users=users, merchants=2 * users, order_days=days)
    reached: dict[tuple[str, str], list[float]] = defaultdict(list)
    for seed in range(1, seeds + 1):
        with tempfile.TemporaryDirectory() as folder:
            root = Root(Path(folder))
            write_world(root, seed, size)
            for week in reversed(range(weeks)):
                card = card_of(root, risk, week)
                for name, metrics in {**card.metrics, "champion": card.quality}.items():
                    figures = [getattr(metrics, metric) for metric in METRICS]
                    print(f"seed {seed}  week −{week}  {name:22}", *(f"{figure:.3f}" for figure in figures), flush=True)
                    for metric, figure in zip(METRICS, figures, strict=True):
                        reached[name, metric].append(figure)
                print(f"seed {seed}  week −{week}  the champion is {card.champion}", flush=True)
    print("| model |", " | ".join(METRICS), "|")
    for name in dict.fromkeys(model for model, _ in reached):
        print(f"| {name} |", " | ".join(spread(reached[name, metric]) for metric in METRICS), "|")


if __name__ == "__main__":
    main()
