"""Who may import whom, and what no file may do. A new import in the wrong direction fails here, by file and name."""

import ast
import os
import subprocess
import sys

import pytest

import settings

FEATURE_REPO = settings.FEATURE_REPO.name
#: Room → the rooms of ours that it may import. A room not named here (tests, bench) may import what it likes.
MAY_IMPORT = {
    "errors": "",
    "files": "",
    "root": "",
    "settings": "root",
    "features": "errors features",
    "model": "errors files model",
    "entities": "",
    "views": "features entities settings stores views",
    "stores": "stores",
    "simulators": "features simulators",
    "generate_data": "settings root features files simulators",
    "serving": "features files model errors root serving",
    "jobs": "features files serving model settings root errors generate_data simulators jobs",
    "web": "features files serving settings root errors web model",
    "serve": "settings",
    "app": "web serving settings features errors serve",
}
OURS = {*MAY_IMPORT, "tests", "bench"}
#: Library → the rooms and files that may know of it.
MAY_KNOW = {
    "feast": {"serving/retrieval.py", "serving/compiler.py", "stores", "views", "entities"},
    "flask": {"web", "app", "serve"},
    "flasgger": {"web", "app"},
}
#: Rooms where time is an argument.
CLOCKLESS = {"features", "model", "serving", "simulators"}
CLOCKS = {"now", "utcnow", "today"}
MOST_LINES = 250


def sources(root):
    """Path below `root` → the text of every Python file of ours."""
    files = {file.relative_to(root): file for file in root.rglob("*.py")}
    hidden = {".", "build", "data", "venv"}
    return {p.as_posix(): f.read_text() for p, f in files.items() if not {p.parts[0][0], p.parts[0]} & hidden}


def room(path):
    """`feature_repo/features/onboarding.py` → `features`; `app.py` → `app`."""
    return path.removeprefix(FEATURE_REPO + "/").split("/")[0].removesuffix(".py")


def imports(text):
    """The modules that a file imports, wherever in it; a relative one begins with a dot."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield ast.unparse(node.args[0]).lstrip("f").strip("'\"")


def wrong_imports(root):
    """What goes against the tables, one line for each file and import."""
    wrong = []
    for path, text in sources(root).items():
        for module in imports(text):
            top, here = module.split(".")[0], room(path)
            if module.startswith("."):
                wrong.append(f"{path} imports {module}: write the whole name")
            elif top in OURS and here in MAY_IMPORT and top not in MAY_IMPORT[here].split():
                wrong.append(f"{path} imports {module}: {here} may import {MAY_IMPORT[here] or 'nothing of ours'}")
            elif top in MAY_KNOW and here in MAY_IMPORT and not MAY_KNOW[top] & {path, here}:
                wrong.append(f"{path} imports {module}: only {', '.join(sorted(MAY_KNOW[top]))} may know it")
    return wrong


def clock_reads(root):
    """Where a file reads the clock that should be told the time. `generate_data.main` may read it."""
    read = []
    for path, text in sources(root).items():
        if room(path) in CLOCKLESS | {"generate_data"}:
            for part in ast.parse(text).body:
                if not (room(path) == "generate_data" and isinstance(part, ast.FunctionDef) and part.name == "main"):
                    read += [f"{path}:{node.lineno} reads the clock" for node in ast.walk(part) if is_clock(node)]
    return read


def is_clock(node):
    if isinstance(node, ast.Attribute):
        return node.attr in CLOCKS or (ast.unparse(node.value) == "time" and node.attr != "sleep")
    return isinstance(node, ast.ImportFrom) and node.module == "time"


def bad_habits(root):
    """Files that are too long or have a name that says nothing, star imports, and work in the current directory."""
    bad = []
    for path, text in sources(root).items():
        lines = text.count("\n")
        bad += [f"{path} has {lines} lines: split it by what its parts are"] if lines > MOST_LINES else []
        bad += [f"{path}: name it after what is in it"] if path.split("/")[-1] == "utils.py" else []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                bad.append(f"{path}:{node.lineno} imports everything of {node.module}")
            if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in ("os.getcwd", "getcwd", "Path.cwd"):
                bad.append(f"{path}:{node.lineno} depends on the current directory")
    return bad


def test_imports_point_one_way():
    assert wrong_imports(settings.PROJECT) == []


def test_time_is_an_argument_below_jobs_and_web():
    assert clock_reads(settings.PROJECT) == []


def test_no_file_is_long_or_nameless_or_depends_on_where_it_runs():
    assert bad_habits(settings.PROJECT) == []


def test_every_room_is_there_and_has_its_line_in_the_table():
    there = {room(path) for path in sources(settings.PROJECT)}
    assert set(MAY_IMPORT) <= there <= OURS


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("errors.py", "import settings", "errors.py imports settings: errors may import nothing of ours"),
        ("settings.py", "import errors", "settings.py imports errors: settings may import root"),
        ("feature_repo/features/x.py", "from model.card import Card",
         "feature_repo/features/x.py imports model.card: features may import errors features"),
        ("feature_repo/features/x.py", "def f():\n    import feast.types",
         "feature_repo/features/x.py imports feast.types: "
         "only entities, serving/compiler.py, serving/retrieval.py, stores, views may know it"),
        ("feature_repo/features/x.py", "from . import y", "feature_repo/features/x.py imports .: write the whole name"),
        ("feature_repo/features/x.py", "import_module(f'views.{d}')",
         "feature_repo/features/x.py imports views.{d}: features may import errors features"),
        ("feature_repo/entities.py", "import features", "feature_repo/entities.py imports features: "
         "entities may import nothing of ours"),
        ("feature_repo/views/x.py", "import jobs.batch.table", "feature_repo/views/x.py imports jobs.batch.table: "
         "views may import features entities settings stores views"),
        ("model/x.py", "from serving import audit", "model/x.py imports serving: model may import errors files model"),
        ("serving/x.py", "import views", "serving/x.py imports views: "
         "serving may import features files model errors root serving"),
        ("serving/x.py", "from flask import g", "serving/x.py imports flask: only app, serve, web may know it"),
        ("serving/x.py", "import feast", "serving/x.py imports feast: "
         "only entities, serving/compiler.py, serving/retrieval.py, stores, views may know it"),
        ("jobs/x.py", "import app", "jobs/x.py imports app: "
         "jobs may import features files serving model settings root errors generate_data simulators jobs"),
        ("app.py", "from tests import x", "app.py imports tests: "
         "app may import web serving settings features errors serve"),
    ],
)  # fmt: skip
def test_an_import_in_the_wrong_direction_is_named(tmp_path, path, text, complaint):
    write(tmp_path, path, text)
    assert wrong_imports(tmp_path) == [complaint]


@pytest.mark.parametrize(
    ("path", "text"),
    [("serving/retrieval.py", "import feast"), ("feature_repo/views/x.py", "import feast, stores, views.blocks"),
     ("app.py", "import flask, web.risk"), ("tests/test_x.py", "import app, feast, views"), ("jobs/x.py", "import os"),
     ("bench/x.py", "import jobs.batch.table, feast"), ("model/x.py", "import modelling, featureless.feast")],
)  # fmt: skip
def test_an_import_in_the_right_direction_is_not(tmp_path, path, text):
    write(tmp_path, path, text)
    assert wrong_imports(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "text", "lines"),
    [("serving/x.py", "\nthen = datetime.now(UTC)", [2]), ("model/x.py", "field(default_factory=datetime.utcnow)", [1]),
     ("feature_repo/features/x.py", "def f():\n    return date.today(), time.time()", [2, 2]),
     ("serving/x.py", "from time import monotonic", [1]), ("generate_data.py", "def onboarding():\n    pd.now()", [2]),
     ("generate_data.py", "def main():\n    datetime.now(UTC)", []), ("jobs/x.py", "datetime.now(UTC)", []),
     ("serving/x.py", "def f(now, as_of):\n    return now - as_of, as_of.time()", [])],
)  # fmt: skip
def test_a_look_at_the_clock_is_named(tmp_path, path, text, lines):
    write(tmp_path, path, text)
    assert clock_reads(tmp_path) == [f"{path}:{line} reads the clock" for line in lines]


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [("jobs/x.py", "\n" * 251, "jobs/x.py has 251 lines: split it by what its parts are"),
     ("jobs/utils.py", "", "jobs/utils.py: name it after what is in it"),
     ("jobs/x.py", "from os import *", "jobs/x.py:1 imports everything of os"),
     ("jobs/x.py", "import os\nos.getcwd()", "jobs/x.py:2 depends on the current directory"),
     ("jobs/x.py", "Path.cwd()", "jobs/x.py:1 depends on the current directory")],
)  # fmt: skip
def test_a_bad_habit_is_named(tmp_path, path, text, complaint):
    write(tmp_path, path, text)
    assert bad_habits(tmp_path) == [complaint]


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    "module",
    ["features.onboarding", "features.domains", "model.scorer", "jobs", "jobs.__main__", "jobs.batch.table",
     "serving.service", "generate_data", "app"],
)  # fmt: skip
def test_what_needs_no_feast_does_not_load_it(module):
    loaded = subprocess.run(
        [sys.executable, "-c", f"import sys, {module}; print([m for m in ('feast', 'views') if m in sys.modules])"],
        env={**os.environ, "PYTHONPATH": f"{settings.PROJECT}{os.pathsep}{settings.FEATURE_REPO}"},
        cwd=settings.PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (loaded.stdout, loaded.returncode) == ("[]\n", 0), loaded.stderr
