"""Batch scoring: a decision about every entity of a risk's population, on point-in-time features, on a cadence."""

from collections.abc import Iterator
from datetime import datetime

import pandas as pd

from errors import BadInput, NoData
from features.domains import risks, tables
from features.risk import Population, Risk
from features.windows.raw import RawTable
from jobs import point_in_time, sql
from jobs.raw import checks, places
from model.scorer import Scorers
from root import Root
from serving import featurization, scores
from serving.policies import Policies
from serving.service import decide_all
from serving.store import Store


def population(root: Root, declared: Population, as_of: datetime) -> pd.DataFrame:
    """The distinct keys that a raw table holds at `as_of`, as an entity frame. Raises NoData, BadInput."""
    source = next((table for table in _raw_tables() if table.name == declared.table), None)
    if source is None:
        raise BadInput(f"No feature table and no outcome reads {declared.table}. Declare one that does.")
    key, time = sql.identifier(declared.key), sql.identifier(source.time)
    with sql.connect() as connection:
        files = places.raw_files(root, source.name)
        rows = checks.check(connection, source, files, [source.time], [declared.key]).rows
        query = f"SELECT DISTINCT {key} FROM {rows} WHERE {time} <= ? AND {key} IS NOT NULL ORDER BY 1"
        entities = connection.execute(query, [as_of]).df()
    if entities.empty:
        raise NoData(f"{declared.table} has no {declared.key} at {as_of.isoformat()}. Score a later timestamp.")
    return entities.assign(event_timestamp=pd.Timestamp(as_of).as_unit("us"))


def _raw_tables() -> Iterator[RawTable]:
    yield from (table.source for table in tables())
    yield from (risk.outcomes.table for risk in risks().values())


def score(root: Root, store: Store, risk: Risk, as_of: datetime) -> int:
    """Decide about every entity as of a timestamp, log the decisions and put them on the pages. Returns how many.

    Raises NoData, BadInput, FeaturesNotReady, ModelNotTrained, ModelBroken, PolicyBroken, AuditUnavailable.
    """
    if risk.population is None:
        raise NoData(
            f"{risk.name} declares no population: it decides request by request. Declare one in features to score it."
        )
    scorer, key = Scorers(root.models)[risk.name], risk.population.key
    policy = Policies(root.policies, store)[risk]
    entities = population(root, risk.population, as_of)
    views = store.views(risk.name)
    frame = point_in_time.features(root, store, risk, entities)[list(views)].astype(object)
    features = [featurization.complete(values, views) for values in frame.to_dict("records")]
    keys = entities[key].tolist()
    rows = [{key: value} for value in keys]
    decisions = decide_all(scorer, risk, policy, rows, rows, features, as_of, root.decisions)
    scores.write(root.scores_db, risk.name, zip(keys, decisions, strict=True))
    return len(decisions)
