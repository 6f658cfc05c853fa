"""A data root with the domain `coupon` only, which takes seconds, and a service and a stream job at work on it."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from processes import Child, environment, run, started, started_job, wait_until
from servers import answering

import settings

TESTS = Path(__file__).parent
#: In the order of the inputs of the domain.
WEIGHTS, MEANS, BASE = [0.05, 0.3, 0.1, 3.0], [2.0, 1.0, 2.0, 0.05], -4.0


def make(root: Path) -> None:
    """In a process of its own: Feast's objects have their paths from the moment they are imported."""
    path = os.pathsep.join(map(str, (settings.PROJECT, settings.FEATURE_REPO, TESTS)))
    run([sys.executable, __file__], env={**environment(RISK_DATA=root), "PYTHONPATH": path})


@contextmanager
def service(root: Path) -> Iterator[str]:
    """Its address, without a slash at the end."""
    command = [sys.executable, "app.py"]
    with answering(lambda port: started(command, env=environment(RISK_DATA=root, PORT=port)), "/coupon/") as server:
        yield server.url


@contextmanager
def stream_job(root: Path) -> Iterator[Child]:
    """A stream job, from when it has its state file."""
    with started_job(root, "stream", "coupon") as job:
        wait_until((root / "streams" / "coupon.db").exists, what="the stream job has its state file", child=job)
        yield job


def apply() -> None:
    """Apply the views of the domain, and no other."""
    from feast import Entity, FeatureService, FeatureStore, FeatureView, OnDemandFeatureView

    from features.domains import stream_of
    from jobs.stream.job import prepare
    from views import coupon

    prepare(settings.root(), stream_of("coupon"))
    kinds = (Entity, FeatureView, OnDemandFeatureView, FeatureService)
    FeatureStore(str(settings.FEATURE_REPO)).apply(
        [value for value in vars(coupon).values() if isinstance(value, kinds)]
    )


def main() -> None:
    from fake import shelve

    apply()
    shelve("coupon", WEIGHTS, MEANS, BASE)


if __name__ == "__main__":
    main()
