"""`python -m jobs audit verify` and `head`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import console
from cli.edge import Group
from errors import BadParameter, Mismatch

if TYPE_CHECKING:
    from serving.audit.verify import Verified

HEADS = "The file of published heads."


@click.group(cls=Group)
def audit() -> None:
    """Check the audit log, and publish its head."""


@audit.command()
@click.option("--heads", type=click.Path(path_type=Path), show_default="$RISK_DATA/decisions.heads", help=HEADS)
def verify(heads: Path | None) -> None:
    """Check that no record was edited, removed, moved or inserted.

    It checks the log of the decisions, and that of what people did about cases, models and policies. Each record holds
    the digest of the one before it. The exit code is 1 if a record is not what it was. The service may go on meanwhile.
    Whoever can write the log can write the whole chain again; keep the heads elsewhere.
    """
    import settings
    from serving.audit import heads as published
    from serving.audit.verify import verify

    root = settings.root()
    if heads and not heads.exists():
        raise BadParameter(f"--heads {heads} does not exist. Name a file of python -m jobs audit head.")
    logs = {
        root.decisions: verify(root.decisions, published.read(heads or root.published_heads)),
        root.cases: verify(root.cases, published.read(published.published(root.cases))),
    }
    for folder, verified in logs.items():
        _print(folder.name, verified)
    faults = {folder.name: len(verified.faults) for folder, verified in logs.items() if verified.faults}
    if faults:
        counts = " and ".join(f"{count:,} in {name}" for name, count in faults.items())
        raise Mismatch(f"The chain has faults: {counts}. Compare the log with a copy.")


def _print(log: str, verified: "Verified") -> None:
    if verified.unlinked:
        console.line(f"{log}: {verified.unlinked:,} records of an older version are before the chain, not checked")
    for line in verified.cut:
        console.line(f"{log}: {line} is no whole record: a crash cut it, or it is being written. Nobody was answered")
    for fault in verified.faults:
        console.line(f"{log}: {fault}")
    begin = f", from {verified.first} on" if verified.first else ""
    console.line(
        f"{log}: {verified.records:,} records of {verified.days:,} days are chained{begin}; the head is "
        f"{verified.head.digest}"
    )


@audit.command()
@click.option("--to", type=click.Path(path_type=Path), show_default="$RISK_DATA/decisions.heads", help=HEADS)
def head(to: Path | None) -> None:
    """Publish the present head of the chain.

    Append it to a file, and print it. Run it on a schedule, and keep the file where those who can write the log cannot
    write.
    """
    from pydantic_core import to_json

    import settings
    from serving.audit import heads as published
    from serving.audit.writer import opened

    root, now = settings.root(), datetime.now(UTC)
    day, newest = opened(root.decisions).head(now)
    if not newest.number:
        raise BadParameter(f"{root.decisions} has no chained record yet. Publish its head after the first decision.")
    console.line(to_json(published.publish(to or root.published_heads, newest, day, now)).decode())
