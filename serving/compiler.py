"""From the registry to a plan. Feast works these things out for every request; here it is done once."""

from serving import feast_import  # noqa: F401  first: it makes the import of Feast fast

# isort: split
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

import pyarrow as pa
from feast import FeatureStore, FeatureView
from feast.errors import FeastObjectNotFoundException
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureViewState
from feast.feature_view_projection import FeatureViewProjection
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.type_map import feast_value_type_to_python_type, python_values_to_proto_values

from errors import FeaturesNotReady
from exact_stores.exact_online import ExactOnlineStore, RowReader
from features.utc import MICROSECOND, since_1970
from features.windows.live import MARKER, Columns, reserved_key
from serving.completeness import Completeness
from serving.plan import Computed, Plan, full
from serving.store import Row
from serving.stored import Kept, Read, ReadTogether, Stored

#: A view in one of these states can be read. While it is materialized, its old values stay readable until the commit.
READABLE = {FeatureViewState.AVAILABLE_ONLINE, FeatureViewState.MATERIALIZING, FeatureViewState.STATE_UNSPECIFIED}

#: The pipeline does not look into the registry, so it finds nothing to do where only a part of it is missing.
NOT_APPLIED = "Run: make pipeline. Where it finds nothing to do, run in feature_repo: feast apply"


class Projected(NamedTuple):
    """What a feature service has: its projections; the stored views that are read, with the names of their features;
    and the views that are computed. Both by their names in the service."""

    projections: Sequence[FeatureViewProjection]
    reads: dict[str, tuple[Any, FeatureViewProjection, dict[str, None]]]
    computed: dict[str, OnDemandFeatureView]


def projected(store: FeatureStore, service: str) -> Projected:
    """The views of a feature service, from the cached registry. Raises FeaturesNotReady."""
    try:
        projections = store.get_feature_service(service, allow_cache=True).feature_view_projections
    except (FeastObjectNotFoundException, FileNotFoundError) as error:
        raise FeaturesNotReady(f"The feature service {service!r} is not applied. {NOT_APPLIED}") from error
    reads: dict[str, tuple[Any, FeatureViewProjection, dict[str, None]]] = {}
    computed: dict[str, OnDemandFeatureView] = {}

    def add_read(projection: FeatureViewProjection) -> None:
        """Two projections of one view are read together."""
        view = store.registry.get_any_feature_view(projection.name, store.project, allow_cache=True)
        names = dict.fromkeys(feature.name for feature in projection.features)
        reads.setdefault(_name(projection), (view, projection, {}))[2].update(names)

    for projection in projections:
        view = store.registry.get_any_feature_view(projection.name, store.project, allow_cache=True)
        if isinstance(view, OnDemandFeatureView) and not view.write_to_online_store:
            computed[_name(projection)] = view
            for source in view.source_feature_view_projections.values():
                add_read(source)
        else:
            add_read(projection)
    return Projected(projections, reads, computed)


def compiled(store: FeatureStore, service: str) -> Plan:
    """The plan of a feature service, from the cached registry. Raises FeaturesNotReady."""
    projections, reads, computed = projected(store, service)
    keys: dict[str, str] = {}
    for view, projection, _ in reads.values():
        keys |= _key_types(view, projection)
    request = {
        field.name: field.dtype.to_value_type().name
        for view in computed.values()
        for source in view.source_request_sources.values()
        for field in source.schema
    }
    return Plan(
        tuple(_stored(store, view, projection, tuple(names)) for view, projection, names in reads.values()),
        tuple(_computed(name, view) for name, view in computed.items()),
        dict(_outputs(projections)),
        keys,
        request,
        dict(_types(projections)),
        **_read_together(store),
    )


def stored_view(store: FeatureStore, name: str) -> Stored:
    """All features of one stored view, from the cached registry. Raises FeaturesNotReady."""
    try:
        view = store.registry.get_any_feature_view(name, store.project, allow_cache=True)
    except (FeastObjectNotFoundException, FileNotFoundError) as error:
        raise FeaturesNotReady(f"The feature view {name!r} is not applied. {NOT_APPLIED}") from error
    return _stored(store, view, view.projection, tuple(feature.name for feature in view.features))


def _name(projection: Any) -> str:
    """The view's name in the service: its alias, if it has one."""
    return str(projection.name_to_use())


def _outputs(projections: Sequence[FeatureViewProjection]) -> Iterator[tuple[str, tuple[str, str]]]:
    names = [feature.name for projection in projections for feature in projection.features]
    for projection in projections:
        view = _name(projection)
        for feature in projection.features:
            full_name = full(view, feature.name)
            yield (full_name if names.count(feature.name) > 1 else feature.name), (view, full_name)


def _types(projections: Sequence[FeatureViewProjection]) -> Iterator[tuple[str, str]]:
    features = [feature for projection in projections for feature in projection.features]
    for (name, _), feature in zip(_outputs(projections), features, strict=True):
        yield name, feature.dtype.to_value_type().name


def _key_types(view: FeatureView, projection: FeatureViewProjection) -> dict[str, str]:
    return {
        projection.join_key_map.get(column.name, column.name): column.dtype.to_value_type().name
        for column in view.entity_columns
        if column.name != DUMMY_ENTITY_ID
    }


def _stored(store: FeatureStore, view: Any, projection: FeatureViewProjection, names: tuple[str, ...]) -> Stored:
    state = getattr(view, "state", FeatureViewState.STATE_UNSPECIFIED)
    if state not in READABLE:
        raise FeaturesNotReady(
            f"The feature view {view.name!r} is not materialized yet (it is {state.name}). Run: make pipeline. Where "
            "it finds nothing to do, run in feature_repo: feast materialize-incremental, with the present time"
        )
    key_types = _key_types(view, projection)
    read = reads(store, view, names)
    ttl = getattr(view, "ttl", None)  # Feast takes None and 0 as no limit
    return Stored(
        _name(projection),
        _key(tuple(key_types)),
        tuple(full(_name(projection), name) for name in names),
        ttl // MICROSECOND if ttl else None,
        read,
        _completeness(view, key_types),
    )


def _completeness(view: FeatureView, key_types: Mapping[str, str]) -> Completeness | None:
    """Of a live view."""
    if view.tags.get("kind") != "live":
        return None
    dtypes = ["string" if kind == "STRING" else "int" for kind in key_types.values()]
    return Completeness(view.name, reserved_key(MARKER, dtypes))


def _key(names: tuple[str, ...]) -> Callable[[Row], tuple[Any, ...]]:
    """A function from a row to the values of its join keys."""
    if not names:
        return lambda row: (DUMMY_ENTITY_VAL,)
    (name, *more) = names
    return itemgetter(*names) if more else lambda row: (row[name],)


@dataclass(frozen=True)
class _ExactRead:
    """A `Read` of a store of ours."""

    reader: RowReader
    entity_key: Callable[..., bytes]

    def keys(self, keys: Sequence[tuple[Any, ...]]) -> list[bytes]:
        return [self.entity_key(*key) for key in keys]

    def __call__(self, keys: Sequence[tuple[Any, ...]]) -> list[Kept | None]:
        return self.reader.read(self.keys(keys))


def _read_together(store: FeatureStore) -> dict[str, ReadTogether]:
    """The argument of a plan that asks a store of ours once a request. Any other store is asked once a view."""
    provider: Any = store._get_provider()
    online = provider.online_store
    if not isinstance(online, ExactOnlineStore):
        return {}

    def read_together(requests: Sequence[tuple[Any, Sequence[tuple[Any, ...]]]]) -> Sequence[Sequence[Kept | None]]:
        return online.read_together([(read.reader, read.keys(keys)) for read, keys in requests])

    return {"read_together": read_together}


def reads(store: FeatureStore, view: FeatureView, names: tuple[str, ...]) -> Read:
    """A function that reads keys: a compiled reader of a store of ours, or `online_read` of any other store."""
    provider: Any = store._get_provider()
    online = provider.online_store
    if isinstance(online, ExactOnlineStore):
        return _ExactRead(online.reader(store.config, view, names), online.entity_key(view))
    kinds = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    types = {field.name: field.dtype.to_value_type() for field in view.features}

    def read(keys: Sequence[tuple[Any, ...]]) -> list[Kept | None]:
        entity_keys = [
            EntityKey(
                join_keys=list(kinds),
                entity_values=[
                    python_values_to_proto_values([value], kind)[0]
                    for value, kind in zip(key, kinds.values(), strict=True)
                ],
            )
            for key in keys
        ]
        answer = provider.online_read(store.config, view, entity_keys, list(names))
        return [
            None
            if timestamp is None or values is None
            else (
                since_1970(timestamp),
                tuple(feast_value_type_to_python_type(values.get(name, Value()), types[name]) for name in names),
            )
            for timestamp, values in answer
        ]

    return read


def _computed(name: str, view: OnDemandFeatureView) -> Computed:
    inputs = {
        feature.name: full(_name(source), feature.name)
        for source in view.source_feature_view_projections.values()
        for feature in source.features
    }
    return Computed(name, inputs, _function(view))


def _function(view: OnDemandFeatureView) -> Callable[[Columns], Mapping[str, Sequence[Any]]]:
    """The view's own function as a function of columns, whatever its mode is."""
    function: Any = view.feature_transformation.udf  # type: ignore[union-attr]
    if view.mode == "pandas":
        return lambda columns: function(pa.table(columns).to_pandas()).to_dict("list")
    if not view.singleton:
        return function  # type: ignore[no-any-return]

    def row_by_row(columns: Columns) -> Columns:
        rows = [function(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
        return {name: [row[name] for row in rows] for name in rows[0]}

    return row_by_row
