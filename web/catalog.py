"""The numbers of the domain `catalog`, each at its own path: live numbers of the stream, and those of the nightly
batch."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from errors import SHOWN_CHARACTERS, BadParameter, UnknownEntity
from features.catalog import (
    CATALOG_LIVE,
    CATEGORY_ORDERS,
    CATEGORY_SALES,
    CUSTOMER_ORDERS,
    CUSTOMER_REVIEWS,
    PRODUCT_REVIEWS,
    PRODUCT_SALES,
)
from features.utc import MICROSECOND
from features.windows import AggregationTable, Feature
from features.windows.live import seen_of
from features.windows.tiles import AHEAD_US
from serving.stored import TOO_OLD
from web.access import needs
from web.face import Face
from web.operations import Spec, operation
from web.schemas import Value

EXAMPLES = {"product_id": "p0007", "category": "books", "customer_id": "c00007"}
#: Flask puts this character in place of bytes of a path that are not UTF-8.
REPLACED = "\N{REPLACEMENT CHARACTER}"
ENCODING = "Percent-encode every key as UTF-8; a slash needs no encoding."


@dataclass(frozen=True)
class Number:
    """A feature of a table and its path. The path holds the table's keys."""

    path: str
    table: AggregationTable
    name: str

    @property
    def is_live(self) -> bool:
        """Whether the stream feeds the number, and not the batch."""
        return self.table in CATALOG_LIVE.tables

    @property
    def service(self) -> str:
        """The feature service that has the number."""
        return "catalog" if self.is_live else "catalog_30d"

    @property
    def feature(self) -> Feature:
        """The declaration of the number."""
        return next(feature for feature in self.table.features if feature.name == self.name)

    @property
    def dated_by(self) -> str:
        """The stored value whose date counts. A live number is computed from a state, and has no date of its own."""
        return seen_of(self.table) if self.is_live else self.name


NUMBERS = (
    Number("/api/v1/stream/products/{product_id}/average-last-5-reviews", PRODUCT_REVIEWS, "average_last_5_reviews"),
    Number("/api/v1/stream/categories/{category}/revenue-last-3-orders", CATEGORY_ORDERS, "revenue_last_3_orders"),
    Number("/api/v1/stream/customers/{customer_id}/last-order-amount", CUSTOMER_ORDERS, "last_order_amount"),
    Number("/api/v1/stream/customers/{customer_id}/products/{product_id}/last-rating", CUSTOMER_REVIEWS, "last_rating"),
    Number("/api/v1/offline/products/{product_id}/average-rating-30d", PRODUCT_SALES, "average_rating_30d"),
    Number("/api/v1/offline/products/{product_id}/units-sold-30d", PRODUCT_SALES, "units_sold_30d"),
    Number("/api/v1/offline/products/{product_id}/revenue-30d", PRODUCT_SALES, "product_revenue_30d"),
    Number("/api/v1/offline/categories/{category}/revenue-30d", CATEGORY_SALES, "category_revenue_30d"),
)


def openapi_paths() -> Spec:
    """A path of the API docs for each number."""
    return {number.path: {"get": _described(number)} for number in NUMBERS}


def _described(number: Number) -> Spec:
    days = number.table.ttl.days
    event = "transaction" if number.is_live else "change in a batch"
    about = (
        f"{number.feature.description} In {number.feature.unit}. Null if there is no value, and {days} days after the "
        f"newest {event}. {ENCODING}"
    )
    parameters = [
        {"name": key, "in": "path", "required": True, "schema": {"type": "string"}, "example": EXAMPLES[key]}
        for key in number.table.keys
    ]
    title = number.name.replace("_", " ").capitalize()
    return operation("catalog", title, about, Value, name=f"read_{number.name}", parameters=parameters)


def blueprint(face: Face) -> Blueprint:
    """A path for each number."""
    paths = Blueprint("catalog", __name__)
    for number in NUMBERS:
        rule = number.path.replace("{", "<path:").replace("}", ">")
        paths.add_url_rule(rule, number.name, needs("features:read")(_view(face, number)))
    return paths


def _view(face: Face, number: Number) -> Any:
    def view(**keys: str) -> Response:
        return jsonify(value(face, number, keys))

    return view


def value(face: Face, number: Number, keys: dict[str, str]) -> dict[str, Any]:
    """The number of some keys, as JSON. Raises BadParameter, UnknownEntity if nothing is stored about the keys,
    FeaturesNotReady."""
    if wrong := [name for name, key in keys.items() if REPLACED in key]:
        raise BadParameter(f"{wrong[0]} is not UTF-8. {ENCODING}", wrong[0])
    store, as_of = face.service.store, face.clock()
    row = dict.fromkeys(store.asks(number.service)) | keys
    (vector,) = store.vectors(number.service, [row], as_of, as_of)
    date, status = vector.event_timestamps[number.dated_by], vector.statuses[number.dated_by]
    if date is None:
        names = ", ".join(f"{name} {key[:SHOWN_CHARACTERS]!r}" for name, key in keys.items())
        cause = "transaction" if number.is_live else "batch"
        raise UnknownEntity(f"{names} is not known. Check it, or wait for the next {cause}.", next(iter(keys)))
    return {
        "value": None if status == TOO_OLD else vector.features[number.name],
        "unit": number.feature.unit,
        "event_timestamp": (date + AHEAD_US * MICROSECOND if number.is_live else date).isoformat(),
        "as_of": as_of.isoformat(),
    }
