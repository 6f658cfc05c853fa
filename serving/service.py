"""Answers one request: retrieve, featurize, score, decide. Each step is a part of the next one's answer."""

import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

from features.declaration import Risk, RiskRequest
from model.card import Card
from model.scorer import Scorers
from serving import audit, featurization
from serving.decision import Decision, decide
from serving.source import FeatureSource, Row


class RiskService:
    """The hash key turns secrets in a request into the keys that are stored."""

    def __init__(self, source: FeatureSource, models: Path, decisions: Path, hash_key: bytes) -> None:
        self.source = source
        self.scorers = Scorers(models)
        self._decisions = decisions
        self._hash_key = hash_key

    def features(self, risk: Risk, request: RiskRequest, as_of: datetime) -> dict[str, Any]:
        """Every feature of the risk's service as a plain value. Raises UnknownEntity, FeaturesNotReady."""
        return self._features(risk, request.row(as_of, self._hash_key), as_of)

    def score(self, risk: Risk, request: RiskRequest, as_of: datetime) -> tuple[float, Card]:
        """The probability, and the card of the model that gave it. Raises ModelNotTrained besides."""
        scorer = self.scorers[risk.name]
        vector = featurization.row(self.features(risk, request, as_of), scorer.card)
        return float(scorer.score(vector)[0]), scorer.card

    def decision(self, risk: Risk, request: RiskRequest, as_of: datetime) -> Decision:
        """A decision, logged before it is given. Raises AuditUnavailable besides."""
        scorer = self.scorers[risk.name]
        row = request.row(as_of, self._hash_key)
        features = self._features(risk, row, as_of)
        vector = featurization.row(features, scorer.card)
        score, contributions = float(scorer.score(vector)[0]), scorer.contributions(vector)[0]
        given = decide(str(uuid.uuid4()), risk, scorer.card, features, score, contributions, as_of)
        entity = {name: row[name] for name in risk.entity_keys}
        audit.append(self._decisions, as_of, [audit.record(risk.name, entity, given.as_json())])
        return given

    def _features(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        return featurization.complete(self.source.online(risk, row, as_of), self.source.views(risk))
