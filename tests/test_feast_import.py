"""Feast starts in half the time, and still refuses a wrong type in a declaration."""

import sys
from importlib.util import cache_from_source, find_spec
from pathlib import Path

import pytest
from processes import run

pytestmark = pytest.mark.slow

#: Whether a method of FeatureView checks types, and whether its constructor does, after an import of `first`.
CHECKED = """
import {first}
import feast, typeguard
def checks(function):
    return any(name.startswith("check_argument_types") for name in function.__code__.co_names)
print(checks(feast.FeatureView.__init__), checks(feast.FeatureView.from_proto.__func__))
try:
    feast.Entity(name=7)
except typeguard.TypeCheckError as error:
    print(error)
@typeguard.typechecked
class Own:
    def number(self) -> int:
        return "7"
try:
    Own().number()
except typeguard.TypeCheckError as error:
    print(error)
"""


def test_the_environment_has_the_bytecode_of_feast():
    """Where PYTHONDONTWRITEBYTECODE is set, no import writes it, and every process compiles Feast anew."""
    spec = find_spec("feast")
    assert spec
    assert spec.origin
    assert Path(cache_from_source(spec.origin)).exists(), "run: rm .venv/.ready; make setup"


@pytest.mark.parametrize("first", ["serving.feast_import", "serving.retrieval", "serving.compiler", "feast"])
def test_our_processes_check_the_types_of_constructors_only(first: str, tmp_path):
    script = tmp_path / "script.py"  # typeguard reads the source
    script.write_text(CHECKED.format(first=first))
    printed = run([sys.executable, script]).stdout.splitlines()
    assert printed == [
        f"True {first == 'feast'}",
        'argument "name" (int) is not an instance of str',
        "the return value (str) is not an instance of int",
    ]
