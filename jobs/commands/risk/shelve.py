"""`python -m jobs shelve`."""

from datetime import datetime
from pathlib import Path

import click

from cli import console
from jobs.commands.acts import act
from jobs.commands.risk import RISK
from jobs.commands.risk.train import now_or_clock, protocol_of, rows_options, show


@click.command()
@click.argument("risk", help=RISK)
@click.option("--onnx", type=click.Path(path_type=Path), required=True, help="The ONNX file of the model.")
@click.option("--algorithm", show_default="the name of the file", help="The model in words, for its card.")
@click.option(
    "--accept-against",
    multiple=True,
    show_default="none",
    help="An input in which it may go against the declared direction. Give it again for another.",
)
@rows_options
def shelve(
    risk: str,
    onnx: Path,
    algorithm: str | None,
    accept_against: tuple[str, ...],
    now: datetime | None,
    train_start: datetime | None,
    train_days: int | None,
    delay_days: int | None,
    test_days: int | None,
    quarantine: Path | None,
) -> None:
    """Serve a risk with a model of your own.

    The model is an ONNX file. Its metrics are those of the risk's latest cases. What the service cannot
    load or explain is refused.
    """
    import settings
    from features.domains import risk_named

    declared = risk_named(risk)
    from jobs.train import shelve as shelving
    from serving.retrieval import FeastStore

    root, store = settings.root(), FeastStore(settings.FEATURE_REPO, settings.feature_store())
    protocol = protocol_of(declared, train_start, train_days, delay_days, test_days)
    with act("model", declared.name, "shelve") as log:
        card = shelving.shelve(
            root, store, declared, onnx, now_or_clock(now), lambda version: log(version=version), protocol, train_start,
            quarantine, accept_against, algorithm, console.line,
        )  # fmt: skip
    show(root.models, card)
