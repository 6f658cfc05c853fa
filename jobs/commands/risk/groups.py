"""`python -m jobs groups`."""

from datetime import datetime
from typing import TYPE_CHECKING

import click

from cli import console
from cli.console import Column
from cli.values import TIMESTAMP
from errors import BadParameter
from jobs.commands.risk import RISK

if TYPE_CHECKING:
    from model.report.groups import Share


@click.command()
@click.argument("risk", help=RISK)
@click.option("--since", type=TIMESTAMP, show_default="all that are logged", help="Decisions from then on.")
def groups(risk: str, since: datetime | None) -> None:
    """Compare how logged decisions treat groups of people.

    A group whose approval rate is below four fifths of the highest one is marked.
    """
    import settings
    from features.domains import risk_named

    declared = risk_named(risk)
    if declared.group is None:
        raise BadParameter(f"{risk} declares no group. Declare one: Risk(group=...) in features.", "risk")
    from jobs.monitor.groups import logged
    from model.report.tables import percent

    columns = [Column(declared.group), *(Column(name, "right") for name in ("decisions", "approved", "95 % interval",
               "ratio", "good not approved", "bad approved")), Column("")]  # fmt: skip
    rows = [
        (group.name, f"{group.approved.count:,}", percent(group.approved.share) or "", group.approved.interval or "",
         "" if group.ratio is None else f"{group.ratio:.2f}",
         _of(group.wrongly_stopped), _of(group.wrongly_approved), group.mark)
        for group in logged(settings.root(), declared, since)
    ]  # fmt: skip
    console.table(columns, rows, headings=True)


def _of(share: "Share | None") -> str:
    return "" if share is None or not share.count else f"{share.some:,} of {share.count:,} ({share.interval})"
