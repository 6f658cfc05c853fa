"""The only part of a request that touches the feature store."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from feast import FeatureStore, FeatureView
from feast.errors import FeastObjectNotFoundException
from feast.on_demand_feature_view import OnDemandFeatureView

from errors import FeaturesNotReady, UnknownEntity
from features.columns import Columns
from features.declaration import Risk
from serving.source import FeatureSource, Row


@dataclass(frozen=True)
class Plan:
    """How a feature service is read: stored views, then the on-demand views on top."""

    stored: tuple[FeatureView, ...]
    on_demand: tuple[OnDemandFeatureView, ...]
    #: feature → the view that the service takes it from, in the service's order; a name that two views have is told
    #: apart as Feast does it, `<view>__<feature>`
    outputs: dict[str, str]
    #: the names that find an entity in the stored views
    join_keys: frozenset[str]


class FeastSource(FeatureSource):
    """Online and point-in-time features of a risk's feature service, from a Feast repository."""

    def __init__(self, repository: Path) -> None:
        self._store = FeatureStore(str(repository))
        # The old values stay readable until a materialization commits. (As a setting in the yaml, this warns at every
        # command that it is meant for SQL registries; it holds for a file as well.)
        self._store.registry.serve_features_while_materializing = True
        self._plans: dict[tuple[str, str], Plan] = {}

    def views(self, risk: Risk) -> dict[str, str]:
        return self._plan(risk).outputs

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        """The features of one entity at `as_of`, None where nothing is stored. As `online_many`."""
        return self.online_many(risk, [row], as_of)[0]

    def online_many(self, risk: Risk, rows: Sequence[Row], as_of: datetime) -> list[dict[str, Any]]:
        """The features of many entities at `as_of`, in order, None where nothing is stored.

        A value older than its view's TTL counts as not stored, as in the point-in-time join; Feast's own online
        read would return it. Raises UnknownEntity, FeaturesNotReady.
        """
        plan = self._plan(risk)
        values = {name: [row[name] for row in rows] for name in rows[0]} | {"as_of": [as_of] * len(rows)}
        values |= self._fresh(plan, rows, as_of)
        for view in plan.on_demand:
            values |= view.transform_dict(values)
        many = [{name: values[name][i] for name in plan.outputs} for i in range(len(rows))]
        for row, features in zip(rows, many, strict=True):
            if risk.known_by and features[risk.known_by] is None:
                who = f"{risk.path_field} {row[risk.path_field]}" if risk.path_field else "Who is asked about"
                raise UnknownEntity(f"{who} is not known. Check it, or wait for the next batch.", risk.path_field)
        return many

    def historical(self, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
        """Point-in-time features: for each row, what was known at its `event_timestamp` and not a moment later.

        `frame` has `event_timestamp` (UTC) and the columns of the risk's row. The answer has the same rows in the
        same order, and the service's features as columns. Raises FeaturesNotReady.
        """
        plan = self._plan(risk)
        columns = [*frame.columns, *(name for name in plan.outputs if name not in frame)]
        if frame.empty:
            return frame.reindex(columns=columns)
        rows = frame.reset_index(drop=True)
        rows = rows.assign(as_of=rows["event_timestamp"])
        service = self._store.get_feature_service(risk.name)
        table = self._store.get_historical_features(rows, service, full_feature_names=True).to_arrow()
        # Objects, not floats: a flag is 0 or None, and 0.0 is another JSON value than the online 0.
        joined = table.to_pandas(integer_object_nulls=True)
        joined = joined.rename(columns={_full(view, name): name for name, view in plan.outputs.items()})
        return joined[columns]

    def stored(self, view: str, keys: Row) -> dict[str, Any]:
        fields = self._store.get_feature_view(view, allow_registry_cache=True).features
        answer = self._store.get_online_features([f"{view}:{field.name}" for field in fields], [dict(keys)]).to_dict()
        return {field.name: answer[field.name][0] for field in fields}

    def write(self, view: str, row: Row) -> None:
        self._store.write_to_online_store(view, pd.DataFrame([row]))

    def _fresh(self, plan: Plan, rows: Sequence[Row], as_of: datetime) -> Columns:
        """The stored features, under their own names and, where two views have the same, with the view's."""
        if not plan.stored:
            return {}
        references = [f"{view.name}:{field.name}" for view in plan.stored for field in view.features]
        keys = [{key: row[key] for key in plan.join_keys} for row in rows]
        try:
            read = self._store.get_online_features(references, keys, full_feature_names=True)
        except sqlite3.OperationalError as error:
            raise FeaturesNotReady(f"The online store cannot be read ({error}). Run: make pipeline") from error
        except ValueError as error:  # Feast has no class of its own for a view that was never materialized
            raise FeaturesNotReady(f"{error} Run: make pipeline") from error
        answer = read.to_dict(include_event_timestamps=True)
        fresh: Columns = {}
        for view in plan.stored:
            ttl = view.ttl or timedelta.max  # to Feast, no TTL and a TTL of 0 both mean for ever
            for field in view.features:
                name = _full(view.name, field.name)
                written = [datetime.fromtimestamp(seconds, UTC) for seconds in answer[f"{name}__ts"]]
                kept = [None if as_of - at > ttl else value for value, at in zip(answer[name], written, strict=True)]
                fresh[name] = fresh[field.name] = kept
        return fresh

    def _plan(self, risk: Risk) -> Plan:
        """Read from the registry once for each version of it: reading a service costs more than a request, and a
        `feast apply` must be followed."""
        key = (self._store.registry.proto().version_id, risk.name)
        if key not in self._plans:
            try:
                service = self._store.get_feature_service(risk.name, allow_cache=True)
            except (FeastObjectNotFoundException, FileNotFoundError) as error:
                raise FeaturesNotReady(
                    f"The feature service {risk.name!r} is not applied. Run: make pipeline"
                ) from error
            self._plans[key] = self._read_plan(service)
        return self._plans[key]

    def _read_plan(self, service: Any) -> Plan:
        stored: dict[str, FeatureView] = {}
        on_demand: list[OnDemandFeatureView] = []
        outputs: dict[str, str] = {}
        spelled = [feature.name for projection in service.feature_view_projections for feature in projection.features]
        known_on_demand = {view.name: view for view in self._store.list_on_demand_feature_views()}
        for projection in service.feature_view_projections:
            for feature in projection.features:
                is_shared = spelled.count(feature.name) > 1
                name = _full(projection.name, feature.name) if is_shared else feature.name
                outputs[name] = projection.name
            view = known_on_demand.get(projection.name)
            if view:
                on_demand.append(view)
            names = view.source_feature_view_projections if view else [projection.name]
            stored |= {name: self._store.get_feature_view(name) for name in names}
        join_keys = frozenset(key for view in stored.values() for key in view.join_keys)
        return Plan(tuple(stored.values()), tuple(on_demand), outputs, join_keys)


def _full(view: str, feature: str) -> str:
    return feature if feature.startswith(f"{view}__") else f"{view}__{feature}"
