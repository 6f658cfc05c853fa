"""What is wrong with the policy files, for whoever starts the service or the pipeline: a request would be told last."""

from pathlib import Path

from choices import did_you_mean
from errors import FeaturesNotReady, PolicyBroken
from features.domains import risks
from serving.policies import SUFFIX, Policies


def faults(folder: Path, policies: Policies) -> list[str]:
    """Which policies are broken, and which files of the folder no risk reads."""
    texts = []
    for risk in risks().values():
        try:
            policies[risk]
        except PolicyBroken as error:
            texts.append(f"{error.message} Until then, decisions of {risk.name} answer 503.")
        except FeaturesNotReady:
            continue  # a request is told so, policy or not
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        if file.stem not in risks():
            hint = did_you_mean(file.stem, risks())
            texts.append(f"{folder.name}/{file.name} is of no risk, so it changes nothing. {hint}Rename it.")
    return texts
