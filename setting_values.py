"""What the longer settings may say. `settings.py` reads them, and only there."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

from errors import BadSetting

#: What this machine calls itself.
LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
#: HOST has one of these to listen on every address.
EVERYWHERE = frozenset({"0.0.0.0", "::"})
#: Where Spark may compute, in words, and as it takes them.
MASTERS = "local[4], local[*], spark://HOST:PORT, yarn or k8s://HOST:PORT"
_MASTER = re.compile(
    r"local(\[(\d+|\*)(,\s*\d+)?\])?|local-cluster\[\d+,\s*\d+,\s*\d+\]|yarn|k8s://\S+|spark://[\w.-]+:\d+(,[\w.-]+:\d+)*"
)


def host_names(text: str, address: str) -> frozenset[str]:
    """The names of a service that listens on `address`, where RISK_HOSTS is `text`. Raises BadSetting."""
    names = {name.strip().lower() for name in text.split(",") if name.strip()}
    for name in names:
        if not re.fullmatch(r"\.?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]", name):
            raise BadSetting(
                f"RISK_HOSTS has {name!r}. Set it to names without scheme, port and path, such as risk.example.org."
            )
    if address in EVERYWHERE and not names:
        raise BadSetting(
            f"HOST is {address}, so others reach the service, and RISK_HOSTS does not say under which names. Set it, "
            "such as RISK_HOSTS=risk.example.org,10.0.0.7."
        )
    return LOOPBACK | (names or {f"[{address}]" if ":" in address else address.lower()})


def store_file(project: Path, text: str, variables: Mapping[str, str]) -> Path:
    """The file of RISK_STORE. Raises BadSetting if there is none, and if it names an environment variable that is not
    set, or empty: Feast would take the name for the value."""
    file = (project / text).resolve()
    if not file.is_file():
        raise BadSetting(
            f"RISK_STORE is {text!r}, which is no file. Set it to a feature_store.yaml, such as "
            "feature_repo/feature_store.scale.yaml, or unset it for SQLite and a registry in the root."
        )
    used = set(re.findall(r"^[^#\n]*\$\{(\w+)\}", file.read_text(), re.MULTILINE))
    if missing := sorted(used - {name for name, value in variables.items() if value}):
        raise BadSetting(f"{file.name} needs {', '.join(missing)}. Set {'it' if len(missing) == 1 else 'them'}.")
    return file


def spark_options(master: str, text: str) -> dict[str, str]:
    """The options of Spark, where SPARK_MASTER is `master` and SPARK_OPTIONS is `text`. Raises BadSetting."""
    try:
        parts = shlex.split(text)
    except ValueError as error:
        raise BadSetting(f"SPARK_OPTIONS cannot be read: {error}. Close the quotes in it.") from None
    if master and not _MASTER.fullmatch(master):
        raise BadSetting(f"SPARK_MASTER is {master!r}. Set it to {MASTERS}, or unset it for all cores of this machine.")
    options = {"spark.master": master or "local[*]"}
    for part in parts:
        name, is_set, value = part.partition("=")
        if not (name.startswith("spark.") and is_set):
            raise BadSetting(f"SPARK_OPTIONS has {part!r}. Set it to options such as spark.executor.memory=4g.")
        options[name] = value
    return options
