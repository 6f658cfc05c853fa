"""What no file may do: read the clock deep inside, grow long, hide behind a name that says nothing."""

import ast

import pytest
from rooms import module_of, sources
from test_layers import write

import settings

#: Rooms where time is an argument.
CLOCKLESS = {"features", "model", "serving", "simulators"}
CLOCKS = {"now", "utcnow", "today"}
MOST_LINES = 250


def room(path):
    """`feature_repo/features/onboarding.py` → `features`; `app.py` → `app`."""
    return module_of(path).split(".")[0]


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


def test_time_is_an_argument_below_jobs_and_web():
    assert clock_reads(settings.PROJECT) == []


def test_no_file_is_long_or_nameless_or_depends_on_where_it_runs():
    assert bad_habits(settings.PROJECT) == []


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
