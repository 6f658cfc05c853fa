"""The tables in `docs/` that are printed from the code. `make docs` writes them again."""

import re

import settings
from errors import BadRequest, InternalError, JobError, NotReady, RiskError, UnknownEntity
from errors.table import entries
from features.windows import functions

REFERENCE = settings.PROJECT / "docs" / "reference"
FUNCTIONS_PAGE, ERRORS_PAGE = REFERENCE / "functions.md", REFERENCE / "errors.md"
#: Marker in the page of errors → the classes whose errors are listed there.
ERRORS: dict[str, tuple[type[RiskError], ...]] = {
    "request": (BadRequest, UnknownEntity),
    "system": (NotReady, InternalError),
    "job": (JobError,),
}


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows as Markdown; the first is the head."""
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|---" * len(rows[0]) + "|", *body])


def between(page: str, name: str, text: str) -> str:
    """The page with `text` between its markers of that name."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    assert re.search(f"{begin}.*{end}", page, re.DOTALL), f"the page has no {begin} before {end}"
    return f"{page.split(begin)[0]}{begin}\n{text}\n{end}{page.split(end)[1]}"


def with_functions(page: str) -> str:
    """The page of functions, with a row for each record."""
    return between(page, "functions", table(list(functions.rows())))


def with_errors(page: str) -> str:
    """The page of errors, with a row for each error that is raised."""
    for name, bases in ERRORS.items():
        head = ("code", "name", "exit code" if name == "job" else "HTTP", "when", "what to do")
        rows = [
            (str(e.code), f"`{e.name}`", str(e.exit_code or e.status), e.meaning, e.remedy) for e in entries(*bases)
        ]
        page = between(page, name, table([head, *rows]))
    return page


def write() -> None:
    for path, written in ((FUNCTIONS_PAGE, with_functions), (ERRORS_PAGE, with_errors)):
        path.write_text(written(path.read_text()))


if __name__ == "__main__":
    write()
