"""The numbers of the domain `catalog`, each at its own path: those of the stream, and those of the nightly batch."""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, jsonify

from errors import BadParameter, UnknownEntity
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
from features.windows.aggregation import AggregationTable, Feature
from features.windows.live import seen_of
from features.windows.tiles import AHEAD
from serving.plan import TOO_OLD
from web.face import Face
from web.operations import Spec, operation
from web.schemas import Value

EXAMPLES = {"product_id": "p0007", "category": "books", "customer_id": "c00007"}
#: What stands for bytes of a path that are no UTF-8.
REPLACED = "\N{REPLACEMENT CHARACTER}"
WRITTEN = "Write every key as UTF-8, percent-encoded; a slash may stand as it is."


@dataclass(frozen=True)
class Number:
    """A feature of a table and the path where it is told; the table's keys stand in the path."""

    path: str
    table: AggregationTable
    name: str

    @property
    def is_live(self) -> bool:
        return self.table in CATALOG_LIVE.tables

    @property
    def service(self) -> str:
        return "catalog" if self.is_live else "catalog_30d"

    @property
    def feature(self) -> Feature:
        return next(feature for feature in self.table.features if feature.name == self.name)

    @property
    def dated_by(self) -> str:
        """The stored value that says how old this one is: a live number is computed of a state, and has no date."""
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
    return {number.path: {"get": _described(number)} for number in NUMBERS}


def _described(number: Number) -> Spec:
    days = number.table.ttl.days
    about = (
        f"{number.feature.description} In {number.feature.unit}; null where there is none, and {days} days after the "
        f"newest {'transaction' if number.is_live else 'change that a batch found'}. {WRITTEN}"
    )
    parameters = [
        {"name": key, "in": "path", "required": True, "schema": {"type": "string"}, "example": EXAMPLES[key]}
        for key in number.table.keys
    ]
    title = number.name.replace("_", " ").capitalize()
    return operation("catalog", title, about, Value, (400, 404, 503), parameters=parameters)


def blueprint(face: Face) -> Blueprint:
    paths = Blueprint("catalog", __name__)
    for number in NUMBERS:
        rule = number.path.replace("{", "<path:").replace("}", ">")
        paths.add_url_rule(rule, number.name, _view(face, number))
    return paths


def _view(face: Face, number: Number) -> Any:
    def view(**keys: str) -> Response:
        return jsonify(told(face, number, keys))

    return view


def told(face: Face, number: Number, keys: dict[str, str]) -> dict[str, Any]:
    """Raises BadParameter, UnknownEntity on keys that were never seen, FeaturesNotReady."""
    if wrong := [key for key, value in keys.items() if REPLACED in value]:
        raise BadParameter(f"{wrong[0]} is no UTF-8. {WRITTEN}", wrong[0])
    source, as_of = face.service.store, face.clock()
    asked = dict.fromkeys(source.asks(number.service)) | keys
    (vector,) = source.vectors(number.service, [asked], as_of)
    dated, status = vector.event_timestamps[number.dated_by], vector.statuses[number.dated_by]
    if dated is None:
        who = ", ".join(f"{key} {value[:40]!r}" for key, value in keys.items())
        raise UnknownEntity(f"{who} is not known. Check it, or wait for the next {_bringer(number)}.", next(iter(keys)))
    return {
        "value": None if status == TOO_OLD else vector.features[number.name],
        "unit": number.feature.unit,
        "event_timestamp": (dated + AHEAD * MICROSECOND if number.is_live else dated).isoformat(),
        "as_of": as_of.isoformat(),
    }


def _bringer(number: Number) -> str:
    return "transaction" if number.is_live else "batch"
