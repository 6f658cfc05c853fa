"""Imports point one way. A new one in the wrong direction fails here, by file and name."""

import os
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from processes import environment, run
from rooms import MAY_IMPORT, MAY_KNOW, imports, module_of, room_imports, room_of, sources, wrong_imports

import settings
from features import DOMAINS


def test_imports_point_one_way():
    assert wrong_imports(settings.PROJECT) == []


def test_no_circle_among_the_rooms():
    list(TopologicalSorter(room_imports(settings.PROJECT)).static_order())  # raises CycleError, which names the circle


def test_only_the_command_line_imports_the_simulations():
    texts = sources(settings.PROJECT)
    modules = {module_of(path) for path in texts}
    importers = {
        path for path, text in texts.items() if any(m.startswith("jobs.simulate") for m in imports(text, modules))
    }
    assert {path for path in importers if not path.startswith(("tests/", "jobs/simulate/"))} == {
        "jobs/commands/__init__.py"
    }


def test_every_room_is_there_and_has_its_line_in_the_table():
    rooms = {room_of(module_of(path))[0] for path in sources(settings.PROJECT)}
    assert set(MAY_IMPORT) - {"jobs", "features", "views"} <= rooms <= {*MAY_IMPORT, "tests", "bench"}


def test_the_distribution_lists_each_package():
    packages = tomllib.loads((settings.PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    modules = {module_of(path) for path in sources(settings.PROJECT) if path.endswith("/__init__.py")}
    assert packages == sorted(modules - {"views"})  # Feast finds the views beside feature_store.yaml


@pytest.mark.parametrize("room", ["feature_repo/features", "jobs"])
def test_a_room_holds_nine_files_at_most(room: str):
    folders = {settings.PROJECT / path for path in sources(settings.PROJECT) if path.startswith(room)}
    crowded = {
        str(folder): len(files)
        for folder in {path.parent for path in folders}
        if len(files := [f for f in folder.glob("*.py") if f.stem not in {"__init__", "__main__", *DOMAINS}]) > 9
    }
    assert crowded == {}


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("errors/base.py", "import settings", "errors/base.py imports settings: errors may import errors"),
        ("settings.py", "import serving",
         f"settings.py imports serving: settings may import {MAY_IMPORT['settings']}"),
        ("feature_repo/features/utc.py", "from model.card import Card",
         "feature_repo/features/utc.py imports model.card: features.utc may import nothing of ours"),
        ("feature_repo/features/windows/x.py", "import features.risk",
         "feature_repo/features/windows/x.py imports features.risk: "
         "features.windows may import errors choices features.identifiers features.utc features.windows"),
        ("feature_repo/features/windows/x.py", "from features import coupon",
         "feature_repo/features/windows/x.py imports features.coupon: "
         "features.windows may import errors choices features.identifiers features.utc features.windows"),
        ("feature_repo/features/fields.py", "def f():\n    import feast.types",
         "feature_repo/features/fields.py imports feast.types: "
         f"only {', '.join(sorted(MAY_KNOW['feast']))} may know it"),
        ("feature_repo/features/fields.py", "from . import y",
         "feature_repo/features/fields.py imports .: write the whole name"),
        ("feature_repo/features/loyalty.py", "from features.coupon import COUPON",
         f"feature_repo/features/loyalty.py imports features.coupon: features.DOMAIN may import "
         f"{MAY_IMPORT['features.DOMAIN']}"),
        ("feature_repo/features/utc.py", "import_module(f'views.{domain}')",
         "feature_repo/features/utc.py imports views.DOMAIN: features.utc may import nothing of ours"),
        ("feature_repo/views/coupon.py", "import jobs.batch.table",
         "feature_repo/views/coupon.py imports jobs.batch.table: views.DOMAIN may import "
         f"{MAY_IMPORT['views.DOMAIN']}"),
        ("stores/exact_stores/x.py", "import settings",
         "stores/exact_stores/x.py imports settings: exact_stores may import exact_stores"),
        ("model/scorer.py", "from serving import audit",
         f"model/scorer.py imports serving: model.scorer may import {MAY_IMPORT['model.scorer']}"),
        ("serving/x.py", "from flask import g", "serving/x.py imports flask: only app, serve, web may know it"),
        ("serving/x.py", "from features.onboarding import ONBOARDING",
         f"serving/x.py imports features.onboarding: serving may import {MAY_IMPORT['serving']}"),
        ("web/coupon.py", "from features.loyalty import LOYALTY",
         f"web/coupon.py imports features.loyalty: web.DOMAIN may import {MAY_IMPORT['web.DOMAIN']}"),
        ("jobs/stream/x.py", "from jobs.batch import table",
         f"jobs/stream/x.py imports jobs.batch: jobs.stream may import {MAY_IMPORT['jobs.stream']}"),
        ("jobs/raw/x.py", "import jobs.batch.layout",
         f"jobs/raw/x.py imports jobs.batch.layout: jobs.raw may import {MAY_IMPORT['jobs.raw']}"),
        ("app.py", "from tests import x", f"app.py imports tests: app may import {MAY_IMPORT['app']}"),
    ],
)  # fmt: skip
def test_an_import_in_the_wrong_direction_is_named(tmp_path: Path, path: str, text: str, complaint: str):
    write(tmp_path, "feature_repo/features/coupon.py", "")
    write(tmp_path, path, text)
    assert wrong_imports(tmp_path) == [complaint]


@pytest.mark.parametrize(
    ("path", "text"),
    [("serving/retrieval.py", "import feast"), ("app.py", "import flask, web.risk"),
     ("feature_repo/views/coupon.py", "import feast, exact_stores, views.blocks"),
     ("tests/test_x.py", "import app, feast, views"),
     ("jobs/sql.py", "import os"),
     ("bench/x.py", "import jobs.batch.table, feast"), ("stores/exact_stores/x.py", "import feast, exact_stores.rows"),
     ("model/x.py", "import modelling, featureless.feast"),
     ("web/coupon.py", "from features import coupon"), ("feature_repo/features/domains.py", "import features.coupon")],
)  # fmt: skip
def test_an_import_in_the_right_direction_is_not(tmp_path: Path, path: str, text: str):
    write(tmp_path, path, text)
    write(tmp_path, "feature_repo/features/coupon.py", "")
    assert wrong_imports(tmp_path) == []


def write(root: Path, path: str, text: str) -> None:
    """Make a file of that text below `root`."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    ["features.onboarding", "features.domains", "model.scorer", "jobs", "jobs.__main__", "jobs.batch.table",
     "serving.service", "generate_data", "app"],
)  # fmt: skip
def test_what_needs_no_feast_does_not_load_it(module: str):
    path = (settings.PROJECT, settings.FEATURE_REPO, settings.PROJECT / "stores")
    program = f"import sys, {module}; print([m for m in ('feast', 'views') if m in sys.modules])"
    variables = {**environment(), "PYTHONPATH": os.pathsep.join(map(str, path))}
    assert run([sys.executable, "-c", program], env=variables).stdout == "[]\n"
