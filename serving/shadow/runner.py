"""Scores the decisions of a process again, by the shadow of their risk, after they were given.

A decision waits for nothing but a place in a queue. A thread takes some of the queue at a time, and sleeps in between,
because the interpreter runs one thread at a time: a request never waits for more than a part. The queue has bounds.
What does not fit in is dropped and counted, and so is what fails: a broken challenger harms no decision.
"""

import atexit
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

import files
from errors import BadParameter, ModelBroken, RiskError
from features.policy import Policy
from features.risk import Risk
from model.scorer import Scorer
from root import Root
from serving import featurization, lines
from serving.decision import Decider, Decision
from serving.policies import Policies
from serving.shadow import setting
from serving.store import Store

#: Decisions that may wait for the shadow.
MOST_WAITING = 4000
#: Decisions that are scored at a time, in about as many tenths of a millisecond, and the seconds between two times.
PART, PAUSE_SECONDS = 8, 0.001
#: The thread begins this long after the first decision of a queue, so that it does not compete with its answer.
DELAY_SECONDS = 0.02

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Waiting:
    """A decision, and what it was made of."""

    risk: Risk
    policy: Policy
    scorer: Scorer
    features: Mapping[str, Any]
    fields: Mapping[str, Any]
    decision: Decision
    signature: files.Signature


@dataclass(frozen=True)
class _Challenger:
    """The shadow of a risk, loaded. `risk` has its inputs. `scorer` is None where the model is the one that serves."""

    signature: files.Signature
    risk: Risk
    scorer: Scorer | None
    has_policy: bool


class Shadows:
    """The shadows of all risks. `dropped` counts the decisions that were not scored for want of place, by risk."""

    def __init__(self, root: Root, store: Store) -> None:
        self._folder, self._path, self._models = root.shadow, str(root.shadow), root.models
        self._store = store
        self._policies = Policies(root.shadow, store, root.policies)
        self._queue: deque[_Waiting] = deque()
        self._loaded: dict[str, _Challenger] = {}
        #: Why a setting cannot be loaded. It is not tried again for each decision: that takes long.
        self._refused: dict[files.Signature, RiskError] = {}
        self._errors: set[str] = set()
        self.dropped: Counter[str] = Counter()
        self._is_due, self._at_work = threading.Event(), threading.Lock()
        self._thread: threading.Thread | None = None

    def submit(
        self,
        risk: Risk,
        policy: Policy,
        scorer: Scorer,
        features: Sequence[Mapping[str, Any]],
        fields: Sequence[Mapping[str, Any]],
        decisions: Sequence[Decision],
    ) -> None:
        """Have decisions scored by the shadow of the risk, if it has one. They are in the order of their `features` and
        `fields`, and were made by `policy` and `scorer`. Never raises, never waits."""
        signature = setting.signature(self._path, risk.name)
        if signature is None:
            return
        for values, seen, decision in zip(features, fields, decisions, strict=True):
            if len(self._queue) >= MOST_WAITING:
                self.dropped[risk.name] += 1
            else:
                self._queue.append(_Waiting(risk, policy, scorer, values, seen, decision, signature))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
            atexit.register(self.drain)
        self._is_due.set()

    def drain(self) -> None:
        """Score all that waits, now."""
        while self._queue:
            self._part()

    def _run(self) -> None:
        while True:
            self._is_due.wait()
            time.sleep(DELAY_SECONDS)
            self._is_due.clear()
            while self._queue:
                self._part()
                time.sleep(PAUSE_SECONDS)

    def _part(self) -> None:
        with self._at_work:
            part = [self._queue.popleft() for _ in range(min(PART, len(self._queue)))]
            for name, some in groupby(part, lambda waiting: waiting.risk.name):
                self._score(name, list(some))

    def _score(self, name: str, waiting: list[_Waiting]) -> None:
        as_of = waiting[0].decision.as_of
        try:
            records = list(self._records(waiting))
        except Exception as error:  # whatever a challenger does, the service goes on
            text = error.message if isinstance(error, RiskError) else repr(error)
            records = [{"risk": name, "as_of": as_of.isoformat(), "failed": len(waiting), "error": text}]
            self._warn(f"The shadow of {name} fails: {text}")
        if dropped := self.dropped.pop(name, 0):
            records.append({"risk": name, "as_of": as_of.isoformat(), "dropped": dropped})
        try:
            lines.append(self._folder / f"{as_of.date()}{lines.SUFFIX}", records)
        except OSError as error:
            self._warn(f"The decisions of the shadow cannot be logged. {files.fault(error, self._folder)}")

    def _warn(self, text: str) -> None:
        if text not in self._errors:
            self._errors.add(text)
            logger.warning("%s", text)

    def _records(self, waiting: list[_Waiting]) -> Iterator[dict[str, Any]]:
        """The lines of decisions about one risk. Their champions may differ."""
        risk = waiting[0].risk
        challenger = self._challenger(risk, waiting[-1].signature)
        policy = self._policies[risk] if challenger.has_policy else None
        if challenger.scorer is None:
            scores = [champion.decision.score for champion in waiting]
        else:
            matrix = featurization.matrix([w.features for w in waiting], challenger.scorer.card)
            scores = challenger.scorer.score(matrix).tolist()
        for champion, score in zip(waiting, scores, strict=True):
            made = self._decide(champion, challenger, policy or champion.policy, score)
            yield {
                "risk": risk.name,
                "decision_id": champion.decision.decision_id,
                "as_of": champion.decision.as_of.isoformat(),
                "champion": _said(champion.decision),
                "challenger": _said(made),
            }

    def _decide(self, champion: _Waiting, challenger: _Challenger, policy: Policy, score: float) -> Decision:
        """The decision of the challenger, without the reasons of its model: they would cost more than all else."""
        card = (challenger.scorer or champion.scorer).card
        given = champion.decision
        nothing = np.zeros(len(card.inputs))
        return Decider(challenger.risk, card, policy).decide(
            given.decision_id, champion.features, champion.fields, score, nothing, given.as_of
        )

    def _challenger(self, risk: Risk, signature: files.Signature) -> _Challenger:
        """Raises BadParameter, ModelBroken, FeaturesNotReady."""
        if signature in self._refused:
            raise self._refused[signature]
        loaded = self._loaded.get(risk.name)
        if loaded is None or loaded.signature != signature:
            try:
                loaded = self._loaded[risk.name] = self._load(risk, signature)
            except (BadParameter, ModelBroken) as error:
                self._refused[signature] = error
                raise
        return loaded

    def _load(self, risk: Risk, signature: files.Signature) -> _Challenger:
        wanted = setting.read(self._folder, risk.name) or setting.Setting(None, has_policy=False)
        if wanted.model is None:
            return _Challenger(signature, risk, None, wanted.has_policy)
        scorer, with_inputs = setting.challenger(self._models, risk, wanted.model, self._store.views(risk.name))
        return _Challenger(signature, with_inputs, scorer, wanted.has_policy)


def _said(decision: Decision) -> dict[str, Any]:
    """What the log has of a decision."""
    return {
        "decision": decision.decision, "score": decision.score,
        "model": decision.model["version"], "policy": decision.policy["version"],
    }  # fmt: skip
