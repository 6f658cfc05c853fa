"""DuckDB's SQL in Spark's dialect. sqlglot translates most of it. Here is what it does not know of our queries, and
what has one name and two meanings."""

from collections.abc import Callable
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.spark import Spark
from sqlglot.generators.spark import SparkGenerator

#: A whole number that may be longer than 64 bits. Spark's sum of BIGINT is a BIGINT, and overflows.
WIDE = "DECIMAL(38, 0)"
#: Java takes five characters for the end of a line, where DuckDB takes \n alone; (?d) is the same.
_LINES = "(?d)"
#: The function of `session.py` that writes a float as DuckDB's printf('%.17g') does.
FLOAT_TEXT = "float_text"


def in_spark(query: str) -> str:
    """The query for Spark, which gives the same rows."""
    return sqlglot.parse_one(query, read="duckdb").sql(_OurSpark)


def _regexp_like(writer: Any, node: exp.RegexpLike) -> str:
    return _matches(writer, node, "{}")


def _regexp_full_match(writer: Any, node: exp.RegexpFullMatch) -> str:
    return _matches(writer, node, r"\A(?:{})\z")


def _matches(writer: Any, node: exp.Expression, form: str) -> str:
    pattern = exp.Literal.string(_LINES + form.replace("{}", node.expression.name))
    return f"{writer.sql(node, 'this')} RLIKE {writer.sql(pattern)}"


def _trycast(writer: Any, node: exp.TryCast) -> str:
    value, kind = writer.sql(node, "this"), node.to
    if isinstance(node.this, exp.Case) and kind.is_type("bigint"):
        return f"TRY_CAST(TRY_CAST({value} AS {WIDE}) AS BIGINT)"  # Spark reads no 5.0 as a whole number
    if isinstance(node.this, exp.Case) and kind.is_type("timestamptz"):
        # Spark wants seconds, and no blank before a zone.
        timed = f"REGEXP_REPLACE({value}, '^([^ T]+[ T][0-9]+:[0-9]+)([^:0-9].*)$', '$1:00$2')"
        return f"TRY_CAST(REGEXP_REPLACE({timed}, ' (Z|UTC)$', '$1') AS TIMESTAMP)"
    return f"TRY_CAST({value} AS {writer.sql(kind)})"


def _cast(writer: Any, node: exp.Cast) -> str:
    if node.to.is_type("bigint") and isinstance(node.this, exp.Mul):  # DuckDB rounds, Spark cuts
        return f"CAST(BROUND({writer.sql(node, 'this')}, 0) AS BIGINT)"
    return writer.cast_sql(node)


def _quotient(writer: Any, node: exp.IntDiv) -> str:
    """Spark's DIV gives a BIGINT. Of wide numbers, it is the exact quotient of what can be divided."""
    number, by = writer.sql(node, "this"), writer.sql(node, "expression")
    if isinstance(node.expression, exp.Literal):
        return f"{number} DIV {by}"
    if isinstance(node.this, exp.Literal):  # only compared with, and too long for a quotient of DECIMAL
        return f"CAST({number} AS DOUBLE) / {by}"
    wide = f"CAST({number} AS {WIDE})"
    return f"CAST(({wide} - {wide} % {by}) / {by} AS {WIDE})"


def _sum(writer: Any, node: exp.Sum) -> str:
    value = writer.sql(node, "this")
    is_of_window = isinstance(node.parent, exp.Window)  # over sums, which are wide where they must be
    return f"SUM({value})" if is_of_window else f"SUM(CAST({value} AS {WIDE}))"


def _filter(writer: Any, node: exp.Filter) -> str:
    if (top := _top(writer, node.this, writer.sql(node, "expression"))) is not None:
        return top
    if isinstance(node.parent, exp.Window) and isinstance(node.this, exp.ArrayAgg):
        return writer.sql(node, "this")  # Spark filters no window, and collects no null
    return f"{writer.sql(node, 'this')} FILTER ({writer.sql(node, 'expression').strip()})"


def _extreme(name: str) -> Callable[[Any, exp.Max | exp.Min], str]:
    return lambda writer, node: _top(writer, node, "") or f"{name}({writer.sql(node, 'this')})"


def _top(writer: Any, node: exp.Expression, where: str) -> str | None:
    """The n largest values of `max(x, n)`, or the n smallest different ones of `min(DISTINCT x, n)`; None for any other
    aggregate. A state of no events is null."""
    if node.args.get("count") is None:
        return None
    is_max, value = isinstance(node, exp.Max), node.this
    if isinstance(value, exp.Distinct):
        (value,) = value.expressions
    collected = f"{'COLLECT_LIST' if is_max else 'COLLECT_SET'}({writer.sql(value)})"
    collected += f" FILTER ({where.strip()})" if where else ""
    return f"NULLIF(SLICE(SORT_ARRAY({collected}, {not is_max}), 1, {writer.sql(node, 'count')}), ARRAY())"


def _bracket(writer: Any, node: exp.Bracket) -> str:
    """`list[:n]`; the empty list is null."""
    (part,) = node.expressions
    return f"NULLIF(SLICE({writer.sql(node, 'this')}, 1, {writer.sql(part, 'expression')}), ARRAY())"


def _series(writer: Any, node: exp.GenerateSeries) -> str:
    """`range(a, b, step)`, without its end."""
    first, end, step = (writer.sql(node, name) for name in ("start", "end", "step"))
    return f"SEQUENCE({first}, {end} - 1, {step})"


def _anonymous(writer: Any, node: exp.Anonymous) -> str:
    form = _FUNCTIONS.get(node.name.upper())
    return form.format(*map(writer.sql, node.expressions)) if form else writer.function_fallback_sql(node)


_HEX = "MD5({0})"
_LOWER = ", ".join(f"SUBSTR({_HEX}, {place}, 2)" for place in range(31, 15, -2))
#: DuckDB's function → Spark's SQL of its arguments.
_FUNCTIONS = {
    "EPOCH_US": "UNIX_MICROS({0})",
    "EPOCH_NS": "UNIX_MICROS({0}) * 1000",  # `reader.py` reads nanoseconds as microseconds
    "MAKE_TIMESTAMPTZ": "TIMESTAMP_MICROS({0})",
    "LIST_REVERSE": "REVERSE({0})",
    "LIST_SUM": f"AGGREGATE({{0}}, CAST(0 AS {WIDE}), (a, b) -> CAST(a + b AS {WIDE}))",
    "ISFINITE": "ABS({0}) < DOUBLE('Infinity')",
    "MD5_NUMBER_LOWER": f"CAST(CONV(CONCAT({_LOWER}), 16, 10) AS {WIDE})",
    "PRINTF": f"{FLOAT_TEXT}({{1}})",
    "ROW": "STRUCT({0}, {1}, {2})",
}


class _Generator(SparkGenerator):
    TYPE_MAPPING: ClassVar[dict[Any, Any]] = {**SparkGenerator.TYPE_MAPPING, exp.DType.INT128: WIDE}
    TRANSFORMS: ClassVar[dict[Any, Any]] = {
        **SparkGenerator.TRANSFORMS,
        exp.Anonymous: _anonymous,
        exp.Bracket: _bracket,
        exp.Cast: _cast,
        exp.Filter: _filter,
        exp.GenerateSeries: _series,
        exp.IntDiv: _quotient,
        exp.Length: lambda writer, node: writer.func("SIZE", node.this),
        exp.Max: _extreme("MAX"),
        exp.Min: _extreme("MIN"),
        exp.RegexpFullMatch: _regexp_full_match,
        exp.RegexpLike: _regexp_like,
        exp.StructExtract: lambda writer, node: f"({writer.sql(node, 'this')}).{node.expression.name}",
        exp.Sum: _sum,
        exp.Trunc: lambda writer, node: writer.func("RINT", node.this),
        exp.TryCast: _trycast,
    }


class _OurSpark(Spark):
    Generator = _Generator
