"""The only part of a request that touches the feature store."""

import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureStore, FeatureView
from feast.errors import FeatureViewNotFoundException

from errors import FeaturesNotReady, RiskError, UnknownEntity
from features.risk import Risk
from serving.compiler import compiled
from serving.plan import Plan
from serving.store import Row, Store, Vector


class FeastStore(Store):
    """Online and point-in-time features of feature services, from a Feast repository. A `feast apply` is followed
    within the registry's `cache_ttl_seconds`, by a thread of its own: no request waits for it."""

    def __init__(self, repository: Path) -> None:
        self._store = FeatureStore(str(repository))
        self._plans: dict[str, Plan] = {}
        self._views: dict[str, FeatureView] = {}
        self._version: Any = None
        seconds = self._store.config.registry.cache_ttl_seconds
        if seconds > 0:  # 0 is Feast's word for a cache that never ends
            threading.Thread(target=_follow, args=(weakref.ref(self), seconds), daemon=True).start()

    def services(self) -> list[str]:
        registry = self._store.registry
        return sorted(of.name for of in registry.list_feature_services(self._store.project, allow_cache=True))

    def views(self, service: str) -> dict[str, str]:
        return {name: view for name, (view, _) in self._plan(service).outputs.items()}

    def asks(self, service: str) -> dict[str, str]:
        plan = self._plan(service)
        return {name: kind for name, kind in {**plan.keys, **plan.request}.items() if name != "as_of"}

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime) -> list[Vector]:
        """As `online_many`, with when each value is dated and why one is missing. Raises FeaturesNotReady."""
        with _explained():
            return self._plan(service).vectors(rows, as_of)

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        """The features of one entity at `as_of`, None where nothing is stored. As `online_many`."""
        return self.online_many(risk, [row], as_of)[0]

    def online_many(self, risk: Risk, rows: Sequence[Row], as_of: datetime) -> list[dict[str, Any]]:
        """The features of many entities at `as_of`, in order, None where nothing is stored.

        What the point-in-time join would not find counts as not stored: a value older than its view's TTL, or dated
        after `as_of`. Raises UnknownEntity, FeaturesNotReady.
        """
        with _explained():
            many = self._plan(risk.name).answer(rows, as_of)
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
        plan = self._plan(risk.name)
        columns = [*frame.columns, *(name for name in plan.outputs if name not in frame)]
        if frame.empty:
            return frame.reindex(columns=columns)
        rows = frame.reset_index(drop=True)
        rows = rows.assign(as_of=rows["event_timestamp"], row_number=rows.index)
        service = self._store.get_feature_service(risk.name)
        table = self._store.get_historical_features(rows, service, full_feature_names=True).to_arrow()
        # Objects, not floats: a flag is 0 or None, and 0.0 is another JSON value than the online 0.
        joined = table.to_pandas(integer_object_nulls=True)
        # Our offline store keeps rows and their order; one of Feast's, put in its place, keeps only some.
        joined = joined.sort_values("row_number", ignore_index=True)
        if len(joined) != len(rows):
            raise FeaturesNotReady(
                f"The offline store answered {len(joined)} of {len(rows)} rows. Use one that loses none."
            )
        return joined.rename(columns={whole: name for name, (_, whole) in plan.outputs.items()})[columns]

    def stored(self, view: str, keys: Row) -> dict[str, Any]:
        fields = self._store.get_feature_view(view, allow_registry_cache=True).features
        answer = self._store.get_online_features([f"{view}:{field.name}" for field in fields], [dict(keys)]).to_dict()
        return {field.name: answer[field.name][0] for field in fields}

    def write(self, view: str, row: Row) -> None:
        self._store.write_to_online_store(view, pd.DataFrame([row]))

    def write_table(self, view: str, table: pa.Table) -> None:
        """In one transaction where the online store is ours. Raises FeaturesNotReady."""
        provider: Any = self._store._get_provider()
        with _explained():
            if not hasattr(provider.online_store, "write_table"):
                self._store.write_to_online_store(view, table.to_pandas())
                return
            views = self._views  # another thread may put new ones in its place
            of = views.get(view) or views.setdefault(view, self._view(view))
            provider.online_store.write_table(self._store.config, of, table, created="created")

    def _view(self, name: str) -> FeatureView:
        try:
            return self._store.get_feature_view(name, allow_registry_cache=True)
        except (FeatureViewNotFoundException, FileNotFoundError) as error:
            raise FeaturesNotReady(f"The feature view {name!r} is not applied. Run: make pipeline") from error

    def follow_registry(self) -> None:
        """Read the registry anew; after a change, compile again what was in use."""
        self._store.refresh_registry()
        version = self._store.registry.proto().version_id
        if version != self._version:
            self._plans = dict(self._compiled_anew(list(self._plans)))
            self._views = {}
            self._version = version

    def _compiled_anew(self, services: list[str]) -> Iterator[tuple[str, Plan]]:
        for service in services:
            try:
                yield service, compiled(self._store, service)
            except (RiskError, sqlite3.OperationalError):  # it is gone: the next request will say so
                continue

    def _plan(self, service: str) -> Plan:
        plans = self._plans  # if these are replaced meanwhile, a plan of the old registry goes with them
        plan = plans.get(service)
        if plan is None:
            with _explained():
                plan = plans[service] = compiled(self._store, service)
        return plan


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise FeaturesNotReady(f"The online store cannot be read ({error}). Run: make pipeline") from error


def _follow(source: "weakref.ref[FeastStore]", seconds: float) -> None:
    """Until the source is gone. A registry that cannot be read now is tried again: the old plans serve on."""
    while True:
        time.sleep(seconds)
        there = source()
        if there is None:
            return
        with suppress(Exception):
            there.follow_registry()
        del there
