"""Who may import whom, at two levels, and who does."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import settings
from features import DOMAINS

FEATURE_REPO = settings.FEATURE_REPO.name
#: Room → the rooms that it may import, itself included. The longest name that fits a module is its room; what is not
#: named here (tests, bench) may import what it likes.
MAY_IMPORT = {
    "errors": "errors",
    "choices": "errors",
    "root": "",
    "files": "",
    "hash_keys": "files",
    "brokers": "choices errors",
    "setting_values": "errors",
    "settings": "brokers choices errors files hash_keys root setting_values",
    "access": "errors choices files access",
    "cli": "errors choices files features.utc simulators cli",
    # From a definition to a number, then what a domain declares, then the domains.
    "features": "",
    "features.utc": "",
    "features.numbers": "",
    "features.identifiers": "errors",
    "features.fields": "errors features.identifiers features.utc features.windows",
    "features.windows": "errors choices features.identifiers features.utc features.windows",
    "features.rules": "choices features.identifiers features.utc features.rules",
    "features.on_demand": "features.windows",
    "features.request": "errors features.identifiers",
    "features.risk": "features.request features.rules features.windows",
    "features.policy": "features.risk features.rules",
    "features.domains": "errors choices features features.on_demand features.risk features.windows features.DOMAIN",
    "features.DOMAIN": "errors features.utc features.identifiers features.fields features.windows features.on_demand "
    "features.risk",
    "entities": "",
    "views.blocks": "entities settings exact_stores features.utc features.windows",
    "views": "",
    "views.DOMAIN": "entities settings exact_stores views.blocks features.utc features.windows features.DOMAIN",
    "stores": "exact_stores",
    "exact_stores": "exact_stores",
    "exact_stores.exact_online": "",
    "exact_stores.registry_faults": "",
    "simulators": "features simulators",
    "generate_data": "cli errors files settings features simulators serving jobs.world",
    # `model.publish` hands on what is in publishing; the service imports the rest.
    "model": "settings root features.domains features.risk serving model.card model.publishing",
    "model.card": "",
    "model.link": "model.card",
    "model.leaves": "errors",
    "model.shapley": "errors model.leaves",
    "model.explanation": "model.card model.shapley",
    "model.session": "",
    "model.history": "files",
    "model.shelf": "files errors model.card model.history",
    "model.drift": "",
    "model.reference": "errors model.card model.shelf",
    "model.scorer": "errors model.shelf model.card model.explanation model.link model.session",
    "model.promotion": "errors choices model.card model.history model.shelf model.scorer",
    "model.report": "features.risk model.card model.report",
    "model.publishing": "errors features.domains features.risk features.utc model.card model.link model.explanation "
    "model.shapley model.session model.shelf model.drift model.reference model.scorer model.report model.publishing",
    "serving": "brokers files hash_keys errors choices root features model serving",
    # These three know the online store behind Feast.
    **dict.fromkeys(
        ("serving.compiler", "serving.joins", "serving.retrieval", "serving.store_faults"),
        "files errors features serving exact_stores.exact_online exact_stores.registry_faults",
    ),
    "serving.DOMAIN": "files hash_keys errors root features features.DOMAIN model serving",
    "telemetry": "serving",
    # Files on disk → checked rows → features → models; the stream beside them; everything on top.
    "jobs": "",
    "jobs.sql": "",
    "jobs.raw": "files errors choices root features jobs.sql jobs.raw",
    "jobs.world": "files errors root features simulators hash_keys jobs.world",
    "jobs.own": "files errors choices root features serving jobs.sql jobs.raw jobs.own",
    "jobs.batch": "files errors root features jobs.sql jobs.raw jobs.batch",
    "jobs.point_in_time": "errors root features serving jobs.batch",
    "jobs.train": "files errors root features model serving settings "
    "jobs.sql jobs.raw jobs.batch jobs.point_in_time jobs.train",
    "jobs.stream": "brokers files hash_keys errors root features serving settings telemetry "
    "jobs.sql jobs.raw jobs.stream",
    "jobs.score": "errors files root features model serving jobs.sql jobs.raw jobs.point_in_time",
    "jobs.requests": "errors choices files root features model serving jobs.raw jobs.score jobs.requests",
    "jobs.rotation": "errors hash_keys root features serving jobs.sql jobs.raw",
    "jobs.shadow": "root features serving",
    "jobs.monitor": "cli errors choices files root settings features model serving jobs.monitor",
    "jobs.parity": "root features serving jobs.point_in_time",
    "jobs.prune": "errors files root features model serving",
    "jobs.replay": "errors root features model serving jobs.replay",
    "jobs.backtest": "errors choices files root features model serving jobs.point_in_time jobs.train jobs.replay "
    "jobs.backtest",
    "jobs.pipelines": "errors choices root features",
    "jobs.execute": "cli errors files root features jobs.raw jobs.batch jobs.train jobs.pipelines",
    "jobs.build": "cli files errors root settings features model serving simulators "
    "jobs.raw jobs.sql jobs.world jobs.batch jobs.train jobs.stream jobs.score jobs.build",
    "jobs.simulate": "errors choices features serving jobs.simulate jobs.simulate.DOMAIN",
    "jobs.simulate.DOMAIN": "cli errors root settings features features.DOMAIN model serving simulators "
    "jobs.raw jobs.batch jobs.stream jobs.simulate jobs.simulate.DOMAIN",
    "jobs.commands": "access cli hash_keys errors choices settings features simulators model serving provenance jobs",
    "jobs.__main__": "jobs.commands",
    "bridge": "",
    # On top of what computes features from raw events, below what shows it: the web, and a command.
    "provenance": "errors root features serving jobs.batch provenance",
    "web": "provenance access files bridge errors choices root features model serving telemetry web web.DOMAIN",
    "web.DOMAIN": "files errors root features features.DOMAIN model serving serving.DOMAIN web",
    "serve": "errors bridge settings",
    "deploy": "settings root features serving jobs.raw jobs.stream",
    "app": "access cli errors files hash_keys root settings features serving telemetry web serve",
}
OURS = {name.split(".")[0] for name in MAY_IMPORT} | {"tests", "bench"}
#: Library → the rooms that may know of it.
MAY_KNOW = {
    "feast": {
        "serving.feast_import",
        "serving.store_faults",
        "serving.retrieval",
        "serving.compiler",
        "serving.joins",
        "jobs.build.work.repository",
    }
    | {"exact_stores", "views", "entities"},
    "flask": {"web", "app", "serve"},
    "flasgger": {"web", "app"},
    "jwt": {"access"},
    "argon2": {"access"},
    "confluent_kafka": {"serving.kafka_lag", "serving.kafka_log", "jobs.stream.kafka"},
    "pyflink": {"jobs.stream.flink"},
    "quixstreams": {"jobs.stream.flink", "jobs.stream.kafka"},
}


def sources(root: Path) -> dict[str, str]:
    """Path below `root` → the text of every Python file of ours."""
    files = {file.relative_to(root): file for file in root.rglob("*.py")}
    hidden = {".", "build", "data", "venv"}
    ours = {p: f for p, f in files.items() if not {p.parts[0][0], p.parts[0]} & hidden}
    return {p.as_posix(): f.read_text() for p, f in ours.items() if p.parts[:2] != ("stores", "build")}


@cache
def parsed(text: str) -> ast.Module:
    """The syntax tree of a file. Many rules look at each file."""
    return ast.parse(text)


def module_of(path: str) -> str:
    """`feature_repo/features/raw.py` → `features.raw`; `stores/exact_stores/rows.py` → `exact_stores.rows`."""
    path = re.sub(rf"^({FEATURE_REPO}|stores(?=/exact_stores))/", "", path)
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def room_of(module: str) -> tuple[str, str | None]:
    """The room that a module stands in, and its domain if it is one's: `("features.DOMAIN", "coupon")`."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        head, last = ".".join(parts[: length - 1]), parts[length - 1]
        if ".".join(parts[:length]) in MAY_IMPORT:
            return ".".join(parts[:length]), None
        if last in DOMAINS and f"{head}.DOMAIN" in MAY_IMPORT:
            return f"{head}.DOMAIN", last
    return parts[0], None


def imports(text: str, modules: set[str]) -> Iterator[str]:
    """The modules that a file imports, wherever in it; a relative one begins with a dot."""
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = "." * node.level + (node.module or "")
            members = {f"{package}.{alias.name}" for alias in node.names} & modules
            yield from members or {package}
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield ast.unparse(node.args[0]).lstrip("f").strip("'\"").replace("{domain}", "DOMAIN")


def is_allowed(importer: str, module: str) -> bool:
    """Whether the rules let `importer` import `module`, both full module names."""
    (room, domain), (target, its_domain) = room_of(importer), room_of(module)
    allowed = MAY_IMPORT[room].split()
    if its_domain:
        return target in allowed and domain in (None, its_domain)
    return any(target == name or target.startswith(f"{name}.") for name in allowed)


def wrong_imports(root: Path) -> list[str]:
    """What breaks the rules, one line for each file and import."""
    wrong, texts = [], sources(root)
    modules = {module_of(path) for path in texts}
    for path, text in texts.items():
        importer = module_of(path)
        room = room_of(importer)[0]
        for module in imports(text, modules):
            top = module.split(".")[0]
            if module.startswith("."):
                wrong.append(f"{path} imports {module}: write the whole name")
            elif room not in MAY_IMPORT:
                continue
            elif top in OURS and not is_allowed(importer, module):
                wrong.append(f"{path} imports {module}: {room} may import {MAY_IMPORT[room] or 'nothing of ours'}")
            elif top in MAY_KNOW and not any(f"{importer}.".startswith(f"{name}.") for name in MAY_KNOW[top]):
                wrong.append(f"{path} imports {module}: only {', '.join(sorted(MAY_KNOW[top]))} may know it")
    return wrong


def room_imports(root: Path) -> dict[str, set[str]]:
    """Room → the other rooms that it imports by name. Domains are found by name at run time, which does not count."""
    texts = sources(root)
    modules = {module_of(path) for path in texts}
    graph: dict[str, set[str]] = {}
    for path, text in texts.items():
        room = room_of(module_of(path))[0]
        targets = {room_of(module)[0] for module in imports(text, modules) if not module.endswith("DOMAIN")}
        graph.setdefault(room, set()).update((targets & MAY_IMPORT.keys()) - {room})
    return {room: targets for room, targets in graph.items() if room in MAY_IMPORT}
