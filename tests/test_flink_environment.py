"""What runs inside Flink imports nothing that its own environment lacks: deploy/flink/requirements.txt."""

import json
import os
import sys
from importlib.metadata import packages_distributions

import pytest
from processes import run
from rooms import OURS

import settings

pytestmark = pytest.mark.slow
REQUIREMENTS = settings.PROJECT / "deploy/flink/requirements.txt"

#: Imports the job of Flink, whose own modules any object stands in for, and all that the domains declare.
IMPORT = """
import json, sys
from types import ModuleType
before = set(sys.modules)
class Kind(type):
    def __getattr__(self, name):
        return kind(name)
def kind(name):
    return Kind(name, (), {"__init__": lambda self, *arguments: None})
class Standing(ModuleType):
    __path__ = []
    def __getattr__(self, name):
        return kind(name)
for name in ("common", "datastream", "datastream.state", "table"):
    sys.modules[f"pyflink.{name}"] = Standing(name)
sys.modules["pyflink"] = Standing("pyflink")
import jobs.stream.flink.job
from features.domains import streams
assert streams()
print(json.dumps(sorted({name.partition(".")[0] for name in set(sys.modules) - before} - {"pyflink"})))
"""


def required() -> set[str]:
    """The distributions that the file pins."""
    return {line.partition("==")[0] for line in REQUIREMENTS.read_text().splitlines() if "==" in line}


def test_what_runs_in_flink_imports_only_what_is_installed_there():
    printed = run([sys.executable, "-c", IMPORT], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}).stdout
    imported, distributions = set(json.loads(printed.splitlines()[-1])), packages_distributions()
    foreign = {distributions[name][0].lower().replace("_", "-") for name in (imported - OURS) & distributions.keys()}
    assert {"pydantic", "pydantic-core"} <= foreign
    assert foreign - required() == set()


def test_it_has_our_versions_of_what_writes_the_states():
    ours = (settings.PROJECT / "requirements.txt").read_text().splitlines()
    pins = set(REQUIREMENTS.read_text().splitlines())
    assert {line for line in ours if line.startswith(("pydantic==", "msgspec=="))} <= pins
