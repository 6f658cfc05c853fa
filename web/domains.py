"""The pages that a domain has beside the paths of its risks: `web/<domain>.py`, if there is one."""

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from features import DOMAINS


def pages() -> Iterator[ModuleType]:
    """Modules with a `blueprint(face)` and, if their paths are to be in the docs, `openapi_paths()`."""
    for domain in DOMAINS:
        if find_spec(f"web.{domain}"):
            yield import_module(f"web.{domain}")
