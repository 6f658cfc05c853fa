"""`python -m jobs shadow RISK`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli import console
from cli.console import Column
from cli.values import TIMESTAMP
from jobs.commands.acts import act
from jobs.commands.risk import RISK

if TYPE_CHECKING:
    from features.risk import Risk
    from jobs.shadow import Comparison
    from serving.store import Store

#: Stands for the version that was put on the shelf last.
NEWEST = "newest"


@click.command()
@click.argument("risk", help=RISK)
@click.option("--model", show_default="none", help="Score with this version of the model, too; newest: the newest one.")
@click.option(
    "--policy", type=click.Path(path_type=Path), show_default="none",
    help="Decide every request by this policy file, too.",
)  # fmt: skip
@click.option("--off", is_flag=True, help="Score with nothing else any more. Its log stays.")
@click.option("--since", type=TIMESTAMP, show_default="all that are logged", help="Compare decisions from then on.")
def shadow(risk: str, model: str | None, policy: Path | None, off: bool, since: datetime | None) -> None:
    """Score every decision with a second model or policy, too.

    The second decision is logged, and never answered. Running services begin with their next request. Without options,
    the command compares the logged decisions with those that were given. Batch scoring has no shadow.
    """
    from errors import BadParameter
    from features.domains import risk_named

    declared = risk_named(risk)
    if off and (model or policy):
        raise BadParameter("--off goes alone. Leave out --model and --policy, or --off.")
    if off:
        _switch_off(declared)
    elif model or policy:
        _switch_on(declared, model, policy)
    else:
        _compare(declared, since)


def _switch_off(risk: "Risk") -> None:
    import settings
    from serving.shadow import setting

    folder = settings.root().shadow
    had_one = setting.signature(str(folder), risk.name) is not None
    with act("shadow", risk.name, "off") as log:
        if had_one:
            log()
        setting.remove(folder, risk.name)
    console.line(f"{risk.name} has no shadow {'any more' if had_one else 'to switch off'}.")


def _switch_on(risk: "Risk", model: str | None, policy: Path | None) -> None:
    """Everything is loaded first: what cannot serve as a shadow is refused, and nothing changes."""
    import settings
    from model import history
    from serving.policies import Policies
    from serving.shadow import setting

    root, store = settings.root(), _store()
    content, words = None, []
    if model == NEWEST:
        model = history.latest(root.models / risk.name) or NEWEST
    if model is not None:
        setting.challenger(root.models, risk, model, store.views(risk.name))
        words.append(f"model {model}")
    if policy is not None:
        content = policy.read_bytes()
        made, _ = Policies(root.policies, store).read(risk, str(policy), content)
        words.append(f"policy {made.version}")
    with act("shadow", risk.name, "set") as log:
        log(challenger=" and ".join(words))
        setting.write(root.shadow, risk.name, model, content)
    console.line(f"{risk.name}: {' and '.join(words)} will score every decision, too. Compare later with:")
    console.line(f"python -m jobs shadow {risk.name}")


def _store() -> "Store":
    import settings
    from serving.retrieval import FeastStore

    return FeastStore(settings.FEATURE_REPO, settings.feature_store())


def _compare(risk: "Risk", since: datetime | None) -> None:
    import settings
    from jobs.shadow import known_outcomes, report
    from serving.shadow import setting

    root = settings.root()
    wanted, made = setting.read(root.shadow, risk.name), report(root, risk, since, known_outcomes(root, risk))
    if wanted is None:
        console.line(f"{risk.name} has no shadow now. To set one: python -m jobs shadow {risk.name} --model VERSION")
    for comparison in made.comparisons:
        _print(risk, comparison)
    if not made.comparisons:
        console.line("No decision of a shadow is logged.")
    for text, count in made.errors.items():
        console.line(f"{count:,} decisions could not be scored: {text}")
    if made.dropped:
        console.line(f"{made.dropped:,} decisions were dropped: they came faster than the shadow scores them.")


def _print(risk: "Risk", comparison: "Comparison") -> None:
    words = [word for word in risk.appetite.words if any(word in pair for pair in comparison.outcomes)]
    rows = [(champion, *(f"{comparison.outcomes[champion, word]:,}" for word in words)) for champion in words]
    count = comparison.decisions
    other = count - sum(comparison.outcomes[word, word] for word in words)
    for name, (model, policy) in (("champion", comparison.champion), ("challenger", comparison.challenger)):
        console.line(f"{name}: model {model}, policy {policy}")
    console.line(f"{count:,} decisions, {other:,} with another outcome ({other / count:.2%})")
    columns = [Column("champion \\ challenger"), *(Column(word, "right") for word in words)]
    console.table(columns, rows, headings=True, indent=2)
    console.line(f"score: mean difference {comparison.difference / count:+.4f}, size {comparison.distance / count:.4f}")
    if aucs := comparison.aucs():
        console.line(f"AUC of {len(comparison.labels):,} known outcomes: {aucs[0]:.4f}, challenger {aucs[1]:.4f}")
    else:
        console.line("AUC: outcomes of both kinds are not known yet.")
