"""What tests on engines need beside the ordinary set-up."""

import importlib.util
import os
import shutil

import pytest


def need(*programs: str, modules: tuple[str, ...] = ()) -> None:
    """Skip the tests of this module where a program or a Python module is missing. With CI=true, fail: there
    `make test-engines` has installed them."""
    missing = [name for name in programs if not shutil.which(name)]
    missing += [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        message = f"{', '.join(missing)} missing; make test-engines installs what it can"
        if os.environ.get("CI") == "true":
            pytest.fail(message, pytrace=False)
        pytest.skip(message, allow_module_level=True)
