"""Batch scoring: everybody of a risk's population, with point-in-time features, on a cadence."""

import uuid
from datetime import datetime
from typing import Any

import pandas as pd

from errors import NoData
from features.risk import Population, Risk
from jobs import point_in_time, sql
from jobs.raw import places
from model.scorer import Scorers
from root import Root
from serving import audit, featurization, scores
from serving.decision import Decision, decide
from serving.store import Store


def population(root: Root, of: Population, as_of: datetime) -> pd.DataFrame:
    """The distinct keys that a raw table holds at `as_of`, as rows to join features to. Raises NoData."""
    query = (
        f"SELECT DISTINCT {of.key} FROM {places.relation(places.raw_files(root, of.table))} "
        f"WHERE event_timestamp <= ? AND {of.key} IS NOT NULL ORDER BY 1"
    )
    with sql.connect() as connected:
        people = connected.execute(query, [as_of]).df()
    if people.empty:
        raise NoData(f"Nobody is in {of.table} at {as_of.isoformat()}. Score a later moment.")
    return people.assign(event_timestamp=pd.Timestamp(as_of).as_unit("us"))


def score(root: Root, store: Store, risk: Risk, as_of: datetime) -> int:
    """Decide about everybody as of a moment; log every decision and put it on the pages. Returns how many.

    Raises NoData where the risk has no population, and what retrieval and the model raise.
    """
    if risk.population is None:
        raise NoData(
            f"{risk.name} has no population: it is decided request by request. Declare one in features to score it."
        )
    scorer = Scorers(root.models)[risk.name]
    people = population(root, risk.population, as_of)
    views = store.views(risk.name)
    joined = point_in_time.features(root, store, risk, people)
    matrix = featurization.rows(joined, scorer.card)
    said, contributions = scorer.score(matrix), scorer.contributions(matrix)
    features = joined[list(views)].astype(object).to_dict("records")
    decisions: list[tuple[Any, Decision]] = []
    for i, entity in enumerate(people[risk.population.key].tolist()):
        plain = featurization.complete(features[i], views)
        given = decide(str(uuid.uuid4()), risk, scorer.card, plain, float(said[i]), contributions[i], as_of)
        decisions.append((entity, given))
    key = risk.population.key
    audit.append(root.decisions, as_of, (audit.record(risk, {key: e}, d.as_json()) for e, d in decisions))
    scores.write(root.scores_db, risk.name, decisions)
    return len(decisions)
