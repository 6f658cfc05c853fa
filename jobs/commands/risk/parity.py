"""`python -m jobs parity`."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import click

from choices import unknown
from cli import console
from cli.console import Column
from cli.values import TIMESTAMP
from errors import Mismatch
from features import DOMAINS

if TYPE_CHECKING:
    from jobs.parity import Parity


@click.command()
@click.argument("domain", help=f"One of: {', '.join(DOMAINS)}.")
@click.option("--since", type=TIMESTAMP, show_default="all that are logged", help="Compare decisions from then on.")
def parity(domain: str, since: datetime | None) -> None:
    """Compare served features with those that training sees.

    Every logged decision is asked for again. A difference gives exit code 1.
    """
    import settings
    from features.domains import NO_RISK, risks_of

    if domain not in DOMAINS:
        raise unknown("domain", domain, DOMAINS, NO_RISK)
    from jobs.parity import replay
    from serving.retrieval import FeastStore

    root, store = settings.root(), FeastStore(settings.FEATURE_REPO, settings.feature_store())
    results = [replay(root, store, risk, since) for risk in risks_of(domain)]
    _show_parity(results)
    if any(result.other for result in results):
        raise Mismatch("Training sees other features than were served. Look at the first difference of each feature.")


def _show_parity(results: Iterable["Parity"]) -> None:
    columns = [
        Column("feature"),
        Column("equal", "right", plain="{} equal"),
        Column("not equal", "right", plain="{} not;"),
        Column("first difference", plain="first {}"),
    ]
    for result in results:
        console.line(result.summary())
        console.table(columns, result.rows(), indent=2)
