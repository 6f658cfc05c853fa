"""`python -m jobs train`."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from choices import unknown
from cli import console
from cli.console import Column
from cli.values import DAYS, TIMESTAMP
from jobs.commands.acts import act
from jobs.commands.risk import RISK

if TYPE_CHECKING:
    from features.risk import Protocol, Risk
    from model.card import Card

DECLARED = "what the risk declares, 7 if it declares nothing"


def rows_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options that choose the training and the test rows."""
    options = (
        click.option(
            "--now", type=TIMESTAMP, show_default="the clock", help="Use the outcomes that were known by then."
        ),
        click.option(
            "--train-start",
            type=TIMESTAMP,
            show_default="as late as outcomes are known",
            help="The first day to learn from.",
        ),
        click.option("--train-days", type=DAYS, show_default=DECLARED, help="Days to learn from."),
        click.option("--delay-days", type=DAYS, show_default=DECLARED, help="Days between, until outcomes are known."),
        click.option("--test-days", type=DAYS, show_default=DECLARED, help="Later days to test on."),
        click.option(
            "--quarantine",
            type=click.Path(path_type=Path),
            show_default="a bad row stops the job",
            help="Write bad rows to this file (.csv or .parquet) and go on.",
        ),
    )
    return reduce(lambda decorated, option: option(decorated), reversed(options), command)


@click.command()
@click.argument("risk", help=RISK)
@rows_options
@click.option("--algorithm", metavar="NAME", show_default="what the risk declares", help="Train this algorithm alone.")
@click.option("--beside", is_flag=True, help="Let the version that serves serve on. The new one is on the shelf.")
def train(
    risk: str,
    now: datetime | None,
    train_start: datetime | None,
    train_days: int | None,
    delay_days: int | None,
    test_days: int | None,
    quarantine: Path | None,
    algorithm: str | None,
    beside: bool,
) -> None:
    """Train a risk's models; the best one serves.

    The rows are point-in-time rows. The model gets a card and a report. A model of your own serves on.
    """
    import settings
    from features.domains import risk_named

    declared = risk_named(risk)
    if algorithm is not None:
        declared = learned_by(declared, algorithm)
    from jobs.train import champion
    from serving.retrieval import FeastStore

    root, store = settings.root(), FeastStore(settings.FEATURE_REPO, settings.feature_store())
    protocol = protocol_of(declared, train_start, train_days, delay_days, test_days)
    with act("model", declared.name, "train") as log:
        card = champion.train(
            root, store, declared, now_or_clock(now), lambda version: log(version=version), protocol=protocol,
            start=train_start, quarantine=quarantine, beside=beside,
        )  # fmt: skip
    show(root.models, card)


def learned_by(risk: "Risk", algorithm: str) -> "Risk":
    """The risk with this algorithm alone. Raises BadParameter."""
    from features.risk import ALGORITHMS

    known = {name: name for name in ALGORITHMS[risk.task]}
    if algorithm not in known:
        raise unknown(f"algorithm of a {risk.task}", algorithm, known, "Leave out --algorithm.")
    return replace(risk, algorithms=(known[algorithm],))


def now_or_clock(now: datetime | None) -> datetime:
    """The option, or the clock."""
    return now or datetime.now(UTC)


def protocol_of(
    risk: "Risk", start: datetime | None, train_days: int | None, delay_days: int | None, test_days: int | None
) -> "Protocol | None":
    """The risk's own protocol, changed by the options. None where there is neither."""
    from features.risk import Protocol

    options = {"train_days": train_days, "delay_days": delay_days, "test_days": test_days}
    days: dict[str, Any] = {name: count for name, count in options.items() if count}
    if risk.protocol is None and not days and start is None:
        return None
    return replace(risk.protocol or Protocol(who=risk.entity_keys[0]), **days)


def show(models: Path, card: "Card") -> None:
    """Print the metrics, what to know before they are trusted, and where the report is."""
    from model import promotion

    kept = promotion.kept_line(models, card)
    _show_metrics(card, is_kept=kept is not None)
    for name, cause in card.unserved.items():
        console.line(f"{name}: {cause}")
    intervals = (f"{name.replace('_', ' ')} {low:.3f} to {high:.3f}" for name, (low, high) in card.intervals.items())
    console.line(f"95 % intervals of {card.champion}: {', '.join(intervals)}")
    for note in card.notes:
        console.line(f"Note: {note}")
    console.line(
        f"{card.name} {card.version}: trained on {card.train.rows:,} rows, tested on {card.test.rows:,} later ones"
    )
    console.line(f"Report: {models / card.name / card.version / 'report.html'}")
    if kept:
        console.line(kept)


def _show_metrics(card: "Card", is_kept: bool) -> None:
    """Print a row for each trained model, and for the version that served. With `is_kept`, that one still serves."""
    by_model = {
        name: {metric: value for metric, value in metrics.model_dump().items() if value is not None}
        for name, metrics in card.metrics.items()
    }
    names = list(dict.fromkeys(metric for metrics in by_model.values() for metric in metrics))
    before = None
    if card.replaced:
        values = card.replaced.metrics.model_dump()
        before = card.replaced.version if is_kept else f"before: {card.replaced.version}"
        by_model[before] = {n: v for n, v in values.items() if v is not None}
    serving = before if is_kept else card.champion
    columns = [Column(""), Column("model", wraps=False), *(_metric(name) for name in names)]
    rows = [
        ("serves" if model == serving else "", model, *(_three_digits(metrics.get(name)) for name in names))
        for model, metrics in by_model.items()
    ]
    console.table(columns, rows)


def _metric(name: str) -> Column:
    return Column(name.replace("_", " "), "right", plain=f"{name} {{}}")  # a heading wraps at its spaces


def _three_digits(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
