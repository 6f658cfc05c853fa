"""What `backtest` and `tune` share: cases whose outcome is known, and what each mistake costs."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli import console
from cli.values import TIMESTAMP

if TYPE_CHECKING:
    from features.risk import Risk
    from jobs.backtest.costs import CostTable
    from serving.store import Store


@dataclass(frozen=True)
class Priced:
    """A risk with bad cases, their costs, and where its features are. `at` is when the outcomes were known."""

    risk: "Risk"
    costs: "CostTable"
    store: "Store"
    at: datetime
    picture: Path | None

    def draw(self, title: str, text: str, curves: Callable[[], Any]) -> None:
        """Write the picture, if one is wanted."""
        from jobs.backtest import pictures

        if self.picture:
            pictures.write(self.picture, title, text, curves())
            console.line(f"Picture: {self.picture}")


def priced_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options, as `costs`, `model`, `now` and `picture`."""
    options = (
        click.option(
            "--costs", type=click.Path(path_type=Path), required=True, help="A YAML file with the costs."
        ),
        click.option("--model", show_default="the one that serves", help="A version of the model."),
        click.option(
            "--now", type=TIMESTAMP, show_default="the clock", help="Use the outcomes that were known by then."
        ),
        click.option(
            "--picture", type=click.Path(path_type=Path), show_default="none",
            help="Write a picture to this file (.png, .svg or .html).",
        ),
    )  # fmt: skip
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


def priced(risk: str, costs: Path, now: datetime | None, picture: Path | None) -> Priced:
    """What the options name. Raises BadParameter, BadInput."""
    import settings
    from features.domains import risk_named

    declared = risk_named(risk)
    from jobs.backtest import cases, pictures
    from jobs.backtest.costs import read
    from serving.retrieval import FeastStore

    cases.require_bad_cases(declared)
    prices = read(costs)
    if picture:
        pictures.check(picture)
    store = FeastStore(settings.FEATURE_REPO, settings.feature_store())
    return Priced(declared, prices, store, now or datetime.now(UTC), picture)
