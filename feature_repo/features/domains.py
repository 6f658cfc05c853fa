"""Finds what the domains declare, so that jobs, serving and web need no lists of their own."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from choices import unknown
from features import DOMAINS
from features.on_demand import OnDemand
from features.risk import Risk
from features.windows import AggregationTable, LiveFeatures, RawTable
from features.windows.live import seen_of
from features.windows.tables import Table

NO_STREAM = "No domain declares one; see docs/how-to/add-a-stream.md."
NO_RISK = "No domain declares one; see docs/how-to/add-a-domain.md."


@dataclass(frozen=True)
class Stream:
    """The live events of a domain: their raw table, the live tables that they feed, and the domain's batch tables of
    the same events."""

    domain: str
    raw: RawTable
    tables: tuple[AggregationTable, ...]
    batch_tables: tuple[AggregationTable, ...] = ()

    @cached_property
    def summed_columns(self) -> frozenset[str]:
        """The columns of the events that one of the tables adds up."""
        return frozenset().union(*(table.summed_columns for table in (*self.tables, *self.batch_tables)))


def tables_of(domain: str) -> tuple[Table, ...]:
    """The batch feature tables that a domain declares, in `TABLES`."""
    return tuple(getattr(import_module(f"features.{domain}"), "TABLES", ()))


def risks_of(domain: str) -> tuple[Risk, ...]:
    """The decisions that a domain declares, in `RISKS`."""
    return tuple(getattr(import_module(f"features.{domain}"), "RISKS", ()))


def live_of(domain: str) -> tuple[LiveFeatures, ...]:
    """The live features that a domain declares, in `LIVE`."""
    return tuple(getattr(import_module(f"features.{domain}"), "LIVE", ()))


@cache
def on_demand() -> dict[tuple[str, str], OnDemand]:
    """The features that on-demand views compute of a request, by view and name; the domains declare them in
    `ON_DEMAND`."""
    declared = (f for domain in DOMAINS for f in getattr(import_module(f"features.{domain}"), "ON_DEMAND", ()))
    return {(feature.view, feature.name): feature for feature in declared}


def raw_tables_of(domain: str) -> tuple[str, ...]:
    """The raw tables without which a domain has no batch features, no past cases or nobody to score; each once."""
    risks = risks_of(domain)
    names = [table.source.name for table in tables_of(domain)]
    names += [risk.outcomes.table.name for risk in risks]
    names += [risk.population.table for risk in risks if risk.population]
    return tuple(dict.fromkeys(names))


def raw_tables() -> dict[str, RawTable]:
    """The raw tables that the domains declare, by name."""
    declared = [table.source for table in tables()]
    declared += [stream.raw for stream in streams().values()] + [risk.outcomes.table for risk in risks().values()]
    return {raw.name: raw for raw in declared}


def simulated() -> tuple[str, ...]:
    """The domains with a simulator, `simulators/<domain>.py`. The raw events of the others are the user's own."""
    return tuple(domain for domain in DOMAINS if find_spec(f"simulators.{domain}"))


@cache
def streams() -> dict[str, Stream]:
    """Every stream, by the name of its raw table. A domain has at most one."""
    by_name = {}
    for domain in DOMAINS:
        tables = tuple({table.name: table for live in live_of(domain) for table in live.tables}.values())
        if tables:
            raw = tables[0].source
            of_raw = (t for t in tables_of(domain) if isinstance(t, AggregationTable) and t.source == raw)
            by_name[raw.name] = Stream(domain, raw, tables, tuple(of_raw))
    return by_name


def stream_of(domain: str) -> Stream:
    """The stream that a domain declares. Raises BadParameter."""
    by_domain = {stream.domain: stream for stream in streams().values()}
    if domain not in by_domain:
        raise unknown("stream of", domain, by_domain, NO_STREAM)
    return by_domain[domain]


def stream_named(name: str, field: str | None = None) -> Stream:
    """The stream with this raw table. Raises BadParameter for `field` of a request."""
    if name not in streams():
        raise unknown("stream", name, streams(), NO_STREAM, field)
    return streams()[name]


def tables() -> Iterator[Table]:
    """The feature tables of every domain. `jobs execute` computes them."""
    for domain in DOMAINS:
        yield from tables_of(domain)


@cache
def secret_patterns() -> dict[str, str]:
    """The key columns that hold hashes of secrets → the pattern of a hash. What is like nothing else is no hash."""
    columns = [table.source.column(key) for table in tables() for key in table.keys if key in _names(table)]
    return {column.name: column.pattern for column in columns if column.is_secret and column.pattern}


def _names(table: Table) -> set[str]:
    return {column.name for column in table.source.columns}


@cache
def risks() -> dict[str, Risk]:
    """The decisions of every domain, by name."""
    return {risk.name: risk for domain in DOMAINS for risk in risks_of(domain)}


def risk_named(name: str) -> Risk:
    """The risk with this name. Raises BadParameter."""
    if name not in risks():
        raise unknown("risk", name, risks(), NO_RISK)
    return risks()[name]


@cache
def internal_features() -> frozenset[str]:
    """The features that only the audit log keeps: up to when a live table had processed events. Parity needs them, and
    nobody else does."""
    return frozenset(seen_of(table) for domain in DOMAINS for live in live_of(domain) for table in live.tables)


@cache
def empty_values() -> dict[str, dict[str, Any]]:
    """Feature view → feature → its value where nothing is stored. A view that is not in it has no such values."""
    return {table.name: dict(table.empty) for table in tables()}


def empty_inputs(risk: Risk) -> dict[str, float]:
    """Input of a risk → the number that it has where nothing is stored, such as 0 for a count. An input that is missing
    there is not in it."""
    by_name = {f"{view}__{name}": value for view, values in empty_values().items() for name, value in values.items()}
    by_name |= {name: value for values in empty_values().values() for name, value in values.items()}
    if risk.live:
        by_name |= {risk.live.named(t, name): value for t in risk.live.tables for name, value in t.empty.items()}
    return {name: float(by_name[name]) for name in risk.by_input if by_name.get(name) is not None}


@cache
def secret_tables(key: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The feature tables with the hash of a secret as their key, as (name, names of the values)."""
    keyed = [table for table in tables() if key in secret_patterns() and table.keys == (key,)]
    return tuple((table.name, tuple(feature.name for feature in table.features)) for table in keyed)
