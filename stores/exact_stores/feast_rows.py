"""What both online stores make of Feast's rows and of Feast's reads: entity keys, timestamps and values."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import click
from feast import FeatureView, OnDemandFeatureView, StreamFeatureView
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL
from feast.infra.key_encoding_utils import serialize_entity_key
from feast.labeling.label_view import LabelView
from feast.protos.feast.core.Registry_pb2 import Registry
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import RepoConfig

from exact_stores import rows
from exact_stores.exact_online import Row
from exact_stores.timestamps import SLACK, from_microseconds, to_microseconds

FeastRow = tuple[EntityKey, dict[str, Value], datetime, datetime | None]
#: What Feast's read returns for a key: the event timestamp and the features, both None if there is no row.
FeastAnswer = tuple[datetime | None, dict[str, Value] | None]

#: The key of a view without entities. Feast reads by this key but writes by an empty one, and so finds nothing.
_NO_ENTITY = EntityKey(join_keys=[DUMMY_ENTITY_ID], entity_values=[Value(string_val=DUMMY_ENTITY_VAL)])


def key_bytes(config: RepoConfig, key: EntityKey) -> bytes:
    """The entity key as bytes."""
    return serialize_entity_key(key if key.join_keys else _NO_ENTITY, config.entity_key_serialization_version)


def event_time(timestamp: datetime) -> int:
    """Microseconds since 1970. Raises ValueError for NaT."""
    since_1970 = to_microseconds(timestamp)
    if since_1970 is None:
        raise ValueError("An event timestamp is null. Write rows that have one.")
    return since_1970


def stored_rows(
    config: RepoConfig, view: FeatureView, data: Sequence[FeastRow], now: datetime
) -> list[tuple[Any, ...]]:
    """Rows of Feast as a store takes them: entity key, event timestamp, created, and the features of `rows.columns`.

    Rows without a key or dated later than now are left out, and standard error gets their number: Feast's engine takes
    all rows of a source. Raises TypeError and ValueError for a row that cannot be written.
    """
    layout = rows.columns(view)
    keyed = [row for row in data if all(value.WhichOneof("val") for value in row[0].entity_values)]
    newest = event_time(now + SLACK)
    current = [row for row in keyed if event_time(row[2]) <= newest]
    if left_out := len(data) - len(current):
        click.echo(
            f"{left_out} of {len(data)} rows of the view {view.name!r} were left out: {len(data) - len(keyed)} "
            f"have no key, {len(keyed) - len(current)} are dated later than now.",
            err=True,
        )
    return [
        (key_bytes(config, key), event_time(event), to_microseconds(created), *rows.from_values(layout, values))
        for key, values, event, created in current
    ]


def layout_of(view: FeatureView, requested_features: Sequence[str] | None) -> tuple[rows.Column, ...]:
    """The columns of these features, in the view's order. None stands for all."""
    return tuple(c for c in rows.columns(view) if requested_features is None or c.feature in requested_features)


def answers(
    view: FeatureView, layout: Sequence[rows.Column], stored: Iterable[Row | None], now: datetime
) -> list[FeastAnswer]:
    """Stored rows as Feast's read returns them: absent if past the view's TTL, or dated later than now."""
    ttl: timedelta | None = getattr(view, "ttl", None)  # to Feast, None and 0 both mean for ever
    oldest, newest = event_time(now - ttl) if ttl else float("-inf"), event_time(now)
    results: list[FeastAnswer] = []
    for row in stored:
        if row is None or not oldest <= row[0] <= newest:
            results.append((None, None))
        else:
            values = {c.feature: c.to_value(value) for c, value in zip(layout, row[1], strict=True)}
            results.append((from_microseconds(row[0]), values))
    return results


def online_views(registry: Registry) -> list[Any]:
    """The views of a registry that have rows online."""
    views: list[Any] = [FeatureView.from_proto(proto) for proto in registry.feature_views]
    views += [StreamFeatureView.from_proto(proto) for proto in registry.stream_feature_views]
    views += [LabelView.from_proto(proto) for proto in registry.label_views]
    on_demand = [OnDemandFeatureView.from_proto(proto) for proto in registry.on_demand_feature_views]
    return [view for view in views if view.online] + [view for view in on_demand if view.write_to_online_store]
