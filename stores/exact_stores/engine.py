"""The compute engine: what changed in the offline store goes to the online store as Arrow, batch by batch."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from feast import BatchFeatureView, StreamFeatureView
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.local.compute import LocalComputeEngine, LocalComputeEngineConfig
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.registry.base_registry import BaseRegistry
from feast.utils import _get_column_names

from exact_stores.parquet_files import is_local_parquet

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class ArrowComputeEngineConfig(LocalComputeEngineConfig):
    type: Literal["exact_stores.engine.ArrowComputeEngine", "stores.engine.ArrowComputeEngine"] = (
        "exact_stores.engine.ArrowComputeEngine"  # type: ignore[assignment]
    )
    overlap_seconds: int = 3600
    """A row is stamped as created before its file can be read. So a run takes again what was created in so many seconds
    before the last run; to write a row twice changes nothing."""


class ArrowComputeEngine(LocalComputeEngine):
    """Feast's local engine, for our two stores and views that are stored as they are. Other views, and views between
    other stores, take Feast's own way.

    `materialize-incremental` misses nothing: beside the rows after the last run's end it takes those that were created
    since that run, however old they are dated. It begins where it really was, if the last end lay in the future, and
    at the beginning if the online store was lost.
    """

    def __init__(self, overlap_seconds: int = 3600, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._overlap = timedelta(seconds=overlap_seconds)
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **kwargs: Any
    ) -> LocalMaterializationJob:
        if not self._is_ours(task):
            return super()._materialize_one(registry, task, **kwargs)
        view = task.feature_view
        job = f"{view.name}-{task.start_time}-{task.end_time}"
        try:
            self._copy(registry, task)
        except Exception as error:  # Feast raises it again, after it has put the view back into its old state
            return LocalMaterializationJob(job_id=job, status=MaterializationJobStatus.ERROR, error=error)
        return LocalMaterializationJob(job_id=job, status=MaterializationJobStatus.SUCCEEDED)

    def _is_ours(self, task: MaterializationTask) -> bool:
        view: Any = task.feature_view
        is_plain = not (
            getattr(view, "feature_transformation", None)
            or getattr(view, "aggregations", None)
            or getattr(view, "source_views", None)
            or getattr(view, "enable_validation", False)
            or (isinstance(view, BatchFeatureView | StreamFeatureView) and view.offline)
        )
        has_both = hasattr(self.online_store, "write_table") and hasattr(self.offline_store, "pull_changed")
        return bool(is_plain and has_both and view.online and is_local_parquet(view.batch_source))

    def _copy(self, registry: BaseRegistry, task: MaterializationTask) -> None:
        view, config, online = task.feature_view, self.repo_config, self.online_store
        began, last_run = self.clock(), online.last_run(config, view)  # type: ignore[attr-defined]
        entities = [registry.get_entity(name, task.project) for name in view.entities]
        keys, features, event, created = _get_column_names(view, entities)
        source: Any = view.batch_source
        batches = self.offline_store.pull_changed(  # type: ignore[attr-defined]
            config, source, keys, features, event, created,
            self._start(task, last_run), task.end_time, last_run - self._overlap if last_run else None,
        )  # fmt: skip
        mapping = source.field_mapping or {}
        for batch in batches:
            named = batch.rename_columns([mapping.get(name, name) for name in batch.schema.names])
            online.write_table(  # type: ignore[attr-defined]
                config, view, named, mapping.get(event, event), mapping.get(created, created) if created else None
            )
        if view.most_recent_end_time is None or task.end_time >= view.most_recent_end_time:
            # A run over some past days has not seen what was created since the last run and is dated after them.
            online.set_last_run(config, view, began)  # type: ignore[attr-defined]

    def _start(self, task: MaterializationTask, last_run: datetime | None) -> datetime:
        """Where to begin. A task that begins at the last end goes on from it."""
        if task.start_time != task.feature_view.most_recent_end_time:
            return task.start_time
        return min(task.start_time, last_run) if last_run else BEGINNING
