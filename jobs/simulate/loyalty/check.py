"""What a run of purchases is held to: the features by the batch oracle, and the scores by a run without loss."""

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
from features.windows.state import Entry, LiveTable, State
from jobs.batch.at_moments import records_at_moments
from jobs.raw import offline_log
from jobs.simulate.caller import Caller
from jobs.stream import loop
from model.scorer import Scorer
from root import Root
from serving import featurization

#: What the service answers at a time.
MOST_ENTITIES = 1000
#: The stream job writes its offline log every five seconds.
LOGGED_WITHIN_SECONDS, POLL_SECONDS = 30.0, 0.25
_NEW = frozenset([PURCHASES.time])


def logged(root: Root, ids: frozenset[str]) -> list[tuple[str, float]]:
    """Purchase and the score that was predicted, of those in the offline log, once all are there or have had their
    time."""
    deadline = time.monotonic() + LOGGED_WITHIN_SECONDS
    while len(found := _logged(root, ids)) < len(ids) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    return found


def _logged(root: Root, ids: frozenset[str]) -> list[tuple[str, float]]:
    files = offline_log.files(root.offline_log(PURCHASES.name))
    tables = [pq.read_table(f, columns=["purchase_id", "predicted_score"], partitioning=None) for f in files]
    rows = (zip(*(column.to_pylist() for column in table.columns), strict=True) for table in tables)
    return [(name, score) for table in rows for name, score in table if name in ids]


def differing(root: Root, service: Caller, customers: Sequence[str]) -> list[str]:
    """The customers of whom the service has other features than the batch works out of all purchases."""
    found = []
    for begin in range(0, len(customers), MOST_ENTITIES):
        some = customers[begin : begin + MOST_ENTITIES]
        request = {"purchase_value": 1.0}
        answer = service.vectors(LOYALTY.name, [{"customer_id": customer, **request} for customer in some])
        asked = pd.DataFrame({"customer_id": some, "event_timestamp": pd.Timestamp(utc(answer["as_of"]))})
        batch_of = records_at_moments(root, CUSTOMER_PURCHASES, asked)
        for customer, vector, batch in zip(some, answer["results"], batch_of, strict=True):
            expected = LOYALTY_LIVE.of({CUSTOMER_PURCHASES.name: batch}, request)
            if any(vector["features"][name] != value for name, value in expected.items()):
                found.append(customer)
    return found


def history(files: list[Path], now: datetime, but: frozenset[str]) -> list[Row]:
    """The purchases in some files without those named, each with the score that is known of it; in the form of live
    ones."""
    batches = loop.read_history(stream_of("loyalty"), files, now, reached=0)
    return [row for batch in batches for row in batch if row["purchase_id"] not in but]


def without_loss(
    purchases: Sequence[Mapping[str, Any]], known: Iterable[Row], scorer: Scorer, now: datetime
) -> list[float]:
    """The scores of purchases that come one after the other, each taken in before the next."""
    live = LiveTable(CUSTOMER_PURCHASES)
    states: dict[str, State] = defaultdict(live.zero)
    came: dict[str, list[Entry]] = defaultdict(list)
    for row in known:
        came[row["customer_id"]] += events.entries(live, row, _NEW)
    for customer, entries in came.items():
        live.add(states[customer], entries)
    scores = []
    for request in purchases:
        purchase = Purchase.model_validate(request).row(now, b"")
        state = states[purchase["customer_id"]]
        features = LOYALTY_LIVE.of({CUSTOMER_PURCHASES.name: live.values(state, now)}, purchase)
        scores.append(float(scorer.score(featurization.matrix([features], scorer.card))[0]))
        event = events.plain(PURCHASES, scored(purchase, scores[-1]))
        live.add(state, events.entries(live, event, _NEW))
    return scores
