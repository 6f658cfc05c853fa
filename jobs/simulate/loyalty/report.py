"""What a run of purchases came to, by the service's own log and by the stream job's: the closing report."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from errors import ServiceFailed
from features.loyalty import LOYALTY, PURCHASES
from features.utc import since_1970, utc
from features.windows.events import NUMBER, PRODUCER, Row
from jobs.raw import places
from jobs.simulate import arrivals
from jobs.simulate.caller import Caller
from jobs.simulate.loyalty import check
from jobs.simulate.loyalty.tills import Tills
from model.scorer import Scorers
from root import Root


@dataclass(frozen=True)
class Report:
    """`older`: than what their customer had bought already. `gone`: purchases that are not in the offline log
    once. `differing`: customers whose features are not those of the batch."""

    sent: int
    messages: int
    lost: int
    answers_lost: int
    recovered: int
    duplicates: int
    overtaken: int
    older: int
    delays: tuple[float, float]
    rmse: float
    rmse_without_loss: float
    customers: int
    gone: Sequence[str]
    differing: Sequence[str]

    def __str__(self) -> str:
        p50, p99 = self.delays
        equal = self.customers - len(self.differing)
        lines = {
            "sent": f"{self.sent:,} purchases, in {self.messages:,} messages",
            "lost on the way": f"{self.lost:,} messages, and {self.answers_lost:,} answers",
            "recovered": f"{self.recovered:,} purchases that were lost on the way",
            "duplicates": f"{self.duplicates:,} came again and changed nothing",
            "out of order": f"{self.overtaken:,} came after a later one of their till, "
            f"{self.older:,} are older than what their customer had bought already",
            "delay": f"p50 {p50:.2f} s, p99 {p99:.2f} s, from the till to the service",
            "RMSE of scores": f"{self.rmse:.4f}, and {self.rmse_without_loss:.4f} without loss",
            "features": f"of {equal:,} of {self.customers:,} customers as the batch has them",
            "lost for good": f"{len(self.gone):,}",
        }
        return "\n".join(f"{name:<16}{said}" for name, said in lines.items())

    @property
    def fault(self) -> str:
        """Empty if nothing is lost and all is equal."""
        said = []
        if self.gone:
            said.append(f"Purchases that are not once in the offline log: {len(self.gone):,}, as {self.gone[0]}.")
        if self.differing:
            said.append(
                f"Customers with other features than the batch's: {len(self.differing):,}, as {self.differing[0]}."
            )
        return " ".join(said)


def made(root: Root, tills: Tills, purchases: pd.DataFrame, service: Caller) -> Report:
    """`purchases`: all that were sent, in that order, with the score that each customer told later. Raises
    ServiceFailed, ModelNotTrained, ModelBroken, NoData, BadInput."""
    came = arrivals.of(root.event_log(PURCHASES.name), {till.name for till in tills.tills})
    if not came.at:
        raise ServiceFailed(f"The service works on another root than {root}. Set RISK_DATA as it has it.")
    ids = frozenset(purchases["purchase_id"])
    logged = check.logged(root, ids)
    now = datetime.now(UTC)
    known = check.history(places.raw_files(root, PURCHASES.name), now, but=ids)
    sent = {(s.request[PRODUCER], s.request[NUMBER]): s for s in tills.sent}
    in_turn = sorted(sent.values(), key=lambda s: (s.request["purchase_timestamp"], s.request["purchase_id"]))
    scorer = Scorers(root.models)[LOYALTY.name]
    replayed = check.without_loss([s.request for s in in_turn], known, scorer, now)
    told = dict(zip(purchases["purchase_id"], purchases["loyalty_score"], strict=True))
    customers = sorted(purchases["customer_id"].unique())
    return Report(
        sent=len(sent),
        messages=tills.counts["messages"],
        lost=tills.counts["lost"],
        answers_lost=tills.counts["answers"],
        recovered=sum(s.was_lost for key, s in sent.items() if key in came.at),
        duplicates=came.duplicates,
        overtaken=came.overtaken,
        older=_older(known, [sent[key].request for key in came.at]),
        delays=_percentiles([(at - sent[key].at).total_seconds() for key, at in came.at.items()]),
        rmse=_rmse(dict(logged), told),
        rmse_without_loss=_rmse({s.request["purchase_id"]: x for s, x in zip(in_turn, replayed, strict=True)}, told),
        customers=len(customers),
        gone=_not_once(ids, logged),
        differing=check.differing(root, service, customers),
    )


def _not_once(ids: Iterable[str], logged: Iterable[tuple[str, float]]) -> list[str]:
    times = Counter(name for name, _ in logged)
    return sorted(name for name in ids if times[name] != 1)


def _older(known: Iterable[Row], came: Iterable[Mapping[str, Any]]) -> int:
    """How many, as they came, are older than the newest that was known of their customer."""
    newest: dict[str, int] = {}
    for row in known:
        newest[row["customer_id"]] = max(row[PURCHASES.time], newest.get(row["customer_id"], 0))
    older = 0
    for request in came:
        customer, at = request["customer_id"], since_1970(utc(request[PURCHASES.time]))
        older += at < newest.get(customer, 0)
        newest[customer] = max(at, newest.get(customer, 0))
    return older


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    in_order = sorted(seconds)
    return in_order[len(in_order) // 2], in_order[len(in_order) * 99 // 100]


def _rmse(scores: Mapping[str, float], told: Mapping[str, float]) -> float:
    """NaN of no scores."""
    squares = [(score - told[name]) ** 2 for name, score in scores.items()]
    return math.sqrt(sum(squares) / len(squares)) if squares else math.nan
