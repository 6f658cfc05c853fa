"""What no file may do: read the clock deep inside, grow long, hide behind a name that says nothing."""

import ast
import re
import time
import uuid
from datetime import UTC, datetime

import pytest
import readme
from chance import without_chance
from conftest import leaves_out
from rooms import module_of, parsed, sources
from test_layers import write

import settings

#: Rooms where time is an argument.
CLOCKLESS = {"access", "features", "model", "serving", "simulators"}
CLOCKS = {"now", "utcnow", "today"}
MOST_LINES = 250
#: A variable is a noun that says what it holds; these say nothing.
RIDDLES = {"of", "asked", "said", "told", "found", "came", "one", "each", "here", "there"}
MOST_CLAIM_CHARACTERS = 70
#: Where a process begins. Only there is `settings.root()` called, and a value handed on. The repository's step checks
#: that Feast, which reads the environment by itself, works on the root that the pipeline was given.
EDGES = (
    "app.py", "serve.py", "generate_data.py", "model/__init__.py", "jobs/commands/", "jobs/simulate/",
    "feature_repo/views/", "tests/", "bench/", "jobs/build/work/repository.py",
)  # fmt: skip
#: `settings.py` reads the environment for all of us. The stores' package stands alone; Flink is told where Python is.
ENVIRONMENT_READERS = ("settings.py", "stores/exact_stores/paths.py", "jobs/stream/flink/", "tests/", "bench/")
#: Where an error becomes an exit code.
EXITS = ("cli/edge.py", "tests/", "bench/")


def room(path):
    """`feature_repo/features/onboarding.py` → `features`; `app.py` → `app`."""
    return module_of(path).split(".")[0]


def clock_reads(root):
    """Where a file reads the clock that should be told the time. `generate_data.main` may read it."""
    read = []
    for path, text in sources(root).items():
        if room(path) in CLOCKLESS | {"generate_data"} and path != "model/__init__.py":  # an entry point
            for part in parsed(text).body:
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
        for node in ast.walk(parsed(text)):
            if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
                bad.append(f"{path}:{node.lineno} imports everything of {node.module}")
            if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in ("os.getcwd", "getcwd", "Path.cwd"):
                bad.append(f"{path}:{node.lineno} depends on the current directory")
    return bad


def edge_reads(root):
    """Where a file that is no edge reads settings or the environment, or ends the process."""
    wrong = []
    for path, text in sources(root).items():
        for node in ast.walk(parsed(text)):
            code = ast.unparse(node) if isinstance(node, ast.Call | ast.Attribute | ast.Raise) else ""
            if code == "settings.root()" and not path.startswith(EDGES):
                wrong.append(f"{path}:{node.lineno} reads settings.root(): take a Root")
            if code in ("os.environ", "os.getenv") and not path.startswith(ENVIRONMENT_READERS):
                wrong.append(f"{path}:{node.lineno} reads the environment: settings.py does")
            if (code == "sys.exit" or code.startswith("raise SystemExit")) and not path.startswith(EXITS):
                wrong.append(f"{path}:{node.lineno} ends the process: raise an error of errors.py")
    return wrong


def test_only_the_edges_read_settings_and_end_the_process():
    assert edge_reads(settings.PROJECT) == []


def riddles(root):
    """Variables, parameters and functions whose name does not say what they hold."""
    wrong = []
    for path, text in sources(root).items():
        for node in ast.walk(parsed(text)):
            name = (
                node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
                else getattr(node, "arg", None) if isinstance(node, ast.arg)
                else node.name if isinstance(node, ast.FunctionDef)
                else None
            )  # fmt: skip
            wrong += [f"{path}:{node.lineno} binds {name!r}: say what it holds"] if name in RIDDLES else []
    return wrong


def long_claims(root):
    """Tests whose name is more than a reader takes in at a glance."""
    for path, text in sources(root).items():
        for node in ast.walk(parsed(text)):
            if isinstance(node, ast.FunctionDef) and len(node.name.removeprefix("test_")) > MOST_CLAIM_CHARACTERS:
                yield f"{path}:{node.lineno} {node.name}: claim it in {MOST_CLAIM_CHARACTERS} characters"


def lucky_claims(root):
    """Claims that a few digits stand nowhere in a text with ids and times: such have any four by chance."""
    for path, text in sources(root).items():
        for node in ast.walk(parsed(text)):
            code = ast.unparse(node) if isinstance(node, ast.Assert) else ""
            sought = re.match(r"assert (?:'([^']*)' not in |not re\.search\('([^']*)', )(.*)", code)
            if sought and re.search(r"\.text\b|str\(|dumps\(", sought[3]) and "without_chance(" not in sought[3]:
                parts = (sought[1] or sought[2]).split("|")
                if any(re.fullmatch("[0-9a-f]{1,5}", part) for part in parts):
                    yield f"{path}:{node.lineno} may fail by chance: look in the text without_chance"


def test_no_claim_depends_on_the_digits_of_an_id():
    assert list(lucky_claims(settings.PROJECT)) == []


@pytest.mark.parametrize(
    ("claim", "is_lucky"),
    [("'8765' not in answer.text", True), ("not re.search('123456|8765', json.dumps(line))", True),
     ("'8765' not in str(spans)", True), ("'8765' not in without_chance(answer.text)", False),
     ("'8765' not in error['message']", False), ("'512-34-8765' not in answer.text", False),
     ("'Traceback' not in answer.text", False)],
)  # fmt: skip
def test_a_claim_that_chance_can_break_is_named(tmp_path, claim, is_lucky):
    write(tmp_path, "tests/x.py", f"\nassert {claim}")
    assert (
        list(lucky_claims(tmp_path)) == ["tests/x.py:2 may fail by chance: look in the text without_chance"] * is_lucky
    )


def test_a_text_without_chance_still_tells_an_identifier():
    drawn = f"{uuid.uuid4()} {uuid.uuid4().hex} {datetime.now(UTC).isoformat()} {time.time_ns()}"
    assert (
        without_chance(f"{drawn} 512-34-8765 512348765 1990-05-17") == "… … …+00:00 … 512-34-8765 512348765 1990-05-17"
    )


def test_a_name_says_what_it_holds():
    assert riddles(settings.PROJECT) == []


def test_a_test_claims_one_thing_in_a_short_line():
    assert list(long_claims(settings.PROJECT)) == []


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


@pytest.mark.parametrize(
    ("path", "text", "complaints"),
    [("jobs/x.py", "import settings\nroot = settings.root()", ["jobs/x.py:2 reads settings.root(): take a Root"]),
     ("serving/x.py", "os.environ['HOST']", ["serving/x.py:1 reads the environment: settings.py does"]),
     ("jobs/x.py", "os.getenv('HOST')", ["jobs/x.py:1 reads the environment: settings.py does"]),
     ("settings.py", "raise SystemExit('no')", ["settings.py:1 ends the process: raise an error of errors.py"]),
     ("jobs/x.py", "import sys\nsys.exit(3)", ["jobs/x.py:2 ends the process: raise an error of errors.py"]),
     ("jobs/commands/x.py", "settings.root()", []), ("jobs/x.py", "settings.PROJECT", []),
     ("cli/edge.py", "sys.exit(1)", []), ("tests/x.py", "os.environ", [])],
)  # fmt: skip
def test_a_read_below_the_edges_is_named(tmp_path, path, text, complaints):
    write(tmp_path, path, text)
    assert edge_reads(tmp_path) == complaints


def test_ci_holds_the_coverage_of_all_tests_together_to_95_percent():
    targets = dict(
        re.findall(r"^([a-z-]+):[^\n]*\n((?:\t[^\n]*\n)+)", (settings.PROJECT / "Makefile").read_text(), re.M)
    )
    assert "--cov --cov-append --cov-fail-under=95" in targets["test-engines"]
    assert (settings.PROJECT / ".ci/run").read_text().rstrip().endswith("make lint test test-engines")


def test_an_extra_is_installed_without_a_copy_of_the_project():
    """A copy in the environment would hide later changes of the stores, and settings would count from its folder."""
    texts = sources(settings.PROJECT) | {str(page): page.read_text() for page in readme.pages()}
    assert [path for path, text in texts.items() if re.search(r"pip install '\.\[", text)] == []


@pytest.mark.parametrize(
    ("expression", "marks", "is_left_out"),
    [
        ("not engine", {"slow", "engine"}, True), ("not engine and not browser", {"browser"}, True),
        ("not (engine or browser)", {"slow", "engine"}, True), ("not (engine or browser)", {"slow"}, False),
        ("engine and not flink", {"engine", "flink"}, True), ("engine and not flink", {"slow"}, False),
        ("slow", set(), False),
    ],
)  # fmt: skip
def test_a_file_is_not_even_imported_if_its_marks_leave_it_out(expression: str, marks: set[str], is_left_out: bool):
    assert leaves_out(expression, marks) is is_left_out
