"""A cell of a raw file as SQL: its value as the declared type, and the first thing that is wrong with it. Pure.

A value is read as what it is, never by a cast that changes it: 5.0 is no text, 1.23E+03 is no whole number, and the day
2026-01-10 is no timestamp.
"""

from collections.abc import Iterator

from features.utc import EARLIEST, LATEST
from features.windows.folds import LARGEST
from features.windows.raw import Column
from jobs import sql
from jobs.raw.forms.scans import Kind, Stored

TYPES = {"string": "VARCHAR", "int": "BIGINT", "float": "DOUBLE", "timestamp": "TIMESTAMPTZ"}
#: Declared type → the kinds of stored columns that can hold it.
_FIT: dict[str, set[Kind]] = {
    "string": {"text", "int", "null"},
    "int": {"text", "int", "float", "decimal", "null"},
    "float": {"text", "int", "float", "decimal", "null"},
    "timestamp": {"text", "timestamp", "local", "null"},
}
#: From here on, a float64 has no room for every whole number.
_INEXACT = 2**53
_NUMBER = sql.literal(r"(?i)[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?(inf|infinity|nan)")
_WHOLE = sql.literal(r"[+-]?[0-9]+(\.0*)?")
#: A time of day and its time zone, at the end of a timestamp; and the whole of it.
_ZONED = sql.literal(r"(?i):[0-9]{1,2}([.,][0-9]+)? ?(z|utc|[+-][0-9]{2}(:?[0-9]{2})?)$")
_TIMESTAMP = sql.literal(
    r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}[T ]([01]?[0-9]|2[0-3]):[0-9]{1,2}(:[0-9]{1,2}(\.[0-9]+)?)?"
    r"( ?(Z|UTC)|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)"
)
#: What Unicode calls white space: a stream's events are read without it at their ends, too.
_BLANKS = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


def filled(stored: Stored) -> str:
    """SQL of the cell, null where it is empty: a text of blanks, or NaN, which pandas writes for a missing number."""
    cell = stored.cell
    if stored.kind == "text":
        # To trim takes ten times as long as this test, whose functions DuckDB computes once for each different text.
        has_no_blanks = f"{cell} >= '!' AND {cell} < chr(127) AND substring({cell}, -1) BETWEEN '!' AND '~'"
        return f"CASE WHEN {has_no_blanks} THEN {cell} ELSE nullif(trim({cell}, {sql.literal(_BLANKS)}), '') END"
    # No statistics of a Parquet file have NaN, and DuckDB's `isnan` goes by these. Its `isfinite` does not.
    is_number = f"isfinite({cell}) OR abs({cell}) = 'infinity'::DOUBLE"
    return f"CASE WHEN {is_number} THEN {cell} END" if stored.kind == "float" else cell


def value(column: Column, stored: Stored | None) -> str:
    """SQL of a cell as its declared type; null where it is empty, or is not of that type. `stored` is the column as
    `filled` has it; None if the file does not have it."""
    dtype = TYPES[column.dtype]
    if stored is None or stored.kind == "null" or stored.kind not in _FIT[column.dtype]:
        return f"NULL::{dtype}"
    cell, kind = stored.cell, stored.kind
    if column.dtype == "string":
        return f"{cell}::VARCHAR"
    if column.dtype == "timestamp":
        return _timestamp(stored)
    form = _NUMBER if column.dtype == "float" else _WHOLE
    if kind == "text":
        cell = f"CASE WHEN regexp_full_match({cell}, {form}) THEN {cell} END"
    elif column.dtype == "int" and kind != "int":
        is_exact = _is_whole(stored) + (f" AND abs({cell}) <= {_INEXACT}" if kind == "float" else "")
        cell = f"CASE WHEN {is_exact} THEN {cell} END"
    number = f"TRY_CAST({cell} AS {dtype})"
    return f"CASE WHEN NOT isnan({number}) THEN {number} END" if column.dtype == "float" else number


def fault(column: Column, stored: Stored | None, typed: str) -> str:
    """SQL of the first thing that is wrong with a cell, as the words after "row is"; null where it is good. `typed` is
    the column of its `value`."""
    empty = "NULL" if column.is_optional else "'empty'"
    if stored is None or stored.kind == "null":
        return f"{empty}::VARCHAR"
    cases = [f"WHEN {stored.cell} IS NULL THEN {empty}"]
    cases += [f"WHEN {test} THEN {sql.literal(reason)}" for reason, test in _faults(column, stored, typed)]
    return f"(CASE {' '.join(cases)} END)::VARCHAR"


def _faults(column: Column, stored: Stored, typed: str) -> Iterator[tuple[str, str]]:
    """Reason → SQL of the test, for a cell that is filled."""
    cell, kind = stored.cell, stored.kind
    if kind not in _FIT[column.dtype]:
        yield f"stored as {stored.dtype}, which is no {column.dtype}", "true"
        return
    if column.dtype == "timestamp":
        is_zoned = "false" if kind == "local" else f"regexp_matches({cell}, {_ZONED})" if kind == "text" else "true"
        earliest = column.earliest or EARLIEST
        years = f"in the years {earliest.year} to {LATEST.year - 1}, UTC"
        yield "without a time zone", f"NOT {is_zoned}"
        yield "no timestamp", f"{typed} IS NULL"
        is_inside = f"{typed} >= {sql.timestamp(earliest)} AND {typed} < {sql.timestamp(LATEST)}"
        yield f"not {years}", f"NOT ({is_inside})"
    elif column.dtype == "int":
        if kind == "float":
            yield "too large for a float64 to be exact", f"abs({cell}) > {_INEXACT} AND isfinite({cell})"
        is_whole = f"regexp_full_match({cell}, {_WHOLE})" if kind == "text" else _is_whole(stored)
        if kind != "int":
            yield "no int", f"NOT {is_whole}"
        yield "beyond 64 bits", f"{typed} IS NULL"
    elif column.dtype == "float":
        yield "no float", f"{typed} IS NULL AND NOT coalesce(isnan(TRY_CAST({cell} AS DOUBLE)), false)"
        if not column.is_optional:
            yield "empty", f"{typed} IS NULL"
        yield f"beyond ±{LARGEST:.0e}", f"abs({typed}) > {LARGEST}"
    elif kind == "text":
        yield "a text with a NUL character", f"contains({cell}, chr(0))"
    if (pattern := column.stored_pattern) is not None:
        yield f"not like {pattern}", f"NOT regexp_full_match({typed}, {sql.literal(pattern)})"
    if column.minimum is not None:
        yield f"under {column.minimum:g}", f"{typed} < {column.minimum}"
    if column.maximum is not None:
        yield f"over {column.maximum:g}", f"{typed} > {column.maximum}"


def _is_whole(stored: Stored) -> str:
    """SQL of whether a number that is no integer is whole."""
    return f"{stored.cell} = trunc({stored.cell})" if stored.kind == "float" else f"{stored.cell} % 1 = 0"


def _timestamp(stored: Stored) -> str:
    """SQL of a timestamp, null where it is none or has no time zone."""
    if stored.kind == "text":
        text = f"upper({stored.cell})"
        return f"TRY_CAST(CASE WHEN regexp_full_match({text}, {_TIMESTAMP}) THEN {text} END AS TIMESTAMPTZ)"
    if stored.kind == "local":
        return "NULL::TIMESTAMPTZ"
    # A cast from nanoseconds would round up, and date an event after what it is.
    return f"make_timestamptz(epoch_ns({stored.cell}) // 1000)" if "[ns" in stored.dtype else stored.cell
