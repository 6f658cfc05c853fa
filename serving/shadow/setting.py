"""What the shadow of a risk is: `shadow/<risk>.json`, and `shadow/<risk>.yaml` if it has a policy of its own. Running
services read them when they change."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import files
from choices import unknown
from errors import BadParameter, ModelBroken
from features.risk import Input, Reason, Risk
from model import history, shelf
from model.card import Card
from model.scorer import Scorer


@dataclass(frozen=True)
class Setting:
    """`model` is the version of the challenger, None for the one that serves. `has_policy`: the policy of the
    challenger is in a file beside this one; else it is the one in force."""

    model: str | None
    has_policy: bool


def write(folder: Path, risk: str, model: str | None, policy: bytes | None) -> None:
    """Let a model, a policy or both be the shadow of a risk, in place of the one before."""
    with files.locked(folder / f"{risk}.lock"):
        if policy is not None:
            with files.replacing(folder / f"{risk}.yaml") as beside:
                beside.write_bytes(policy)
        with files.replacing(folder / f"{risk}.json") as beside:
            beside.write_text(json.dumps(asdict(Setting(model, policy is not None))))


def remove(folder: Path, risk: str) -> None:
    """Let a risk have no shadow."""
    with files.locked(folder / f"{risk}.lock"):
        for suffix in (".json", ".yaml"):  # in this order: without the first, nobody reads the second
            (folder / f"{risk}{suffix}").unlink(missing_ok=True)
        files.sync(folder)


def read(folder: Path, risk: str) -> Setting | None:
    """None where the risk has no shadow. Raises BadParameter on a file that is no setting."""
    path = folder / f"{risk}.json"
    try:
        return Setting(**json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        remedy = f"Set it again, or switch it off: python -m jobs shadow {risk} --off"
        raise BadParameter(f"{path.name} does not say what the shadow is. {remedy}") from error


def signature(folder: str, risk: str) -> files.Signature | None:
    """What the file of a risk looks like from outside, None where there is none. It is asked in every decision."""
    try:
        return files.signature(f"{folder}{os.sep}{risk}.json")
    except OSError:
        return None


def challenger(models: Path, risk: Risk, version: str, views: Mapping[str, str]) -> tuple[Scorer, Risk]:
    """A version of the shelf, and the risk with its inputs. It may take features that the risk does not declare as
    inputs, if the feature service has them. `views` maps these to their views. Raises BadParameter, ModelBroken."""
    known = history.versions(models / risk.name)
    if version not in known:
        raise unknown(f"version of {risk.name}", version, known, f"Run: python -m jobs train {risk.name}")
    scorer = Scorer(*shelf.take(models / risk.name / version))
    if gone := [i.name for i in scorer.card.inputs if i.name not in views]:
        raise ModelBroken(
            f"{risk.name} {version} takes {gone[0]!r}, and the feature service of {risk.name} has no such feature. Add "
            "it to the service and apply it (make pipeline), or choose another version."
        )
    return scorer, _with_inputs(risk, scorer.card)


def _with_inputs(risk: Risk, card: Card) -> Risk:
    more = [
        Input(i.name, i.dtype, 0, Reason(f"{i.name}_high", i.name), Reason(f"{i.name}_low", i.name))
        for i in card.inputs
        if i.name not in risk.by_input
    ]
    return replace(risk, inputs=(*risk.inputs, *more)) if more else risk
