"""The building blocks of the views: sources below `$RISK_DATA`, and fields with descriptions."""

from pathlib import Path
from typing import Any

from feast import Entity, FeatureView, Field, FileSource, RequestSource
from feast.data_format import ParquetFormat
from feast.types import Bytes, Float64, Int64, String, UnixTimestamp

import exact_stores  # noqa: F401  first: it patches Feast and quiets its warnings
import settings
from entities import OWNER
from features.utc import MICROSECOND
from features.windows.live import LiveFeatures, seen_of, state_of
from features.windows.tables import AggregationTable, Table
from features.windows.tiles import AHEAD_US

TYPES = {"int": Int64, "float": Float64, "string": String, "timestamp": UnixTimestamp}


def field(name: str, dtype: Any, description: str, **tags: str) -> Field:
    """A field with a description, an owner and tags."""
    return Field(name=name, dtype=dtype, description=description, tags={"owner": OWNER, **tags})


def aggregated(table: Table, entity: Entity, domain: str) -> FeatureView:
    """The view of a batch feature table. Name, TTL, fields and source come from the table's definition."""
    return FeatureView(
        name=table.name,
        entities=[entity],
        ttl=table.ttl,
        schema=[
            field(f.name, TYPES[f.dtype], f.description, unit=f.unit, window=f.window or "none", domain=domain)
            for f in table.features
        ],
        source=feature_table(table.name, domain, table.description),
        description=table.description,
        owner=OWNER,
        tags={"domain": domain},
    )


def live(table: AggregationTable, entities: list[Entity], domain: str) -> FeatureView:
    """The view of a live table's states, which `jobs stream` writes. An on-demand view computes features from them."""
    tags = {"domain": domain, "kind": "live"}
    state = f"The state of a key, for: {table.description} An on-demand view computes features from it."
    return FeatureView(
        name=state_of(table),
        entities=entities,
        ttl=table.ttl + AHEAD_US * MICROSECOND,
        schema=[
            field(state_of(table), Bytes, state, unit="JSON", **tags),
            field(
                seen_of(table),
                Int64,
                "When the stream last processed an event of the key.",
                unit="µs since 1970",
                **tags,
            ),
        ],
        source=_source(state_of(table), settings.root().states(state_of(table)), domain, table.description),
        description=state,
        owner=OWNER,
        tags=tags,
    )


def request_timestamp(domain: str) -> RequestSource:
    """The timestamp of the request. Live features are computed as of it."""
    tags = {"domain": domain}
    return RequestSource(
        name=f"{domain}_moment",
        schema=[field("as_of", UnixTimestamp, "The timestamp of the request.", unit="UTC", **tags)],
        description="When the request arrives.",
        owner=OWNER,
        tags=tags,
    )


def computed(live_features: LiveFeatures, domain: str) -> list[Field]:
    """The schema of the on-demand view that computes live features."""
    return [
        field(f.name, TYPES[f.dtype], f.description, unit=f.unit, window=f.window or "none", domain=domain)
        for f in live_features.features
    ]


def raw_table(table: str, domain: str, description: str) -> FileSource:
    """A raw table."""
    return _source(table, settings.root().raw_table(table), domain, description)


def feature_table(table: str, domain: str, description: str) -> FileSource:
    """A feature table, which `python -m jobs execute` computes."""
    return _source(table, settings.root().feature_table(table), domain, description)


def _source(table: str, directory: Path, domain: str, description: str) -> FileSource:
    return FileSource(
        name=f"{table}_source",
        path=str(directory),
        file_format=ParquetFormat(),
        timestamp_field="event_timestamp",
        created_timestamp_column="created",
        description=description,
        owner=OWNER,
        tags={"domain": domain, "kind": directory.parent.name},
    )
