"""The pages that domains have beside the paths of their risks. A domain's pages are in `web/<domain>.py`, if it has
any."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from features import DOMAINS


@dataclass(frozen=True)
class Link:
    """A page for people, in the head of every page and on the overview."""

    title: str
    path: str


#: Pages that no domain owns.
COMMON = (Link("Console", "/console"), Link("Overview", "/overview/"), Link("API", "/apidocs/"))


def pages() -> Iterator[ModuleType]:
    """Modules with `blueprint(face)`. They may also have `openapi_paths()`, their part of the API docs, and `LINKS`,
    their pages for people."""
    for domain in DOMAINS:
        if find_spec(f"web.{domain}"):
            yield import_module(f"web.{domain}")


def links() -> list[Link]:
    """Every page for people: those of the domains, then the common ones."""
    own = (link for page in pages() for link in getattr(page, "LINKS", ()))
    return [*own, *COMMON]
