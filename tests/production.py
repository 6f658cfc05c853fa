"""The production server of the tests: a root of its own hash key, secrets, and an API key that may do everything."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from conftest import own_root
from fake import unlogged
from processes import Child, environment, started

import settings
from access import keys

APP = str(settings.PROJECT / "app.py")
SECRETS = {"RISK_HASH_KEY": "a hash key of the tests", "RISK_JWT_SECRET": "a secret of the tests, of 32 bytes or more"}
#: Answers at once, to everybody.
READY = "/sign-in/"


def own_key_root(world: Path, root: Path) -> Path:
    """A root of the world's data that belongs to the hash key of `SECRETS`. Its people's hashes are of the demo's key:
    a test of the server makes people of its own."""
    own_root(world, root)
    (root / "hash-key").unlink()
    return root


def admin_key(root: Path) -> str:
    """A new API key with every scope."""
    return keys.add(root / "access.db", "admin", ["admin"], timedelta(days=1), datetime.now(UTC), unlogged)


def production(root: Path, workers: int, **changes: object) -> Callable[[int], AbstractContextManager[Child]]:
    """Starts the server on a port."""
    command = [sys.executable, APP, "--production"]
    variables = {"RISK_DATA": root, "WORKERS": workers, "RISK_LIMITS": "login=off,login-user=off", **SECRETS, **changes}
    return lambda port: started(command, cwd=root, env=environment(PORT=port, **variables))
