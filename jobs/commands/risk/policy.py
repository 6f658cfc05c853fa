"""`python -m jobs policy RISK show`, `check` and `hash`."""

from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from choices import unknown
from cli import console
from errors import BadParameter
from jobs.commands.risk import RISK, RiskGroup

if TYPE_CHECKING:
    from features.policy import Policy
    from features.risk import Risk
    from serving.policies import Policies


@click.group(cls=RiskGroup)
@click.argument("risk", help=RISK)
@click.pass_context
def policy(context: click.Context, risk: str) -> None:
    """Show a risk's thresholds and rules, or check a file.

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

    return Policies(settings.root().policies, FeastStore(settings.FEATURE_REPO))


def _print(shown: "Policy", source: str) -> None:
    import yaml

    console.line(f"# {shown.name}, version {shown.version}: {source}")
    console.line(yaml.safe_dump(shown.as_written(), sort_keys=False, allow_unicode=True, width=10_000).rstrip())
