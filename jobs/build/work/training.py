"""The model of a risk."""

from datetime import datetime

import settings
from features.risk import Risk
from jobs.build.work import OnPart
from root import Root


def train(root: Root, risk: Risk, now: datetime, on_part: OnPart) -> str:
    """Train the risk's model. Returns a short summary."""
    from jobs.train import champion
    from serving.retrieval import FeastStore

    card = champion.train(root, FeastStore(settings.FEATURE_REPO), risk, now, on_part)
    return f"{card.headline} on {card.test.rows:,} rows"
