"""Names and texts as SQL, for SQLite and for DuckDB."""


def identifier(name: str) -> str:
    """Quote a name as an SQL identifier. It may hold any character.

    >>> identifier('a "b" c')
    '"a ""b"" c"'
    """
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Quote a text as an SQL string. It may hold any character.

    >>> literal("driver's")
    "'driver''s'"
    """
    return "'" + text.replace("'", "''") + "'"


def is_nan(column: str) -> str:
    """SQL of whether a float is NaN. DuckDB's own `isnan` is false for a column of Parquet whose statistics are finite,
    and no statistics have NaN."""
    return f"(NOT isfinite({column}) AND abs({column}) <> 'infinity'::DOUBLE)"
