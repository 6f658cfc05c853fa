"""The scopes: what a user or a key may do."""

from collections.abc import Iterable, Mapping

from choices import unknown
from errors import BadParameter

#: Scope → what it allows.
SCOPES: Mapping[str, str] = {
    "features:read": "read features",
    "decisions:write": "get scores and decisions, and sign applicants up",
    "events:write": "send events and outcomes, and ask which events got lost",
    "audit:read": "read decisions, and the pages about people",
    "admin": "everything",
}
ADMIN = "admin"
#: What a view needs that is for every caller who is known, whatever its scopes.
ANY = "any"


def checked(names: Iterable[str]) -> frozenset[str]:
    """The scopes of these names. Raises BadParameter on an unknown name, and where there is none."""
    scopes = frozenset(names)
    for name in sorted(scopes - SCOPES.keys()):
        raise unknown("scope", name, SCOPES, "")
    if not scopes:
        raise BadParameter(f"No scope is given. Choose some of: {', '.join(SCOPES)}.")
    return scopes


def allow(scopes: frozenset[str], needed: str) -> bool:
    """Whether a caller with these scopes may do what needs `needed`.

    >>> allow(frozenset({"features:read"}), "audit:read"), allow(frozenset({"admin"}), "audit:read")
    (False, True)
    """
    return needed in scopes or ADMIN in scopes or needed == ANY


def written(scopes: Iterable[str]) -> str:
    """The scopes as one text, in the order of SCOPES.

    >>> written({"audit:read", "features:read"})
    'features:read audit:read'
    """
    return " ".join(name for name in SCOPES if name in set(scopes))
