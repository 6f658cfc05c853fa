"""Answers one request: retrieve, featurize, score, decide. Each step is a part of the next one's answer."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import numpy as np

from errors import RiskError
from features.domains import risks
from features.risk import Risk, RiskRequest
from model.card import Card
from model.scorer import Scorers
from root import Root
from serving import audit, event_log, featurization
from serving.decision import Decision, decide
from serving.store import Row, Store


class RiskService:
    """The hash key turns secrets in a request into the keys that are stored. `event_logs` has a folder a stream."""

    def __init__(self, store: Store, root: Root, hash_key: bytes) -> None:
        self.store = store
        self.scorers = Scorers(root.models)
        self._decisions = root.decisions
        self._event_logs = root.event_logs
        self._hash_key = hash_key

    def prepare(self) -> None:
        """Load what the first request of each risk would wait for, seconds for some models. What is not there, or is
        broken, its requests will say."""
        for risk in risks().values():
            with suppress(RiskError):
                self.store.views(risk.name)
                self.scorers[risk.name]

    def features(self, risk: Risk, request: RiskRequest, as_of: datetime) -> dict[str, Any]:
        """Every feature of the risk's service as a plain value. Raises UnknownEntity, FeaturesNotReady."""
        return self._features(risk, request.row(as_of, self._hash_key), as_of)

    def score(self, risk: Risk, request: RiskRequest, as_of: datetime) -> tuple[float, Card]:
        """The probability, or the estimated number, and the card of the model that gave it. Raises ModelNotTrained
        besides."""
        scorer = self.scorers[risk.name]
        vector = featurization.row(self.features(risk, request, as_of), scorer.card)
        return float(scorer.score(vector)[0]), scorer.card

    def decision(self, risk: Risk, request: RiskRequest, as_of: datetime) -> Decision:
        """A decision, logged before it is given. Raises AuditUnavailable, LogUnavailable besides."""
        return self.decisions(risk, [request], as_of)[0]

    def decisions(self, risk: Risk, requests: Sequence[RiskRequest], as_of: datetime) -> list[Decision]:
        """Many at once, in order; all of them are logged and given, or none."""
        scorer = self.scorers[risk.name]
        rows = [request.row(as_of, self._hash_key) for request in requests]
        views = self.store.views(risk.name)
        many = [featurization.complete(f, views) for f in self.store.online_many(risk, rows, as_of)]
        matrix = np.vstack([featurization.row(features, scorer.card) for features in many])
        given = [
            decide(str(uuid.uuid4()), risk, scorer.card, features, float(score), contributions, as_of)
            for features, score, contributions in zip(
                many, scorer.score(matrix), scorer.contributions(matrix), strict=True
            )
        ]
        records = [audit.record(risk, row, one.as_json()) for row, one in zip(rows, given, strict=True)]
        audit.append(self._decisions, as_of, records)
        if risk.publishes:
            events = [risk.publishes.event(row, one.score) for row, one in zip(rows, given, strict=True)]
            event_log.append(self._event_logs / risk.publishes.stream, events, as_of)
        return given

    def _features(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        return featurization.complete(self.store.online(risk, row, as_of), self.store.views(risk.name))
