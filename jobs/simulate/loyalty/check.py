"""The checks of a run of purchases: the features against those of the batch, and the scores against a run without
loss."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from features.domains import stream_of
from features.loyalty import CUSTOMER_PURCHASES, LOYALTY, LOYALTY_LIVE, PURCHASES, Purchase, scored
from features.utc import utc
from features.windows import events
from features.windows.events import Row
from features.windows.raw import CREATED
from features.windows.recent import State
from features.windows.state import LiveTable
from features.windows.tiles import Entry
from jobs.batch.at_moments import records_at_moments
from jobs.raw import offline_log
from jobs.simulate.caller import Caller
from jobs.stream import loop
from model.scorer import Scorer
from root import Root
from serving import featurization

#: The service answers this many entities at a time.
MOST_ENTITIES = 1000
#: The stream job writes its offline log every five seconds; after this time, what is not there is lost.
LOGGED_WITHIN_SECONDS, POLL_SECONDS = 30.0, 0.25


def logged(root: Root, ids: frozenset[str]) -> list[tuple[str, float]]:
    """The purchases with these ids in the offline log: id and predicted score. A purchase that was sent again, as its
    answer was lost, was scored again: its last version counts, as in every batch. Waits until all are there, for at
    most `LOGGED_WITHIN_SECONDS`."""
    deadline = time.monotonic() + LOGGED_WITHIN_SECONDS
    while len(purchases := _logged(root, ids)) < len(ids) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return purchases


def _logged(root: Root, ids: frozenset[str]) -> list[tuple[str, float]]:
    files = offline_log.files(root.offline_log(PURCHASES.name))
    columns = [CREATED, "purchase_id", "predicted_score"]
    tables = [pq.read_table(file, columns=columns, partitioning=None) for file in files]
    rows = (row for table in tables for row in zip(*(column.to_pylist() for column in table.columns), strict=True))
    return list({purchase_id: score for _, purchase_id, score in sorted(rows) if purchase_id in ids}.items())


def differing(root: Root, service: Caller, customers: Sequence[str]) -> list[str]:
    """The customers whose features at the service differ from those that the batch computes of all purchases."""
    different = []
    for begin in range(0, len(customers), MOST_ENTITIES):
        some = customers[begin : begin + MOST_ENTITIES]
        request = {"purchase_value": 1.0}
        answer = service.vectors(LOYALTY.name, [{"customer_id": customer, **request} for customer in some])
        entities = pd.DataFrame({"customer_id": some, "event_timestamp": pd.Timestamp(utc(answer["as_of"]))})
        batches = records_at_moments(root, CUSTOMER_PURCHASES, entities)
        for customer, vector, batch in zip(some, answer["results"], batches, strict=True):
            expected = LOYALTY_LIVE.values({CUSTOMER_PURCHASES.name: batch}, request)
            if any(vector["features"][name] != value for name, value in expected.items()):
                different.append(customer)
    return different


def history(files: list[Path], now: datetime, excluded_ids: frozenset[str]) -> list[Row]:
    """The purchases up to `now` in some files, as events, each with its score where the score is known by then."""
    batches = loop.read_history(stream_of("loyalty"), files, now, reached=0)
    return [row for batch in batches for row in batch if row["purchase_id"] not in excluded_ids]


def without_loss(
    purchases: Sequence[Mapping[str, Any]], known: Iterable[Row], scorer: Scorer, now: datetime
) -> list[float]:
    """The scores that purchases would get without a network between: each counts before the next is scored. `known`
    purchases count before all of them."""
    live = LiveTable(CUSTOMER_PURCHASES)
    states: dict[str, State] = defaultdict(live.zero)
    by_customer: dict[str, list[Entry]] = defaultdict(list)
    for row in known:
        by_customer[row["customer_id"]] += events.entries(live, row)
    for customer, entries in by_customer.items():
        live.add(states[customer], entries)
    scores = []
    for request in purchases:
        purchase = Purchase.model_validate(request).row(now, b"")
        state = states[purchase["customer_id"]]
        features = LOYALTY_LIVE.values({CUSTOMER_PURCHASES.name: live.values(state, now)}, purchase)
        scores.append(float(scorer.score(featurization.matrix([features], scorer.card))[0]))
        event = events.plain(PURCHASES, scored(purchase, scores[-1]))
        live.add(state, events.entries(live, event))
    return scores
