"""A real PostgreSQL for the tests, in a temporary folder and on a free port. A session has one."""

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from itertools import count
from pathlib import Path

from engines.need import need
from processes import run, started, wait_until
from servers import free_port

#: Debian keeps the programs of a version to itself.
FOLDERS = [str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
_numbers = count()
_session = ExitStack()
atexit.register(_session.close)


def database() -> str:
    """The URL of a new, empty database, as SQLAlchemy takes it."""
    port, name = _port(), f"registry{next(_numbers)}"
    run([_program("psql"), *_address(port), "-c", f"CREATE DATABASE {name}", "postgres"])
    return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}"


@contextmanager
def running(folder: Path, port: int) -> Iterator[None]:
    """A PostgreSQL with its data in `folder`, from when it answers. It refuses to run as root."""
    initdb, server = _program("initdb"), _program("postgres")
    folder.mkdir(exist_ok=True)
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL"]
    if not (folder / "PG_VERSION").exists():
        run([*as_user, initdb, "-D", str(folder), "-A", "trust", "-U", "postgres"], cwd=folder)
    options = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={folder}"]
    with started([*as_user, server, "-D", str(folder), *options], cwd=folder) as child:
        ready = [_program("pg_isready"), *_address(port)]
        wait_until(lambda: run(ready, code=None).code == 0, what="PostgreSQL answers", child=child)
        yield


def _address(port: int) -> list[str]:
    return ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]


def _program(name: str) -> str:
    path = shutil.which(name, path=os.pathsep.join([*FOLDERS, os.environ["PATH"]]))
    if path is None:
        need(name)
    return str(path)


@cache
def _port() -> int:
    need(modules=("psycopg",))
    _program("initdb")
    port = free_port()
    parent = Path(_session.enter_context(tempfile.TemporaryDirectory(prefix="postgres-")))
    parent.chmod(0o755)
    _session.enter_context(running(parent / "data", port))
    return port
