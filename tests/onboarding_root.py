"""A data root with the domain `onboarding` only, without drivers, which takes seconds."""

import os
import sys
from pathlib import Path

from processes import environment, run

import settings

TESTS = Path(__file__).parent


def make(root: Path) -> None:
    """In a process of its own: Feast's objects have their paths from the moment they are imported."""
    path = os.pathsep.join(map(str, (settings.PROJECT, settings.FEATURE_REPO, TESTS)))
    run([sys.executable, __file__], env={**environment(RISK_DATA=root), "PYTHONPATH": path})


def main() -> None:
    from fake import shelve
    from feast import Entity, FeatureService, FeatureStore, FeatureView, OnDemandFeatureView

    from views import onboarding

    kinds = (Entity, FeatureView, OnDemandFeatureView, FeatureService)
    FeatureStore(str(settings.FEATURE_REPO)).apply(
        [value for value in vars(onboarding).values() if isinstance(value, kinds)]
    )
    for name in ("onboarding", "daily"):
        shelve(name)


if __name__ == "__main__":
    main()
