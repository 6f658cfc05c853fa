"""Batch scoring: a decision about every entity of a risk's population, on point-in-time features, on a cadence."""

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pandas as pd
from pydantic_core import to_json

from errors import BadInput, Busy, NoData
from features.domains import raw_tables
from features.risk import Population, Risk
from files import locked
from jobs import point_in_time, sql
from jobs.raw import checks, places
from jobs.raw.forms.readers import DuckdbReader
from model.scorer import Scorers
from root import Root
from serving import audit, featurization, scores
from serving.call import Call
from serving.policies import Policies
from serving.service import decide_all
from serving.store import Store

#: Decisions are made for this many entities at a time, so that memory does not grow with the population.
CHUNK_ROWS = 100_000
#: Who asks for these decisions, in the audit log.
CALLER = "jobs score"


def population(root: Root, declared: Population, as_of: datetime) -> pd.DataFrame:
    """The distinct keys that a raw table holds at `as_of`, as an entity frame. Raises NoData, BadInput."""
    source = raw_tables().get(declared.table)
    if source is None:
        raise BadInput(f"No feature table and no outcome reads {declared.table}. Declare one that does.")
    key, time = sql.identifier(declared.key), sql.identifier(source.time)
    with sql.connect() as connection:
        files = places.raw_files(root, source.name)
        rows = checks.check(DuckdbReader(connection), source, files, [source.time], [declared.key]).rows
        query = f"SELECT DISTINCT {key} FROM {rows} WHERE {time} <= ? AND {key} IS NOT NULL ORDER BY 1"
        entities = connection.execute(query, [as_of]).df()
    if entities.empty:
        raise NoData(f"{declared.table} has no {declared.key} at {as_of.isoformat()}. Score a later timestamp.")
    return entities.assign(event_timestamp=pd.Timestamp(as_of).as_unit("us"))


def score(root: Root, store: Store, risk: Risk, as_of: datetime) -> int:
    """Decide about every entity as of a timestamp, log the decisions and put them on the pages. Returns how many.

    The decision about an entity, as of a timestamp, by a version of the model is made once: a second run, also one
    after a crash, takes it from the log. Raises NoData, BadInput, FeaturesNotReady, ModelNotTrained, ModelBroken,
    PolicyBroken, AuditUnavailable, and Busy where another run of the risk is at work.
    """
    if risk.population is None:
        raise NoData(
            f"{risk.name} declares no population: it decides request by request. To decide about the requests in a "
            "file, give --input FILE --output FILE. To score a population, declare it in the domain's features."
        )
    scorer, key = Scorers(root.models)[risk.name], risk.population.key
    policy = Policies(root.policies, store).deciding(risk, as_of)
    decision_id = ids_of(risk, scorer.card.version, as_of)
    busy = Busy(f"Another run scores {risk.name} in {root}. Wait for it.")
    with locked(audit.index(root.decisions) / f"{risk.name}.lock", busy):
        entities = population(root, risk.population, as_of)
        ids = {entity: decision_id({key: entity}) for entity in entities[key].tolist()}
        point_in_time.require_inputs(risk, store)
        views, missing = store.views(risk.name), set(ids.values())
        with scores.new_run(root.scores_db, risk.name) as add:
            for record in audit.logged(root.decisions, risk, as_of):
                if record["decision_id"] in missing:
                    missing.remove(record["decision_id"])
                    add([(record["entity"][key], audit.decision_of(record))])
            new = entities[[number in missing for number in ids.values()]].reset_index(drop=True)
            for begin in range(0, len(new), CHUNK_ROWS):
                some = new[begin : begin + CHUNK_ROWS].reset_index(drop=True)
                call = Call(CALLER, timer=time.perf_counter_ns)
                with call.step("retrieve"):
                    frame = point_in_time.features(root, store, risk, some)
                    times = store.joined_times(risk, some)
                with call.step("featurize"):
                    values = zip(*(frame[name].tolist() for name in views), strict=True)
                    features = [featurization.complete(dict(zip(views, row, strict=True)), views) for row in values]
                rows = [{key: value} for value in some[key].tolist()]
                made = decide_all(
                    scorer, risk, policy, rows, rows, features, as_of, root.decisions, call, lambda row: ids[row[key]],
                    views, times,
                )  # fmt: skip
                call.settle()
                add((row[key], decision.as_json()) for row, decision in zip(rows, made, strict=True))
    return len(entities)


def ids_of(risk: Risk, version: str, as_of: datetime) -> Callable[[Mapping[str, Any]], str]:
    """A function from a request's row, the entity with all that is said of it, to the id of the decision about it: the
    same for the same risk, row, timestamp and version of the model."""

    def decision_id(row: Mapping[str, Any]) -> str:
        return str(uuid5(NAMESPACE_OID, to_json([risk.name, row, as_of, version]).decode()))

    return decision_id
