"""Answers a request in steps: retrieve, featurize, score, decide, record, append. Batch scoring takes the steps from
`score` on with the same function, `decide_all`."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from errors import RiskError
from features.domains import internal_features, risks
from features.policy import Policy
from features.risk import Risk, RiskRequest
from hash_keys import HashKey
from model.card import Card
from model.scorer import Scorer, Scorers
from root import Root
from serving import audit, featurization
from serving.call import Begun, Call
from serving.decision import Decider, Decision, from_record
from serving.event_log import EventFiles, EventLog
from serving.policies import Policies
from serving.policy_faults import faults
from serving.rekeying import Rekeying
from serving.shadow import Shadows
from serving.store import Row, Store

#: Processes read the clock in another order than they append to the log, by less than this.
CLOCK_SKEW = timedelta(minutes=1)


def new_id(row: Row) -> str:
    """The id of a decision that is made once."""
    return str(uuid.uuid4())


def _names(begun: Begun | None, count: int) -> Callable[[Row], str]:
    """What names the decision about each of `count` rows, in their order."""
    if begun is None:
        return new_id
    ids = iter(begun.ids(count))
    return lambda row: next(ids)


def decide_all(
    scorer: Scorer,
    risk: Risk,
    policy: Policy,
    rows: Sequence[Row],
    fields: Sequence[Mapping[str, Any]],
    features: Sequence[Mapping[str, Any]],
    as_of: datetime,
    log: Path,
    call: Call,
    decision_id: Callable[[Row], str] = new_id,
    views: Mapping[str, str] | None = None,
    event_times: Sequence[Mapping[str, datetime | None]] = (),
) -> list[Decision]:
    """Score, decide and append to the audit log below `log`: all rows or none. `features` are complete. They,
    `fields`, which rules see of each request, are in the order of `rows`. So are `event_times`, view → event time;
    without them, the log has none. `views` maps a feature to its view. `decision_id` names the decision about a row.
    The caller settles `call`: then the disk has them. Raises AuditUnavailable, ModelBroken."""
    with call.step("score"):
        matrix = featurization.matrix(features, scorer.card)
        scores, contributions = scorer.explained(matrix)
    with call.step("decide"):
        decide = Decider(risk, scorer.card, policy).decide
        decisions = [
            decide(decision_id(row), values, seen, score, by_input, as_of)
            for row, values, seen, score, by_input in zip(
                rows, features, fields, scores.tolist(), contributions, strict=True
            )
        ]
    with call.step("audit"):
        by_view, times = audit.features_by_view(views or {}), event_times or [{}] * len(rows)
        records = (
            audit.record(risk, row, made.as_record(), audit.context(call, row, seen, by_view, times_of_row, len(rows)))
            for row, made, seen, times_of_row in zip(rows, decisions, fields, times, strict=True)
        )
        call.waits.append(audit.append(log, as_of, records))
    call.decided += [(risk.name, made.decision) for made in decisions]
    return decisions


class RiskService:
    """Features, scores and decisions of every declared risk. The hash key turns the secrets in a request into the keys
    under which features are stored. `events` takes the accepted events, by default on the disk of the root."""

    def __init__(self, store: Store, root: Root, hash_key: bytes, events: EventLog | None = None) -> None:
        self.store = store
        self.events = events or EventFiles(root)
        self.scorers = Scorers(root.models)
        self.policies = Policies(root.policies, store)
        self.hash_key = hash_key
        self.shadows = Shadows(root, store)
        self._rekeying = Rekeying(root, store)
        self._policy_folder = root.policies
        self._decisions = root.decisions

    @property
    def hash_keys(self) -> list[bytes]:
        """The hash key, and the one of before while it changes."""
        return [self.hash_key, self.hash_key.old] if isinstance(self.hash_key, HashKey) else [self.hash_key]

    def prepare(self) -> list[str]:
        """Load every plan, model and policy, so that the first request of a risk does not wait for them. Returns what
        is wrong with the store, each fault once, and with the policies: nobody sees a policy that is not in force."""
        of_store = dict[str, None]()
        for risk in risks().values():
            try:
                self.store.views(risk.name)
            except RiskError as error:  # each request raises it again, until the store can be used
                of_store[error.message] = None
            with suppress(RiskError):  # the first request raises it again, and tells the caller
                self.scorers[risk.name]
        return [*of_store, *faults(self._policy_folder, self.policies)]

    def features(self, risk: Risk, request: RiskRequest, as_of: datetime) -> dict[str, Any]:
        """The features of the risk's feature service, as plain values, without the internal ones. Raises UnknownEntity,
        FeaturesNotReady."""
        _, (features,), _ = self._features(risk, [request.row(as_of, self.hash_key)], as_of)
        return {name: value for name, value in features.items() if name not in internal_features()}

    def score(self, risk: Risk, request: RiskRequest, as_of: datetime) -> tuple[float, Card]:
        """The probability or the estimated number, and the card of the model that gave it. Raises UnknownEntity,
        FeaturesNotReady, ModelNotTrained, ModelBroken."""
        scorer = self.scorers[risk.name]
        row = request.row(as_of, self.hash_key)
        _, features, _ = self._features(risk, [row], as_of)
        matrix = featurization.matrix(features, scorer.card)
        return float(scorer.score(matrix)[0]), scorer.card

    def decision(self, risk: Risk, request: RiskRequest, as_of: datetime, call: Call | None = None) -> Decision:
        """One decision; see `decisions`."""
        return self.decisions(risk, [request], as_of, call)[0]

    def decisions(
        self, risk: Risk, requests: Sequence[RiskRequest], as_of: datetime, call: Call | None = None
    ) -> list[Decision]:
        """Decisions in the order of the requests. The service logs them before it gives them, all or none. `call` says
        who asks, gets the time of each step, and is to be settled before anybody gets to know a decision. Raises
        UnknownEntity, FeaturesNotReady, ModelNotTrained, ModelBroken, PolicyBroken, AuditUnavailable and
        LogUnavailable."""
        scorer, policy = self.scorers[risk.name], self.policies.deciding(risk, as_of)
        rows = [request.row(as_of, self.hash_key) for request in requests]
        fields = [request.fields(row, self.hash_key) for request, row in zip(requests, rows, strict=True)]
        own_call = call or Call()
        begun = own_call.begun
        if begun and begun.is_again and (earlier := self._earlier(risk, begun, len(rows), as_of)):
            own_call.waits.append(audit.on_disk(self._decisions))  # nobody may have waited for it
            self._publish(risk, rows, earlier, as_of, own_call)
            return earlier
        views, features, times = self._features(risk, rows, as_of, own_call)
        decisions = decide_all(
            scorer, risk, policy, rows, fields, features, as_of, self._decisions, own_call,
            _names(begun, len(rows)), views=views, event_times=times,
        )  # fmt: skip
        self._publish(risk, rows, decisions, as_of, own_call)
        if isinstance(self.hash_key, HashKey):
            with suppress(OSError, RiskError):  # the decision stands; the same is done when they are seen again
                self._rekeying.seen(rows, as_of)
        self.shadows.submit(risk, policy, scorer, features, fields, decisions)
        if call is None:
            own_call.settle()
        return decisions

    def _publish(
        self, risk: Risk, rows: Sequence[Row], decisions: Sequence[Decision], as_of: datetime, call: Call
    ) -> None:
        """Append the events that a risk makes of its decisions. An event that is appended again changes nothing."""
        if risk.publishes:
            publish = risk.publishes.event
            events = [publish(row, decision.score) for row, decision in zip(rows, decisions, strict=True)]
            call.waits.append(self.events.append(risk.publishes.stream, events, as_of))

    def _earlier(self, risk: Risk, begun: Begun, count: int, now: datetime) -> list[Decision]:
        """The decisions of a request that was begun before, from the audit log. None, if it did not get that far: all
        of a request are logged, or none."""
        ids, earlier = begun.ids(count), dict[str, Decision]()
        for record in audit.since(self._decisions, risk, begun.since - CLOCK_SKEW, now):
            if record["decision_id"] in ids:
                earlier[record["decision_id"]] = from_record(record)
                if len(earlier) == count:
                    break
        return [earlier[name] for name in ids if name in earlier]

    def _features(
        self, risk: Risk, rows: Sequence[Row], as_of: datetime, call: Call | None = None
    ) -> tuple[Mapping[str, str], list[dict[str, Any]], Sequence[Mapping[str, datetime | None]]]:
        """Feature → view; the features of each row; their event times by view."""
        call = call or Call()
        with call.step("retrieve"):
            views = self.store.views(risk.name)
            stored, times = self.store.online_many(risk, rows, as_of)
        with call.step("featurize"):
            return views, [featurization.complete(values, views) for values in stored], times
