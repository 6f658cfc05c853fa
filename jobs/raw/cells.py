"""The cells of a file as SQL: their values as the declared types, and everything that can be wrong with them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from features.windows.folds import LARGEST
from features.windows.raw import Column
from jobs import sql

#: The end of a timestamp that has a time zone.
_ZONE = sql.literal(r"(?i)[0-9](z|utc|[+-][0-9]{2}(:?[0-9]{2})?)$")
_NULLS = {"string": "NULL::VARCHAR", "int": "NULL::BIGINT", "float": "NULL::DOUBLE", "timestamp": "NULL::TIMESTAMPTZ"}


@dataclass(frozen=True)
class Fault:
    """One thing that can be wrong with a column. `test`: SQL, true for the rows where it is."""

    column: str
    reason: str
    test: str


def value(column: Column, stored: str | None) -> str:
    """SQL of a cell as its declared type; null where it is empty, or is not of that type.

    `stored`: DuckDB's type of the column in the file; None if the file does not have it.
    """
    if stored is None:
        return _NULLS[column.dtype]
    name, is_text = sql.identifier(column.name), stored == "VARCHAR"
    cell = f"nullif(trim({name}), '')" if is_text else name
    if column.dtype == "timestamp":
        cell = f"CASE WHEN regexp_matches({cell}, {_ZONE}) THEN {cell} END" if is_text else cell
        return f"TRY_CAST({cell} AS TIMESTAMPTZ)"
    if column.dtype == "float":
        number = f"TRY_CAST({cell} AS DOUBLE)"
        return f"CASE WHEN NOT isnan({number}) THEN {number} END"
    if column.dtype == "string":
        return f"TRY_CAST({cell} AS VARCHAR)"
    whole = f"TRY_CAST({cell} AS BIGINT)"
    if "INT" in stored:
        return whole
    # DuckDB casts 2.5 to 2 or 3.
    return f"CASE WHEN {whole} = TRY_CAST({cell} AS DOUBLE) THEN {whole} END"


def faults(column: Column, stored: str, is_needed: bool) -> Iterator[Fault]:
    """`is_needed`: a timestamp of it dates an event, so it cannot be before 1970."""
    name, cell = sql.identifier(column.name), value(column, stored)
    filled = f"nullif(trim({name}), '') IS NOT NULL" if stored == "VARCHAR" else f"{name} IS NOT NULL"
    if not column.is_optional:
        is_nan = f"{cell} IS NULL AND isnan(TRY_CAST({name} AS DOUBLE))" if column.dtype == "float" else "false"
        yield Fault(column.name, "empty", f"NOT ({filled}) OR coalesce({is_nan}, false)")
    if column.dtype == "timestamp":
        zoned = f"NOT ({filled}) OR regexp_matches(trim({name}), {_ZONE})" if stored == "VARCHAR" else "true"
        if stored != "VARCHAR" and "TIME ZONE" not in stored and "TZ" not in stored:
            zoned = f"NOT ({filled})"
        yield Fault(column.name, "without a time zone", f"NOT ({zoned})")
        yield Fault(column.name, "no timestamp", f"{filled} AND ({zoned}) AND {cell} IS NULL")
        if is_needed:
            yield Fault(column.name, "before 1970", f"{cell} < TIMESTAMPTZ '1970-01-01 00:00:00+00'")
    elif column.dtype in ("int", "float"):
        not_nan = f" AND NOT coalesce(isnan(TRY_CAST({name} AS DOUBLE)), false)" if column.dtype == "float" else ""
        yield Fault(column.name, f"no {column.dtype}", f"{filled} AND {cell} IS NULL{not_nan}")
        yield Fault(column.name, f"beyond ±{LARGEST:.0e}", f"abs({cell}::DOUBLE) > {LARGEST}")
    if column.pattern is not None:
        test = f"NOT regexp_full_match({cell}, {sql.literal(column.pattern)})"
        yield Fault(column.name, f"not like {column.pattern}", test)
    if column.minimum is not None:
        yield Fault(column.name, f"under {column.minimum:g}", f"{cell} < {column.minimum}")
    if column.maximum is not None:
        yield Fault(column.name, f"over {column.maximum:g}", f"{cell} > {column.maximum}")
