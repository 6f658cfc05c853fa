"""The tables in `docs/` that are printed from the code. `make docs` writes them again."""

import re
from pathlib import Path

import settings
from features.windows import functions

FUNCTIONS_PAGE = settings.PROJECT / "docs" / "reference" / "functions.md"


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as Markdown; the first is the head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def with_functions(page: str) -> str:
    """The page of functions, with a row for each record between its markers."""
    begin, end = "<!-- functions:begin -->", "<!-- functions:end -->"
    assert re.search(f"{begin}.*{end}", page, re.DOTALL), f"the page has no {begin} before {end}"
    before, after = page.split(begin)[0], page.split(end)[1]
    return f"{before}{begin}\n{table(list(functions.rows()))}\n{end}{after}"


def write(path: Path = FUNCTIONS_PAGE) -> None:
    path.write_text(with_functions(path.read_text()))


if __name__ == "__main__":
    write()
