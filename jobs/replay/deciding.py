"""Decides logged requests again, with a given card and policy, by the functions that decide requests."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from features.policy import Policy
from features.risk import Risk
from features.rules import names_in, parsed
from jobs.replay.records import Logged
from model.scorer import Scorer
from serving import featurization
from serving.decision import Decider, Decision


class Again:
    """A card and a policy that decide logged requests of a risk."""

    def __init__(self, risk: Risk, scorer: Scorer, policy: Policy) -> None:
        self.risk, self.scorer, self.policy = risk, scorer, policy
        self._inputs = tuple(i.name for i in scorer.card.inputs)
        declared = [risk.by_input[name] for name in self._inputs if name in risk.by_input]
        rules = chain.from_iterable(names_in(parsed(active.rule.when)) for active in policy.rules)
        self._seen = tuple(dict.fromkeys((*risk.needs, *(name for i in declared for name in i.known_by), *rules)))

    def lacks(self, logged: Logged) -> str | None:
        """The first feature or field that the card or the policy reads and the line does not have. A null is there."""
        for name in self._inputs:
            if name not in logged.features:
                return name
        for name in self._seen:
            source, _, key = name.rpartition(".")
            is_feature = source != "request" and key in logged.features
            if not is_feature and not (source != "feature" and key in logged.fields):
                return key
        return None

    def decide(self, many: Sequence[Logged]) -> list[Decision]:
        """The decisions in order, under the ids of the logged ones. No line lacks anything. Raises ModelBroken."""
        matrix = featurization.matrix([logged.features for logged in many], self.scorer.card)
        scores, contributions = self.scorer.explained(matrix)
        decide = Decider(self.risk, self.scorer.card, self.policy).decide
        return [
            decide(logged.decision_id, logged.features, logged.fields, float(score), by_input, logged.as_of)
            for logged, score, by_input in zip(many, self._logged(many, matrix, scores), contributions, strict=True)
        ]

    def _logged(self, many: Sequence[Logged], matrix: np.ndarray, scores: np.ndarray) -> np.ndarray:
        """The scores, or those of single rows where these are the logged ones. onnxruntime computes the sigmoid of
        several rows with other instructions than that of a row alone, and the last digit may differ. So where the same
        card gave another score, the row is scored alone, as the service scores a single request."""
        for n, logged in enumerate(many):
            if logged.model == self.scorer.card.version and logged.record["score"] != scores[n]:
                alone = self.scorer.score(matrix[n : n + 1])[0]
                scores[n] = alone if alone == logged.record["score"] else scores[n]
        return scores
