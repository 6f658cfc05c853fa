"""`python -m jobs tune`."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click

from cli import console
from cli.values import Number
from jobs.commands.decisions.priced import priced, priced_options
from jobs.commands.risk import RISK


@click.command()
@click.argument("risk", help=RISK)
@priced_options
@click.option("--most-reviews", type=Number(min=0, max=1), default=1.0, help="The largest share of cases to review.")
def tune(
    risk: str, costs: Path, model: str | None, most_reviews: float, now: datetime | None, picture: Path | None
) -> None:
    """Propose the thresholds that cost least.

    Measured on cases that the model has not learned from. The policy file is printed, and nothing is applied.
    """
    import numpy as np
    import yaml

    import settings

    given = priced(risk, costs, now, picture)
    from jobs.backtest import cases, pictures, tuning
    from jobs.replay.versions import Versions
    from serving import featurization

    root, store, declared = settings.root(), given.store, given.risk
    again = Versions(root, store, declared, model).current()
    rows = cases.held_out(root, store, declared, given.at, again.scorer.card)
    views = store.views(declared.name)
    values = rows[list(views)].astype(object).to_dict("records")
    matrix = featurization.matrix([featurization.complete(row, views) for row in values], again.scorer.card)
    bad = (rows[declared.outcomes.label] == 1).to_numpy()
    scored = tuning.scored(rows, again.scorer.score(matrix), bad, given.costs)
    is_older = np.arange(len(rows)) < len(rows) // 2
    older, newer, appetite = scored.part(is_older), scored.part(~is_older), again.policy.appetite
    proposal = tuning.proposed(older, newer, appetite, most_reviews)
    first, last = proposal.saved
    lines = [
        f"{risk} {again.scorer.card.version}: {len(rows):,} cases that it has not learned from, {int(bad.sum()):,} bad",
        f"in force: low {appetite.low:g}, high {appetite.high:g}: a case costs {proposal.present:,.4f}, "
        f"{proposal.present_reviews:.1%} are reviewed",
        f"proposed: low {proposal.low:g}, high {proposal.high:g}: a case costs {proposal.proposed:,.4f}, "
        f"{proposal.reviews:.1%} are reviewed",
        f"saved a case: {proposal.present - proposal.proposed:,.4f}, 95 % interval {first:,.4f} to {last:,.4f}",
        "Chosen on the older half of the cases, measured on the newer half, by the score without rules.",
        *(f"Note: {remark}" for remark in proposal.remarks()),
    ]
    for line in lines:
        console.line(line)
    given.draw(
        f"Thresholds of {risk}", "\n".join(lines),
        lambda: pictures.of_tuning(older, newer, proposal, appetite.low, appetite.high, most_reviews),
    )  # fmt: skip
    policy = replace(again.policy, appetite=replace(appetite, low=proposal.low, high=proposal.high))
    console.line()
    console.line(f"# To apply it, write this to a file: python -m jobs policy {risk} apply FILE")
    console.line(yaml.safe_dump(policy.as_written(), sort_keys=False, allow_unicode=True, width=10_000).rstrip())
