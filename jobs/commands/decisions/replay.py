"""`python -m jobs replay`."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import console
from cli.console import Column
from cli.values import TIMESTAMP
from errors import BadParameter, Mismatch

if TYPE_CHECKING:
    from jobs.replay.comparing import Comparison


@click.command()
@click.argument("names", metavar="[RISK]...", nargs=-1, help="Names of risks. Without one: all.")
@click.option(
    "--from",
    "since",
    type=TIMESTAMP,
    show_default="all that are logged",
    help="Decide again what was decided from then on.",
)
@click.option("--to", "until", type=TIMESTAMP, show_default="all that are logged", help="And before then.")
@click.option("--model", show_default="the one that decided", help="A version of the model, to decide with that one.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    show_default="the one that decided",
    help="A policy file, to decide with that one.",
)
def replay(
    names: tuple[str, ...], since: datetime | None, until: datetime | None, model: str | None, policy: Path | None
) -> None:
    """Decide logged requests again, and compare.

    The features are those of the log. Nothing is logged. A difference gives exit code 1, unless another model or
    policy decides: then a table shows what changes.
    """
    import settings
    from features.domains import risk_named, risks

    if since and until and since >= until:
        raise BadParameter(f"--from {since} is not before --to {until}. Exchange them.")
    chosen = [risk_named(name) for name in dict.fromkeys(names)] or list(risks().values())
    if (model or policy) and len(chosen) != 1:
        raise BadParameter("--model and --policy are those of one risk. Name the risk.")
    from jobs.replay.comparing import compare
    from jobs.replay.versions import Versions
    from serving.retrieval import FeastStore

    root, store = settings.root(), FeastStore(settings.FEATURE_REPO, settings.feature_store())
    results = []
    for risk in chosen:
        versions = Versions(root, store, risk, model, policy)
        result = compare(root, store, risk, versions, since, until)
        results.append(result)
        _show(result, shows_all=not versions.are_those_of_the_log)
    _require_equal(results)


def _show(result: "Comparison", shows_all: bool) -> None:
    console.line(result.summary())
    if result.decisions > result.equal or shows_all:
        columns = [
            Column("logged"),
            Column("again", plain="→ {}"),
            Column("decisions", "right"),
            Column("share", "right"),
            Column("examples"),
        ]
        console.line(f"  {result.scores:,} other scores, {result.reasons:,} other reasons")
        console.table(columns, result.rows(), indent=2)


def _require_equal(results: "Iterable[Comparison]") -> None:
    if unequal := sum(result.proven for result in results):
        raise Mismatch(
            f"{unequal:,} decisions are not those that the same model and policy make of the logged features. Look at "
            "the examples: a line of the log was changed, or a library computes other numbers now."
        )
