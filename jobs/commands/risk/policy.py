"""`python -m jobs policy RISK show`, `check`, `apply`, `history`, `rollback` and `hash`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from choices import unknown
from cli import console
from cli.console import Column
from errors import BadParameter
from jobs.commands.acts import act
from jobs.commands.risk import RISK, RiskGroup

if TYPE_CHECKING:
    from features.policy import Policy
    from features.risk import Risk
    from serving.policies import Policies
    from serving.policy_change import Change
    from serving.policy_history import History


@click.group(cls=RiskGroup)
@click.argument("risk", help=RISK)
@click.pass_context
def policy(context: click.Context, risk: str) -> None:
    """Show a risk's thresholds and rules, or change them.

    docs/how-to/set-rules-and-thresholds.md describes the file.
    """
    from features.domains import risk_named

    context.obj = risk_named(risk)


@policy.command()
@click.pass_obj
def show(risk: "Risk") -> None:
    """Print the policy in force, as a policy file.

    A comment says where it comes from.
    """

    folder = _folder()
    file = folder / f"{risk.name}.yaml"
    _print(_policies()[risk], str(file) if file.exists() else f"declared in code; {file} would replace it")


@policy.command()
@click.argument("file", type=click.Path(path_type=Path), help="A policy file, anywhere.")
@click.pass_obj
def check(risk: "Risk", file: Path) -> None:
    """Check a policy file, and print what it says.

    No policy is changed. A mistake gives exit code 1.
    """
    place = _folder() / f"{risk.name}.yaml"
    in_force = "which is in force" if place.exists() and place.samefile(file) else f"in force once it is {place}"
    _print(_policies().check(risk, file), f"{file}, {in_force}")


@policy.command()
@click.argument("file", type=click.Path(path_type=Path), help="A policy file, anywhere.")
@click.option("--note", default="", help="Why, for the history.")
@click.pass_obj
def apply(risk: "Risk", file: Path, note: str) -> None:
    """Put a policy file in force, if it is right.

    The history keeps it, and what was in force before. A mistake gives exit code 1, and changes nothing.
    """
    from serving import policy_change

    with act("policy", risk.name, "apply") as log:
        made = policy_change.apply(
            _history(risk), _policies(), risk, file, _change(note), lambda to: log(version=to)
        )  # fmt: skip
    console.line(f"{risk.name}: version {made.version} is in force. Running services decide by it at once.")


@policy.command()
@click.argument("version", required=False, help="A version that the history has. Without one: a list of all.")
@click.pass_obj
def history(risk: "Risk", version: str | None) -> None:
    """List the policies so far, or print one of them.

    The version in a decision leads to its file.
    """
    from serving.policy_change import kept

    kept_policies = _history(risk)
    if version is not None:
        entry = kept(kept_policies, risk, version)
        lists = (f", list {path} with {held['lines']} lines, {held['sha256']}" for path, held in entry.lists.items())
        console.line(f"# {risk.name}, version {version}: {entry.act} {entry.at:%Y-%m-%d %H:%M:%S} UTC{''.join(lists)}")
        console.line(kept_policies.content(entry).decode().rstrip())
        return
    entries = kept_policies.entries()
    newest = kept_policies.served(entries)[-1:]
    if not entries:
        console.line(f"{risk.name} has no history yet: no decision, and no command that changed its policy.")
        return
    rows = []
    for entry in entries:
        is_newest = newest and (entry.name, entry.back_to).count(newest[0].name)
        mark = "in force" if is_newest and kept_policies.is_in_force(entry) else ""
        act = f"{entry.act}{' to the default' * (entry.act == 'rolled back' and entry.is_default)}"
        rows.append((mark, entry.version, f"{entry.at:%Y-%m-%d %H:%M:%S}", act, entry.by, entry.note))
    columns = [Column(""), Column("version", wraps=False), Column("UTC"), Column(""), Column("by"), Column("note")]
    console.table(columns, rows, headings=True)


@policy.command()
@click.argument("version", required=False, help="A version that the history has, or: default. Without one: the last.")
@click.option("--note", default="", help="Why, for the history.")
@click.pass_obj
def rollback(risk: "Risk", version: str | None, note: str) -> None:
    """Go back to an earlier policy, or to the declared one.

    Lists stay as they are today.
    """
    from serving import policy_change

    with act("policy", risk.name, "rollback") as log:
        made = policy_change.rollback(
            _history(risk), _policies(), risk, version, _change(note), lambda to: log(version=to)
        )  # fmt: skip
    console.line(f"{risk.name}: version {made.version} is in force.")
    if version not in (None, policy_change.DEFAULT, made.version):
        console.line(f"It is the file of {version}. A list, or what is declared, has changed since.")


@policy.command("hash")
@click.argument("field", help="A secret of the risk's requests, such as ssn.")
@click.option("--values", type=click.File(), default="-", show_default="standard input", help="A value a line.")
@click.pass_obj
def hashed(risk: "Risk", field: str, values: IO[str]) -> None:
    """Print the keyed hash of each value of a secret, for a list.

    A list holds hashes, and never the secret itself.
    """
    import settings

    secrets = risk.request.secrets
    if field not in secrets:
        raise unknown(f"secret of {risk.name}", field, secrets, "Its requests have none, so write values as they are.")
    for number, line in enumerate(values, 1):
        if line.strip():
            try:
                console.line(risk.request.hashed(field, line.strip(), settings.hash_key()))
            except ValueError:
                raise BadParameter(f"Line {number} is no valid {field}. Write it as in a request.") from None


def _folder() -> Path:
    """The folder of the policies, made where the root has none, so that a file can be put there."""
    import settings

    folder = settings.root().policies
    if folder.parent.is_dir():
        folder.mkdir(exist_ok=True)
    return folder


def _policies() -> "Policies":
    import settings
    from serving.policies import Policies
    from serving.retrieval import FeastStore

    return Policies(settings.root().policies, FeastStore(settings.FEATURE_REPO, settings.feature_store()))


def _history(risk: "Risk") -> "History":
    from serving.policy_history import History

    return History(_folder(), risk.name)


def _change(note: str) -> "Change":
    from serving import acts
    from serving.policy_change import Change

    now = datetime.now(UTC)
    return Change(now, acts.operator(now).caller.removeprefix("cli:"), note)


def _print(shown: "Policy", source: str) -> None:
    from serving.policy_file import dumped

    console.line(f"# {shown.name}, version {shown.version}: {source}")
    console.line(dumped(shown).decode().rstrip())
