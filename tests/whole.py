"""A fake store with something about every declared risk, for tests that ask the service everything."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from fake import NOW, Fake

from features.domains import risks
from features.risk import Risk
from serving.store import Row, Vector
from web.catalog import NUMBERS

KEYS = {"product_id": "STRING", "category": "STRING", "customer_id": "STRING"}
CATALOG = ("catalog", "catalog_30d")
#: What the plain fake has.
PLAIN = ("onboarding", "daily")
#: Features that a policy uses and no model.
MORE = {"loyalty": ("last_purchase_value", "mean_purchase_value", "mean_loyalty_score")}


class Whole(Fake):
    """Drivers 1001 and 1002 are known, and so is everything else. Each number is 1."""

    def services(self) -> list[str]:
        return [*risks(), *CATALOG]

    def views(self, service: str) -> dict[str, str]:
        if service in PLAIN:
            return super().views(service)
        if service in CATALOG:
            return dict.fromkeys(self.numbers(), "whole")
        risk = risks()[service]
        return dict.fromkeys([*(i.name for i in risk.inputs), *MORE.get(service, ())], "whole")

    def types(self, service: str) -> dict[str, str]:
        kinds = {"int": "INT64", "float": "DOUBLE"}
        more = {i.name: kinds[i.dtype] for i in risks()[service].inputs}
        return (
            dict.fromkeys(self.views(service), "DOUBLE") | more | (super().types(service) if service in PLAIN else {})
        )

    def asks(self, service: str) -> dict[str, str]:
        return KEYS if service in CATALOG else super().asks(service) if service == "daily" else {"user_id": "STRING"}

    def online(self, risk: Risk, row: Row, as_of: datetime) -> dict[str, Any]:
        if risk.name in PLAIN:
            return super().online(risk, row, as_of)
        return dict.fromkeys(self.views(risk.name), 1.0) | {i.name: 1 for i in risk.inputs if i.dtype == "int"}

    def vectors(self, service: str, rows: Sequence[Row], as_of: datetime, clock: datetime) -> list[Vector]:
        names = self.numbers() if service in CATALOG else list(self.views(service))
        return [
            Vector(dict.fromkeys(names, 1.0), dict.fromkeys(names, NOW), dict.fromkeys(names, "PRESENT")) for _ in rows
        ]

    @staticmethod
    def numbers() -> list[str]:
        return [name for number in NUMBERS for name in (number.name, number.dated_by)]
