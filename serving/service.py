"""Answers a request in steps: retrieve, featurize, score, decide, record, append. Batch scoring takes the steps from
`score` on with the same function, `decide_all`."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from errors import RiskError
from features.domains import risks
from features.risk import Risk, RiskRequest
from model.card import Card
from model.scorer import Scorer, Scorers
from root import Root
from serving import audit, event_log, featurization
from serving.decision import Decision, decide
from serving.store import Row, Store


def decide_all(
    scorer: Scorer, risk: Risk, rows: Sequence[Row], features: Sequence[Mapping[str, Any]], as_of: datetime, log: Path
) -> list[Decision]:
    """Score, decide and append to the audit log below `log`: all rows or none. `features` are complete and in the order
    of `rows`. Raises AuditUnavailable."""
    matrix = featurization.matrix(features, scorer.card)
    scored = zip(features, scorer.score(matrix), scorer.contributions(matrix), strict=True)
    decisions = [
        decide(str(uuid.uuid4()), risk, scorer.card, values, float(score), contributions, as_of)
        for values, score, contributions in scored
    ]
    records = (audit.record(risk, row, decision.as_json()) for row, decision in zip(rows, decisions, strict=True))
    audit.append(log, as_of, records)
    return decisions


class RiskService:
    """Features, scores and decisions of every declared risk. The hash key turns the secrets in a request into the keys
    under which features are stored."""

    def __init__(self, store: Store, root: Root, hash_key: bytes) -> None:
        self.store = store
        self.scorers = Scorers(root.models)
        self._decisions = root.decisions
        self._event_logs = root.event_logs
        self._hash_key = hash_key

    def prepare(self) -> None:
        """Load every plan and model, so that the first request of a risk does not wait for them."""
        for risk in risks().values():
            with suppress(RiskError):  # the first request raises it again, and tells the caller
                self.store.views(risk.name)
            with suppress(RiskError):
                self.scorers[risk.name]

    def features(self, risk: Risk, request: RiskRequest, as_of: datetime) -> dict[str, Any]:
        """Every feature of the risk's feature service, as plain values. Raises UnknownEntity, FeaturesNotReady."""
        return self._features(risk, [request.row(as_of, self._hash_key)], as_of)[0]

    def score(self, risk: Risk, request: RiskRequest, as_of: datetime) -> tuple[float, Card]:
        """The probability or the estimated number, and the card of the model that gave it. Raises UnknownEntity,
        FeaturesNotReady, ModelNotTrained, ModelBroken."""
        scorer = self.scorers[risk.name]
        matrix = featurization.matrix([self.features(risk, request, as_of)], scorer.card)
        return float(scorer.score(matrix)[0]), scorer.card

    def decision(self, risk: Risk, request: RiskRequest, as_of: datetime) -> Decision:
        """One decision; see `decisions`."""
        return self.decisions(risk, [request], as_of)[0]

    def decisions(self, risk: Risk, requests: Sequence[RiskRequest], as_of: datetime) -> list[Decision]:
        """Decisions in the order of the requests. The service logs them before it gives them, all or none. Raises
        UnknownEntity, FeaturesNotReady, ModelNotTrained, ModelBroken, AuditUnavailable, LogUnavailable."""
        scorer = self.scorers[risk.name]
        rows = [request.row(as_of, self._hash_key) for request in requests]
        decisions = decide_all(scorer, risk, rows, self._features(risk, rows, as_of), as_of, self._decisions)
        if risk.publishes:
            publish = risk.publishes.event
            events = [publish(row, decision.score) for row, decision in zip(rows, decisions, strict=True)]
            event_log.append(self._event_logs / risk.publishes.stream, events, as_of)
        return decisions

    def _features(self, risk: Risk, rows: Sequence[Row], as_of: datetime) -> list[dict[str, Any]]:
        views = self.store.views(risk.name)
        return [featurization.complete(values, views) for values in self.store.online_many(risk, rows, as_of)]
