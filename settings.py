"""Every setting of the project, read from the environment in this one place: docs/reference/settings.md lists them.
Only edges read settings (`tests/test_layers.py` holds it): the commands, `app.py`, `serve.py`, and Feast's views."""

import ipaddress
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from brokers import KafkaTopic, events_topic, security_of
from choices import did_you_mean
from errors import BadSetting
from files import fault
from hash_keys import HashKey, accepts_key, keys_of
from root import Root
from setting_values import host_names, spark_options, store_file

PROJECT = Path(__file__).resolve().parent
FEATURE_REPO = PROJECT / "feature_repo"
DEFAULT_STORE = "feature_repo/feature_store.yaml"
LARGEST_PORT = 65_535

#: How much one user and one address may do, where RISK_LIMITS says nothing else.
LIMITS = {"login": "20/minute", "login-user": "10/minute", "decisions": "10000/second", "events": "50000/second"}
FEWEST_SECRET_BYTES = 32
MAKE_A_SECRET = 'python -c "import secrets; print(secrets.token_urlsafe(48))"'

_DEMO_HASH_KEY = "demo-key: the people in this data do not exist"


def root() -> Root:
    """Where everything that is made lies. Raises BadSetting on an empty `RISK_DATA`, and on a root that belongs to
    another hash key."""
    place = unchecked_root()
    if belongs_to_another_key(place):
        raise BadSetting(
            f"RISK_HASH_KEY is not the key of {place}: with another key, everybody in it is somebody else. Set the key "
            "with which the root was made, or set RISK_DATA to another root."
        )
    return place


def belongs_to_another_key(place: Root) -> bool:
    """Whether the root has the check value of another hash key. Raises BadSetting if it cannot be read."""
    try:
        return not accepts_key(keys_of(place.hash_key), hash_key())
    except ValueError:
        raise BadSetting(f"{place.hash_key} holds no check value of a hash key. Put the file back.") from None
    except OSError as error:
        raise BadSetting(f"{place.hash_key} cannot be read. {fault(error, place.hash_key)}") from error


def unchecked_root() -> Root:
    """As `root`, whatever its hash key is: for a command that moves everything in the root aside, and for
    one that has nothing to do with keyed hashes."""
    folder = os.environ.get("RISK_DATA", "data")
    if not folder:
        raise BadSetting("RISK_DATA is empty. Set it to a folder, or unset it for data/ in the project's folder.")
    return Root((PROJECT / folder).resolve())


def feature_store() -> Path:
    """The `feature_store.yaml` in use. Raises BadSetting if there is no such file, and if it names a variable that is
    not set."""
    return store_file(PROJECT, os.environ.get("RISK_STORE", DEFAULT_STORE), os.environ)


def has_own_store() -> bool:
    """Whether the online store and the registry are files in the root."""
    return feature_store() == PROJECT / DEFAULT_STORE


def sources() -> Path:
    """Folder of the mappings of `python -m jobs import`, a file for each raw table."""
    return PROJECT / "sources"


def host() -> str:
    """The address on which the service listens."""
    return os.environ.get("HOST") or "127.0.0.1"


def hosts() -> frozenset[str]:
    """The names under which callers reach the service, in lower case. One that begins with a dot stands for all names
    below it. This machine's names for itself are always among them. Raises BadSetting on a name that cannot be one, and
    where the service listens on every address and no name is set."""
    return host_names(os.environ.get("RISK_HOSTS", ""), host())


def limits() -> dict[str, str]:
    """How much one user and one address may do: kind → rate, such as `10/minute`, or `off`. Raises BadSetting."""
    rates = dict(LIMITS)
    for part in filter(None, os.environ.get("RISK_LIMITS", "").replace(" ", "").split(",")):
        kind, _, rate = part.partition("=")
        if kind not in LIMITS or not re.fullmatch(r"off|[1-9][0-9]{0,8}/(second|minute|hour|day)", rate):
            raise BadSetting(
                f"RISK_LIMITS has {part!r}. {did_you_mean(kind, LIMITS)}Set it to limits such as login=10/minute or "
                f"decisions=off, of these kinds: {', '.join(LIMITS)}."
            )
        rates[kind] = rate
    return rates


def proxies() -> int:
    """How many proxies stand before the service, each of which adds to `X-Forwarded-For`. Raises BadSetting on anything
    but a small number."""
    text = os.environ.get("RISK_PROXIES", "0")
    if not re.fullmatch("[0-9]", text):
        raise BadSetting(f"RISK_PROXIES is {text!r}. Set it to the number of proxies before the service, 0 to 9.")
    return int(text)


def host_is_loopback() -> bool:
    """Whether nobody but this machine reaches the service."""
    try:
        return ipaddress.ip_address(host()).is_loopback
    except ValueError:
        return host() == "localhost"


def workers() -> int:
    """Processes of the production server. Each computes on one core. With two, one of them may be slow, or start again.
    Raises BadSetting on anything but a positive number."""
    # A container is often allowed fewer cores than the machine has; only Linux tells.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = os.environ.get("WORKERS", str(max(2, cores)))
    if not text.isdecimal() or int(text) == 0:
        raise BadSetting(f"WORKERS is {text!r}. Set it to a number from 1 on, or unset it for one for each core.")
    return int(text)


def port() -> int:
    """TCP port of the service. Raises BadSetting on anything but a port number."""
    text = os.environ.get("PORT", "5000")
    if not text.isdecimal() or not 0 < int(text) <= LARGEST_PORT:
        raise BadSetting(f"PORT is {text!r}. Set it to a number from 1 to {LARGEST_PORT}, or unset it for 5000.")
    return int(text)


def logs_json(is_production: bool) -> bool:
    """Whether the service logs JSON, and not text. Raises BadSetting on anything but json and text."""
    text = os.environ.get("RISK_LOG") or ("json" if is_production else "text")
    if text not in ("json", "text"):
        raise BadSetting(f"RISK_LOG is {text!r}. Set it to json or text, or unset it for json in production.")
    return text == "json"


def events() -> KafkaTopic | None:
    """Where the service sends the events that it accepts; None for the disk of the root. Raises BadSetting."""
    return events_topic(os.environ.get("RISK_EVENTS", ""), kafka())


def kafka() -> dict[str, str]:
    """How to connect to Kafka, by the names of librdkafka: TLS, users, passwords. Raises BadSetting."""
    return security_of(os.environ.get("RISK_KAFKA", ""))


def sends_traces() -> bool:
    """Whether traces are sent. The library of OpenTelemetry reads where to."""
    return bool(os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"))


@contextmanager
def sharing_metrics() -> Iterator[None]:
    """Inside, the processes of a service have a folder in which they count together."""
    with TemporaryDirectory(prefix="risk-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = os.environ["RISK_METRICS"] = folder
        try:
            yield
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"], os.environ["RISK_METRICS"]


def metrics_folder() -> Path | None:
    """The folder of `sharing_metrics`; None for a process that is alone. The variable of Prometheus cannot tell: the
    import of Feast sets it, too."""
    folder = os.environ.get("RISK_METRICS")
    return Path(folder) if folder else None


def spark() -> dict[str, str]:
    """The options of Spark, by name: `spark.master` is that of SPARK_MASTER. The executors run the Python of
    PYSPARK_PYTHON, by default this one: PySpark reads it from the environment alone. Raises BadSetting."""
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return spark_options(os.environ.get("SPARK_MASTER", ""), os.environ.get("SPARK_OPTIONS", ""))


def hash_key() -> bytes:
    """Secret of the keyed hashes. The same key must generate, train and serve: with another key, everybody is somebody
    else. While `RISK_HASH_KEY_OLD` is set, it is a `HashKey` and has the old key, too. Raises BadSetting on an empty
    one, and where both are the same."""
    if os.environ.get("RISK_HASH_KEY") == "":
        raise BadSetting("RISK_HASH_KEY is empty. Set it to a secret, or unset it to use the demo's key.")
    key, old = os.environ.get("RISK_HASH_KEY", _DEMO_HASH_KEY).encode(), os.environ.get("RISK_HASH_KEY_OLD")
    if old is None:
        return key
    if not old or old.encode() == key:
        seen = "is the same as RISK_HASH_KEY" if old else "is empty"
        raise BadSetting(f"RISK_HASH_KEY_OLD {seen}. Set it to the key of before, or unset it.")
    return HashKey(key, old.encode())


def hash_key_is_the_demo_one() -> bool:
    """Whether `RISK_HASH_KEY` is unset, or set to the key that everybody can read here."""
    return hash_key() == _DEMO_HASH_KEY.encode()


def own_hash_key() -> bytes:
    """As `hash_key`, where people's data are real. Raises BadSetting on the demo's key."""
    if hash_key_is_the_demo_one():
        raise BadSetting(
            "RISK_HASH_KEY is not set, or is the demo's, which is public. Make one, keep it, and set it for the "
            f"service and all jobs: {MAKE_A_SECRET}. The demo's data stay the demo's: set RISK_DATA to another root."
        )
    return hash_key()


def jwt_secret() -> bytes:
    """Secret that signs access tokens. Raises BadSetting if it is missing or short."""
    return _secret("RISK_JWT_SECRET", os.environ.get("RISK_JWT_SECRET", ""))


def old_jwt_secret() -> bytes | None:
    """Secret of before, whose access tokens still count; None where it is not set. Raises BadSetting if it is short."""
    text = os.environ.get("RISK_JWT_SECRET_OLD")
    return None if text is None else _secret("RISK_JWT_SECRET_OLD", text)


def _secret(name: str, text: str) -> bytes:
    secret = text.encode()
    if len(secret) < FEWEST_SECRET_BYTES:
        seen = f"has {len(secret)} bytes, and needs {FEWEST_SECRET_BYTES}" if secret else "is not set"
        raise BadSetting(f"{name} {seen}. Make one, and set it: {MAKE_A_SECRET}")
    return secret


def api_key() -> str:
    """What a command sends to the service as its API key; "" for none."""
    return os.environ.get("RISK_API_KEY", "").strip()
