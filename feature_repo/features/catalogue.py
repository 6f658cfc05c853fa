"""Finds what the domains declare, so that jobs, serving and the HTTP face need no list of their own."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from errors import BadParameter
from features import DOMAINS
from features.aggregation import Table
from features.declaration import Risk


def tables_of(domain: str) -> tuple[Table, ...]:
    return tuple(getattr(import_module(f"features.{domain}"), "TABLES", ()))


def risks_of(domain: str) -> tuple[Risk, ...]:
    return tuple(getattr(import_module(f"features.{domain}"), "RISKS", ()))


def tables() -> Iterator[Table]:
    """The feature tables of every domain, which `jobs execute` computes."""
    for domain in DOMAINS:
        yield from tables_of(domain)


@cache
def risks() -> dict[str, Risk]:
    """The decisions of every domain, by name."""
    return {risk.name: risk for domain in DOMAINS for risk in risks_of(domain)}


def risk_named(name: str) -> Risk:
    """Raises BadParameter, with the names that there are."""
    if name not in risks():
        raise BadParameter(f"There is no risk {name[:40]!r}. Choose one of: {', '.join(risks())}.")
    return risks()[name]


@cache
def empty_values() -> dict[str, dict[str, Any]]:
    """Feature view → feature → its value where nothing is stored. A view not named here is just missing."""
    return {table.name: dict(table.empty) for table in tables()}
