"""`python -m jobs backtest`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import console
from cli.console import Column
from cli.values import TIMESTAMP, OneOf, Whole
from errors import BadParameter
from jobs.commands.decisions.priced import priced, priced_options
from jobs.commands.risk import RISK

if TYPE_CHECKING:
    from features.risk import Risk
    from model.card import Card

#: What is compared: the past cases of the dataset, or the decisions of the log.
CASES, LOG = "cases", "log"


@click.command()
@click.argument("risk", help=RISK)
@priced_options
@click.option(
    "--policy", type=click.Path(path_type=Path), show_default="the one in force", help="The policy file to try."
)
@click.option(
    "--from", "since", type=TIMESTAMP, show_default="the first case", help="Compare what was decided from then on."
)
@click.option("--to", "until", type=TIMESTAMP, show_default="the last case", help="And before then.")
@click.option(
    "--on", type=OneOf("kind of cases", (CASES, LOG)), default=CASES, help="cases: of the dataset; log: decisions."
)
@click.option("--k", type=Whole(1), default=100, help="Count the bad cases among the k highest scores.")
def backtest(
    risk: str,
    costs: Path,
    policy: Path | None,
    model: str | None,
    since: datetime | None,
    until: datetime | None,
    on: str,
    k: int,
    now: datetime | None,
    picture: Path | None,
) -> None:
    """Compare what a policy or a model would have decided.

    On cases whose outcome is known: how many are let through, caught and missed, and what that costs.
    """
    if since and until and since >= until:
        raise BadParameter(f"--from {since} is not before --to {until}. Exchange them.")
    import settings

    given = priced(risk, costs, now, picture)
    from jobs.backtest import cases, measures, pictures
    from jobs.replay.versions import Versions

    root, store, declared = settings.root(), given.store, given.risk
    if on == LOG:
        versions = Versions(root, store, declared, model, policy)
        compared = cases.compared_on_log(root, store, declared, given.at, versions, since, until)
    else:
        present = Versions(root, store, declared).current()
        proposed = Versions(root, store, declared, model, policy).current()
        rows = cases.of_dataset(root, store, declared, given.at, since, until)
        for card in dict.fromkeys((present.scorer.card.version, proposed.scorer.card.version)):
            both = {again.scorer.card.version: again.scorer.card for again in (present, proposed)}
            _warn(declared, both[card], rows["event_timestamp"].min().to_pydatetime())
        compared = cases.compared_on_dataset(declared, store, rows, present, proposed)
    before, after = (measures.measured(compared, side, given.costs, k) for side in (compared.before, compared.after))
    title = f"{risk}: {before.cases:,} cases, {before.bad:,} of them bad"
    console.line(title)
    for cause, count in compared.left_out.most_common():
        console.line(f"{count:,} left out, as {cause}")
    columns = [Column(""), Column("now", "right"), Column("then", "right"), Column("difference", "right")]
    table = measures.rows(before, after)
    console.table(columns, table, headings=True)
    text = console.plain(columns, table, headings=True)
    given.draw(title, text, lambda: pictures.of_backtest(compared, before, after))


def _warn(risk: "Risk", card: "Card", first: datetime) -> None:
    """A model knows the outcomes of the rows that it learned from."""
    if card.train.until and first <= card.train.until:
        console.line(
            f"Note: {risk.name} {card.version} learned from cases up to {card.train.until:%Y-%m-%d %H:%M:%S} UTC, "
            f"which are among these. For a fair comparison: --from {card.train.until:%Y-%m-%dT%H:%M:%SZ}"
        )
