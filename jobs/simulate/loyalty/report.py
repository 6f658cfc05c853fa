"""The closing report of a run of purchases, from the service's event log and the stream job's offline log."""

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
    """The figures of a run. `overtaken` purchases arrived after a later one of their till; `older` ones are older than
    a purchase of their customer that arrived before them. `gone` are the ids of purchases that are not in the offline
    log exactly once. `differing` are the customers whose features differ from those of the batch. `delays` are the p50
    and the p99, in seconds."""

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

    def rows(self) -> list[tuple[str, str]]:
        """Figure and value, as they are printed."""
        p50, p99 = self.delays
        equal = self.customers - len(self.differing)
        figures = {
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
        return list(figures.items())

    @property
    def fault(self) -> str:
        """What was lost or differs. Empty where nothing is lost and all is equal."""
        faults = []
        if self.gone:
            faults.append(f"Purchases that are not once in the offline log: {len(self.gone):,}, as {self.gone[0]}.")
        if self.differing:
            faults.append(
                f"Customers with other features than the batch's: {len(self.differing):,}, as {self.differing[0]}."
            )
        return " ".join(faults)


def make(root: Root, tills: Tills, purchases: pd.DataFrame, service: Caller) -> Report:
    """The report of a run. `purchases` are all that were sent, in the order of sending, with the score that each
    customer gave later. Raises ServiceFailed, ModelNotTrained, ModelBroken, NoData, BadInput."""
    arrived = arrivals.read(root.event_log(PURCHASES.name), {till.name for till in tills.tills})
    if not arrived.at:
        raise ServiceFailed(f"The service works on another root than {root}. Set RISK_DATA to the service's root.")
    ids = frozenset(purchases["purchase_id"])
    logged = check.logged(root, ids)
    now = datetime.now(UTC)
    known = check.history(places.raw_files(root, PURCHASES.name), now, excluded_ids=ids)
    sent = {(s.request[PRODUCER], s.request[NUMBER]): s for s in tills.sent}
    in_order = sorted(sent.values(), key=lambda s: (s.request["purchase_timestamp"], s.request["purchase_id"]))
    scorer = Scorers(root.models)[LOYALTY.name]
    replayed = check.without_loss([s.request for s in in_order], known, scorer, now)
    actual = dict(zip(purchases["purchase_id"], purchases["loyalty_score"], strict=True))
    customers = sorted(purchases["customer_id"].unique())
    return Report(
        sent=len(sent),
        messages=tills.counts["messages"],
        lost=tills.counts["lost"],
        answers_lost=tills.counts["answers"],
        recovered=sum(s.was_lost for key, s in sent.items() if key in arrived.at),
        duplicates=arrived.duplicates,
        overtaken=arrived.overtaken,
        older=older_than_newest(known, [sent[key].request for key in arrived.at]),
        delays=p50_and_p99([(at - sent[key].at).total_seconds() for key, at in arrived.at.items()]),
        rmse=rmse(dict(logged), actual),
        rmse_without_loss=rmse(
            {s.request["purchase_id"]: score for s, score in zip(in_order, replayed, strict=True)}, actual
        ),
        customers=len(customers),
        gone=not_once(ids, logged),
        differing=check.differing(root, service, customers),
    )


def not_once(ids: Iterable[str], logged: Iterable[tuple[str, float]]) -> list[str]:
    """The ids that the log does not hold exactly once, in order."""
    counts = Counter(purchase_id for purchase_id, _ in logged)
    return sorted(purchase_id for purchase_id in ids if counts[purchase_id] != 1)


def older_than_newest(known: Iterable[Row], arrived: Iterable[Mapping[str, Any]]) -> int:
    """How many purchases, in the order of arrival, are older than the newest purchase of their customer until then."""
    newest: dict[str, int] = {}
    for row in known:
        newest[row["customer_id"]] = max(row[PURCHASES.time], newest.get(row["customer_id"], 0))
    older = 0
    for request in arrived:
        customer, timestamp = request["customer_id"], since_1970(utc(request[PURCHASES.time]))
        older += timestamp < newest.get(customer, 0)
        newest[customer] = max(timestamp, newest.get(customer, 0))
    return older


def p50_and_p99(seconds: list[float]) -> tuple[float, float]:
    """The p50 and the p99."""
    in_order = sorted(seconds)
    return in_order[len(in_order) // 2], in_order[len(in_order) * 99 // 100]


def rmse(scores: Mapping[str, float], actual: Mapping[str, float]) -> float:
    """The root mean square of the differences, over the purchases in `scores`; NaN where there are none."""
    squares = [(score - actual[purchase_id]) ** 2 for purchase_id, score in scores.items()]
    return math.sqrt(sum(squares) / len(squares)) if squares else math.nan
