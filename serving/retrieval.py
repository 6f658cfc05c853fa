"""The only part of a request that touches the feature store."""

from serving import feast_import  # noqa: F401  first: it makes the import of Feast fast

# isort: split
import hashlib
import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from feast import FeatureStore, FeatureView
from feast.errors import FeatureViewNotFoundException

from errors import FeaturesNotReady, RiskError, UnknownEntity
from exact_stores.exact_online import ExactOnlineStore, NotApplied, OnlineStoreError
from exact_stores.registry_faults import RegistryError
from features.risk import Risk
from serving.compiler import NOT_APPLIED, compiled, reads, stored_view
from serving.joins import as_frame, event_times, joined
from serving.plan import Missed, Plan, full
from serving.store import Answers, EventTimes, Row, Store, StoredRow, Vector
from serving.store_faults import configured, explained
from serving.stored import Stored

logger = logging.getLogger(__name__)


class FeastStore(Store):
    """Online and point-in-time features of feature services, from a Feast repository.

    It follows the registry: after a `feast apply`, requests use the new definitions within the registry's
    `cache_ttl_seconds`. A thread of its own reads the registry, so no request waits for it. `cache_ttl_seconds: 0`
    means that the cache never ends, and then nothing is followed.

    `yaml` is the `feature_store.yaml`, if not that of the repository. `missed` gets what reads of decisions do not
    find, or find too old. Unless `waits_for_disk`, a power cut may take the last writes to our SQLite store. That is
    for whoever finds out, and writes them again.
    """

    def __init__(
        self, repository: Path, yaml: Path | None = None, missed: Missed | None = None, waits_for_disk: bool = True
    ) -> None:
        self._missed = missed
        with explained(), configured(yaml or repository / "feature_store.yaml"):
            self._store = FeatureStore(str(repository), fs_yaml_file=yaml)
        if not waits_for_disk and hasattr(self._store.config.online_store, "synchronous"):
            self._store.config.online_store.synchronous = "normal"
        self._plans: dict[str, Plan] = {}
        self._views: dict[str, FeatureView] = {}
        self._reads: dict[str, Stored] = {}
        self._version: Any = None
        self._failures: set[type[Exception]] = set()
        seconds = self._store.config.registry.cache_ttl_seconds
        if seconds > 0:
            threading.Thread(target=_follow, args=(weakref.ref(self), seconds), daemon=True).start()

    def services(self) -> list[str]:
        """From the cached registry."""
        with explained():
            services = self._store.registry.list_feature_services(self._store.project, allow_cache=True)
        return sorted(service.name for service in services)

    def views(self, service: str) -> dict[str, str]:
        """Raises FeaturesNotReady."""
        return self._plan(service).views

    def asks(self, service: str) -> dict[str, str]:
        """Raises FeaturesNotReady."""
        plan = self._plan(service)
        return {name: kind for name, kind in {**plan.keys, **plan.request}.items() if name != "as_of"}

    def types(self, service: str) -> Mapping[str, str]:
        """Raises FeaturesNotReady."""
        return self._plan(service).types

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        """As `online_many`, with the date and the status of each value. Raises FeaturesNotReady."""
        with explained():
            return self._plan(service).vectors(rows, as_of, clock)

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        """The features of one entity; see `online_many`."""
        return self.online_many(risk, [row], as_of).features[0]

    def online_many(self, risk: Risk, rows: Sequence[Row], as_of: datetime) -> Answers:
        """The features of many entities at `as_of`, in order, None where nothing is stored.

        A value that the point-in-time join would not find counts as not stored: its row is older than its view's TTL,
        or dated after `as_of`. Raises UnknownEntity, FeaturesNotReady.
        """
        with explained():
            answers = self._plan(risk.name).answer(rows, as_of, self._missed)
        for row, features in zip(rows, answers.features, strict=True):
            if risk.known_by and features[risk.known_by] is None:
                entity = f"{risk.path_field} {row[risk.path_field]}" if risk.path_field else "The entity"
                raise UnknownEntity(f"{entity} is not known. Check it, or wait for the next batch.", risk.path_field)
        return answers

    def historical(self, risk: Risk, frame: pd.DataFrame) -> pd.DataFrame:
        """Point-in-time features: for each row, what was known at its `event_timestamp`.

        `frame` has `event_timestamp` (UTC) and the columns of the risk's row. The answer has the same rows in the
        same order, and the service's features as columns. Raises FeaturesNotReady.
        """
        plan = self._plan(risk.name)
        with explained():
            return joined(self._store, risk.name, plan, frame)

    def joined_times(self, risk: Risk, frame: pd.DataFrame) -> list[EventTimes]:
        """By the join of `historical`. Raises FeaturesNotReady."""
        plan = self._plan(risk.name)
        with explained():
            return event_times(self._store, risk.name, plan, frame) if len(frame) else []

    def stored(self, view: str, keys: Row) -> dict[str, Any]:
        """By the same read as a plan's, so it can be read whenever a plan can. Raises FeaturesNotReady."""
        with explained():
            views = self._reads  # one reference: the thread may replace the dict at any time
            stored = views.get(view) or views.setdefault(view, stored_view(self._store, view))
            (kept,) = stored.rows([keys])
        values = kept[1] if kept else (None,) * len(stored.names)
        return {name.removeprefix(full(view, "")): value for name, value in zip(stored.names, values, strict=True)}

    def kept(self, view: str, names: Sequence[str], keys: Sequence[tuple[Any, ...]]) -> list[StoredRow | None]:
        """By the reads of a plan. Raises FeaturesNotReady where the view is not applied."""
        target = self._view(view)
        with explained():
            try:
                return list(reads(self._store, target, tuple(names))(keys))
            except (NotApplied, sqlite3.OperationalError):  # then there is no row; a write says what is wrong
                return [None] * len(keys)

    def check(self, service: str, now: datetime) -> None:
        """By the reads of a decision about an entity that is not there. Raises FeaturesNotReady."""
        with explained():
            self._plan(service).check(now)

    def materialized(self) -> dict[str, datetime]:
        """From the cached registry."""
        with explained():
            views = self._store.registry.list_feature_views(self._store.project, allow_cache=True)
        return {view.name: max(end for _, end in view.materialization_intervals)
                for view in views if view.materialization_intervals}  # fmt: skip

    def write(self, view: str, row: Row) -> None:
        """By Feast's own write. Raises FeaturesNotReady."""
        with explained():
            self._store.write_to_online_store(view, pd.DataFrame([row]))

    def write_table(self, view: str, table: pa.Table) -> None:
        """See `write_tables`."""
        self.write_tables({view: table})

    def write_tables(self, tables: Mapping[str, pa.Table]) -> None:
        """As whole tables, and together, if the online store is ours. Raises FeaturesNotReady."""
        with explained():
            provider: Any = self._store._get_provider()
            if not isinstance(provider.online_store, ExactOnlineStore):
                for view, table in tables.items():
                    self._store.write_to_online_store(view, as_frame(table))
                return
            views = self._views  # one reference: the thread may replace the dict at any time
            for view in tables.keys() - views.keys():
                views[view] = self._view(view)
            new_tables = [(views[view], table) for view, table in tables.items()]
            provider.online_store.write_tables(self._store.config, new_tables, created="created")

    def follow_registry(self) -> None:
        """Read the registry again. If it changed, compile the plans in use again."""
        store: Any = self._store  # Feast has no types for this method
        store.refresh_registry()
        version = self._registry_version()
        if version != self._version:
            self._plans = dict(self._compile_again(list(self._plans)))
            self._views, self._reads = {}, {}
            self._version = version

    def _registry_version(self) -> str:
        """Changes with the registry. One in a database has no version of its own."""
        registry: Any = self._store.registry  # Feast has no type for what it has cached
        proto = registry.cached_registry_proto
        return str(proto.version_id or hashlib.sha256(proto.SerializeToString(deterministic=True)).hexdigest())

    def try_to_follow_registry(self) -> None:
        """The same, and if it fails, requests go on with the plans that they have. The log gets each kind of failure
        once, until the registry can be read again."""
        try:
            self.follow_registry()
        except Exception as error:  # a registry may be a file, a database or a server: each fails in ways of its own
            if type(error) not in self._failures:
                self._failures.add(type(error))
                logger.warning("%s Requests use the definitions that were read before.", _words(error))
        else:
            if self._failures:
                self._failures.clear()
                logger.warning("The feature registry can be read again.")

    def _view(self, name: str) -> FeatureView:
        with explained():
            try:
                return self._store.get_feature_view(name, allow_registry_cache=True)
            except (FeatureViewNotFoundException, FileNotFoundError) as error:
                raise FeaturesNotReady(f"The feature view {name!r} is not applied. {NOT_APPLIED}") from error

    def _compile_again(self, services: list[str]) -> Iterator[tuple[str, Plan]]:
        for service in services:
            try:
                yield service, compiled(self._store, service)
            except (RiskError, OnlineStoreError):  # the next request compiles it, fails, and tells its caller
                continue

    def _plan(self, service: str) -> Plan:
        plans = self._plans  # one reference: if the thread replaces the dict, a plan of the old registry goes with it
        plan = plans.get(service)
        if plan is None:
            with explained():
                plan = plans[service] = compiled(self._store, service)
        return plan


def _words(error: Exception) -> str:
    """What is wrong with the registry, for the log."""
    if isinstance(error, RegistryError):
        return error.message
    return f"The feature registry cannot be read ({type(error).__name__}: {error})."


def _follow(reference: "weakref.ref[FeastStore]", seconds: float) -> None:
    """Follow the registry until nobody else holds the store."""
    while True:
        time.sleep(seconds)
        store = reference()
        if store is None:
            return
        store.try_to_follow_registry()
        del store
