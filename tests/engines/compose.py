"""`deploy/compose.yaml` as compose-go, the library of Docker Compose, reads it."""

import shutil
from collections.abc import Mapping
from pathlib import Path

from processes import Ended, run

import settings

#: `make compose-go` builds it from `compose_go/`.
PROGRAM = str(settings.PROJECT / ".tools/compose-config")
DEPLOY = settings.PROJECT / "deploy"


def read(folder: Path, secrets: Mapping[str, str], code: int = 0) -> Ended:
    """What compose-go makes of the file. `secrets` are what `deploy/.env` has; `folder` gets a copy of `deploy/`."""
    copy = folder / "deploy"
    shutil.copytree(DEPLOY, copy, ignore=shutil.ignore_patterns(".env"))
    (copy / "prometheus-key").write_text("a key of the tests")
    return run([PROGRAM, "compose.yaml"], cwd=copy, code=code, env=secrets)
