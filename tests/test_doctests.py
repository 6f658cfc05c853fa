"""The examples in docstrings hold. `pytest --doctest-modules` would collect every module of every run."""

import doctest
import pkgutil
from importlib import import_module

import pytest

import features
import model

MODULES = [
    module.name
    for package in (features, model)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.ispkg
]
#: Where numbers are folded.
FOLDING = {f"features.windows.{name}" for name in "folds functions aggregation tiles state events".split()}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_in_docstrings_hold(name: str):
    results = doctest.testmod(import_module(name))
    assert results.failed == 0
    assert results.attempted or name not in FOLDING
