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
