"""The model of a risk."""

from datetime import datetime

import settings
from features.risk import Risk
from jobs.build.work import OnPart
from root import Root


def train(root: Root, risk: Risk, now: datetime, on_part: OnPart) -> str:
    """Train the risk's model. Returns a short summary, and a second line if a model of a team's own serves on."""
    from jobs.train import champion
    from model import promotion
    from serving import acts
    from serving.retrieval import FeastStore

    store = FeastStore(settings.FEATURE_REPO, settings.feature_store())
    with acts.logged(root.cases, acts.operator(now), "model", risk.name, "train") as log:
        card = champion.train(root, store, risk, now, lambda version: log(version=version), on_part)
    summary = f"{card.headline} on {card.test.rows:,} rows"
    kept = promotion.kept_line(root.models, card)
    return f"{summary}; your own model serves on\n{kept}" if kept else summary
