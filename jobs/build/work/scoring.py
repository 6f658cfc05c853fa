"""Batch scores."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import settings
from features.risk import Risk
from jobs.build.work import OnPart
from root import Root

SCORED_MIDNIGHTS = 7


def score(root: Root, risk: Risk, now: datetime, day: datetime, on_part: OnPart) -> str:
    """Decide about everybody as of `now`, and as of each of the last midnights that has no decisions yet, so that the
    pages have a history on their first day."""
    from jobs import score as scoring
    from serving import scores
    from serving.retrieval import FeastStore

    store = FeastStore(settings.FEATURE_REPO, settings.feature_store())
    known = scores.runs(root.scores_db, risk.name)
    midnights = [day - timedelta(days=n) for n in range(SCORED_MIDNIGHTS - 1, -1, -1)]
    decisions = 0
    with _loaded_stays():
        for as_of in [*(midnight for midnight in midnights if midnight not in known), now]:
            decisions += scoring.score(root, store, risk, as_of)
            on_part(f"{as_of:%Y-%m-%d}")
    return f"{decisions:,} decisions"


@contextmanager
def _loaded_stays() -> Iterator[None]:
    """Inside, the garbage collector does not look through all that is loaded, which took an eighth of the time."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()  # at the end of the process, a library says what was not collected
