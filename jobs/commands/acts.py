"""Acts by command: they are logged before they take effect."""

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.acts import Log


def act(kind: str, name: str, what: str) -> "AbstractContextManager[Log]":
    """`serving.acts.logged` with the user of the system as the actor. The hash key of the root does not matter: that
    command may be the one that changes it."""
    import settings
    from serving import acts

    return acts.logged(settings.unchecked_root().cases, acts.operator(datetime.now(UTC)), kind, name, what)
