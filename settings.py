"""Every setting of the project, read from the environment in this one place.

RISK_DATA       root of everything that is made; default `data/` beside this file, and a relative path counts from
                here too, whatever the current directory
HOST, PORT      where the service listens; default 127.0.0.1, which only this machine reaches, and 5000
WORKERS         processes of `make serve`; default one for each core, and at least two
RISK_HASH_KEY   secret of the keyed hashes of SSNs and licences; default a key for the demo
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent
FEATURE_REPO = ROOT / "feature_repo"

_DEMO_HASH_KEY = "demo-key: the people in this data do not exist"


def data_root() -> Path:
    """Root of all made data; two roots never touch each other."""
    return (ROOT / os.environ.get("RISK_DATA", "data")).resolve()


def host() -> str:
    return os.environ.get("HOST") or "127.0.0.1"


def workers() -> int:
    """Processes of the production server. Each computes on one core; with two, one of them may be slow, or start anew.
    Raises SystemExit on anything but a positive number."""
    # A container is often allowed fewer cores than the machine has; only Linux tells.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = os.environ.get("WORKERS", str(max(2, cores)))
    if not text.isdecimal() or int(text) == 0:
        raise SystemExit(f"WORKERS is {text!r}. Set it to a number from 1 on, or unset it for one for each core.")
    return int(text)


def port() -> int:
    """TCP port of the service, from `PORT`. Raises SystemExit on anything but a port number."""
    text = os.environ.get("PORT", "5000")
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise SystemExit(f"PORT is {text!r}. Set it to a number from 1 to 65535, or unset it for 5000.")
    return int(text)


def hash_key() -> bytes:
    """Secret of the keyed hashes. The same key must make, train and serve: another key is other people.
    Raises SystemExit on an empty one."""
    if os.environ.get("RISK_HASH_KEY") == "":
        raise SystemExit("RISK_HASH_KEY is empty. Set it to a secret, or unset it to use the demo's key.")
    return os.environ.get("RISK_HASH_KEY", _DEMO_HASH_KEY).encode()


def hash_key_is_the_demo_one() -> bool:
    return "RISK_HASH_KEY" not in os.environ


def raw_table(table: str) -> Path:
    """Directory of one raw event table; a table of one file is the same path with its suffix."""
    return data_root() / "raw" / table


def feature_table(table: str) -> Path:
    """Directory of one feature table, Hive-partitioned by year, month and day."""
    return data_root() / "features" / table


def states(view: str) -> Path:
    """Directory of what a live view held at times, Hive-partitioned by the day on which it was written."""
    return data_root() / "states" / view


def dataset(risk: str) -> Path:
    """Directory of a risk's past cases, Hive-partitioned by year, month and day."""
    return data_root() / "datasets" / risk


def event_logs() -> Path:
    """Root of the event logs, a directory for each stream."""
    return data_root() / "log"


def event_log(stream: str) -> Path:
    """Directory of the events that the service has accepted, as JSON lines, a file a day."""
    return event_logs() / stream


def events(stream: str) -> Path:
    """Directory of the events that the stream job has taken in: the offline log, Hive-partitioned Parquet."""
    return data_root() / "events" / stream


def dead_letters(stream: str) -> Path:
    """Directory of the lines that were no events, with the reason."""
    return data_root() / "dead_letters" / stream


def stream_state(domain: str) -> Path:
    """SQLite file of a stream job: states, what was seen, and how far it has read."""
    return data_root() / "streams" / f"{domain}.db"


def models() -> Path:
    return data_root() / "models"


def decisions() -> Path:
    return data_root() / "decisions"


def sign_up_lock() -> Path:
    """A file that is locked while somebody signs up."""
    return data_root() / "sign-up.lock"


def scores_db() -> Path:
    return data_root() / "scores.db"
