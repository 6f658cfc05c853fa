"""`python -m jobs models RISK list`, `show`, `compare`, `promote` and `rollback`."""

from typing import TYPE_CHECKING

import click

from choices import unknown
from cli import console
from cli.console import Column
from errors import ModelBroken, ModelNotTrained
from jobs.commands.acts import act
from jobs.commands.risk import RISK, RiskGroup

if TYPE_CHECKING:
    from features.risk import Risk
    from model.card import Card, Split

VERSION = "A version that `list` shows, or: current."


@click.group(cls=RiskGroup)
@click.argument("risk", help=RISK)
@click.pass_context
def models(context: click.Context, risk: str) -> None:
    """List and compare a risk's models; choose one.

    The chosen model serves. A running service uses it from its next request on.
    """
    from features.domains import risk_named

    context.obj = risk_named(risk)


@models.command("list")
@click.pass_obj
def versions(risk: "Risk") -> None:
    """List the versions, oldest first.

    The one that serves has a mark.
    """
    import settings
    from model import history

    folder = settings.root().models / risk.name
    current, rows = _current(risk), []
    for version in history.versions(folder):
        mark = "serves" if version == current else ""
        try:
            card = _card(risk, version)
        except ModelBroken:
            rows.append((mark, version, "cannot be read", "", "", ""))
            continue
        until = f"{card.train.until:%Y-%m-%d}" if card.train.until else ""
        rows.append((mark, version, card.champion, card.headline, f"{card.train.rows:,}", until))
    if not rows:
        raise ModelNotTrained(f"{risk.name} has no models. Run: python -m jobs train {risk.name}")
    columns = [Column(""), Column("version", wraps=False), Column("algorithm"), Column("quality")]
    console.table([*columns, Column("training rows", "right"), Column("until")], rows, headings=True)


@models.command()
@click.argument("version", default="current", help=VERSION)
@click.pass_obj
def show(risk: "Risk", version: str) -> None:
    """Show a version: metrics, rows, inputs, thresholds of today."""
    card = _card(risk, version)
    serves = "yes" if card.version == _current(risk) else "no"
    facts = [("version", card.version), ("serves", serves), ("algorithm", card.algorithm)]
    intervals = {name.replace("_", " "): f" ({low:.4f} to {high:.4f})" for name, (low, high) in card.intervals.items()}
    facts += [(name, _figure(value) + intervals.get(name, "")) for name, value in _metrics(card).items()]
    facts += [(name, _rows(split)) for name, split in (("training rows", card.train), ("test rows", card.test))]
    facts += [("inputs", ", ".join(i.name for i in card.inputs)), ("thresholds today", _thresholds(risk))]
    console.table([Column("", wraps=False), Column("")], facts)


@models.command()
@click.argument("a", help=VERSION)
@click.argument("b", help=VERSION)
@click.pass_obj
def compare(risk: "Risk", a: str, b: str) -> None:
    """Compare two versions: metrics, rows, inputs."""
    first, second = _card(risk, a), _card(risk, b)
    of_first, of_second = _metrics(first), _metrics(second)
    rows = [("algorithm", first.champion, second.champion, "")]
    for name in dict.fromkeys([*of_first, *of_second]):
        before, after = of_first.get(name), of_second.get(name)
        change = "" if before is None or after is None else f"{after - before:+.4f}"
        rows.append((name, _figure(before), _figure(after), change))
    for name, was, becomes in (("training rows", first.train, second.train), ("test rows", first.test, second.test)):
        rows.append((name, _rows(was), _rows(becomes), f"{becomes.rows - was.rows:+,}"))
    columns = [Column(""), Column(first.version), Column(second.version), Column("change", "right")]
    console.table(columns, rows, headings=True)
    names, other = ({i.name for i in card.inputs} for card in (first, second))
    console.line(f"inputs added: {', '.join(sorted(other - names)) or 'none'}")
    console.line(f"inputs removed: {', '.join(sorted(names - other)) or 'none'}")
    console.line(f"thresholds today: {_thresholds(risk)}")
    if (first.test.since, first.test.until) != (second.test.since, second.test.until):
        console.line("The two were tested on other days, so a difference may be one of the days.")


@models.command()
@click.argument("version", help=VERSION)
@click.pass_obj
def promote(risk: "Risk", version: str) -> None:
    """Let a version serve.

    It is loaded first. A version that cannot be loaded is refused, and nothing changes.
    """
    import settings
    from model import promotion

    if version == _current(risk):
        console.line(f"{risk.name} {version} serves already")
        return
    with act("model", risk.name, "promote") as log:
        promotion.promote(settings.root().models, risk.name, version, risk.by_input, lambda to: log(version=to))
    console.line(f"{risk.name} {version} serves")


@models.command()
@click.pass_obj
def rollback(risk: "Risk") -> None:
    """Go back to the version that served before.

    It is loaded first. Thresholds and rules stay as they are.
    """
    import settings
    from model import promotion

    with act("model", risk.name, "rollback") as log:
        version = promotion.rollback(settings.root().models, risk.name, risk.by_input, lambda to: log(version=to))
    console.line(f"{risk.name} {version} serves")


def _current(risk: "Risk") -> str | None:
    """The version that serves, None where none does."""
    import settings
    from model import shelf

    try:
        return shelf.current(settings.root().models, risk.name).name
    except ModelNotTrained:
        return None


def _card(risk: "Risk", version: str) -> "Card":
    """Raises BadParameter, ModelNotTrained, ModelBroken."""
    import settings
    from model import history, shelf

    root = settings.root()
    if version == "current":
        return shelf.take(shelf.current(root.models, risk.name))[0]
    known = history.versions(root.models / risk.name)
    if version not in known:
        raise unknown(f"version of {risk.name}", version, known, f"Run: python -m jobs train {risk.name}")
    return shelf.take(root.models / risk.name / version)[0]


def _metrics(card: "Card") -> dict[str, float]:
    return {name.replace("_", " "): value for name, value in card.quality.model_dump().items() if value is not None}


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _rows(split: "Split") -> str:
    days = f"{split.since:%Y-%m-%d} to {split.until:%Y-%m-%d}" if split.since else "without timestamps"
    return f"{split.rows:,}, {days}"


def _thresholds(risk: "Risk") -> str:
    import settings
    from serving import policies

    appetite = policies.appetite(settings.root().policies, risk)
    return f"low {appetite.low:g}, high {appetite.high:g}"
