"""No child outlives its test. A wait says what it waited for. A constant without effect is named."""

import os
import re
import signal
import socket
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

import processes
import pytest
import servers
from constants import override
from coverage import Coverage
from processes import Child, clone_environment, environment, is_gone, run, started, wait_until
from servers import answering, refusing_port

import settings

pytestmark = pytest.mark.slow

FAILED = pytest.fail.Exception
#: Prints its own process id and that of a child of its own, ignores SIGTERM, and so does the child.
STUBBORN = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = os.fork()
if child:
    print(os.getpid(), child, flush=True)
while True:
    time.sleep(60)
"""
#: Answers every request at the port of its first argument.
SERVER = """
import sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""
#: Starts a child as a test does, and waits for its own end.
TEST_PROCESS = """
import sys, time
sys.path[:0] = sys.argv[1:3]
from processes import started
with started([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
    print(child.pid, flush=True)
    time.sleep(600)
"""


def python(program: str, *arguments: str) -> AbstractContextManager[Child]:
    return started([sys.executable, "-c", program, *arguments])


def printed_ids(child: Child, count: int) -> list[int]:
    return wait_until(
        lambda: list(map(int, child.stdout.split())), lambda ids: len(ids) == count, what="ids printed", child=child
    )


def test_a_child_and_its_own_children_end_though_they_ignore_sigterm(monkeypatch: pytest.MonkeyPatch):
    override(monkeypatch, processes, PATIENCE_SECONDS=0.1)
    with python(STUBBORN) as child:
        ids = printed_ids(child, 2)
    for pid in ids:
        wait_until(lambda pid=pid: is_gone(pid), what=f"{pid} has ended")


def test_a_child_ends_though_the_set_up_of_its_test_fails():
    with pytest.raises(ZeroDivisionError), python("import time; time.sleep(600)") as child:
        raise ZeroDivisionError
    assert is_gone(child.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children with their parent")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_child_ends_with_the_process_that_runs_the_tests(number: signal.Signals):
    with python(TEST_PROCESS, str(settings.PROJECT), str(Path(processes.__file__).parent)) as tests:
        (pid,) = printed_ids(tests, 1)
        tests.send(number)
        tests.ended(code=None)
        wait_until(lambda: is_gone(pid), what=f"{pid} has ended")


def test_a_child_that_prints_more_than_a_pipe_holds_ends():
    ended = run([sys.executable, "-c", "print('x' * 1_000_000)"])
    assert len(ended.stdout) == 1_000_001


def test_another_exit_code_fails_with_what_was_printed():
    with pytest.raises(FAILED, match=r"exited with 3, not with 0. It printed:\ntoo bad"):
        run([sys.executable, "-c", "print('too bad'); raise SystemExit(3)"])
    assert run([sys.executable, "-c", "raise SystemExit(3)"], code=3).code == 3


def test_a_child_that_does_not_end_fails_with_what_was_printed():
    with python("import time; print('busy', flush=True); time.sleep(600)") as child:
        wait_until(lambda: child.stdout, what="it printed", child=child)
        with pytest.raises(FAILED, match=r"still runs after 0 s. It printed:\nbusy"):
            child.ended(seconds=0.01)


def test_a_wait_fails_with_what_was_seen_last():
    numbers = iter(range(1000))
    with pytest.raises(FAILED, match=r"Not true after 0 s: the sky falls. Seen last: \d+"):
        wait_until(lambda: next(numbers), lambda number: number < 0, what="the sky falls", seconds=0.05)


def test_a_wait_for_a_child_that_has_ended_fails_at_once():
    with (
        pytest.raises(FAILED, match=r"never will: .* has ended: it is up. Seen last: False\nIt printed:\nno luck"),
        python("print('no luck')") as child,
    ):
        wait_until(lambda: False, what="it is up", child=child)


def test_a_server_whose_port_was_taken_meanwhile_gets_another(monkeypatch: pytest.MonkeyPatch):
    with refusing_port() as taken:
        ports = iter([taken, free := servers.free_port()])
        monkeypatch.setattr(servers, "free_port", lambda: next(ports))
        with answering(lambda port: python(SERVER, str(port))) as server:
            assert server.port == free


def test_a_server_that_ends_at_once_fails_with_what_it_printed():
    with (
        pytest.raises(FAILED, match=r"ended before it answered at .*\n.*not today"),
        answering(lambda port: python("raise SystemExit('not today')")),
    ):
        pass


def test_a_port_that_refuses_stays_taken_and_refuses():
    with refusing_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_setting_that_nobody_reads_is_named():
    assert environment(RISK_DATA="/there")["RISK_DATA"] == "/there"
    assert environment(RISK_DATA="/there").items() - {("RISK_DATA", "/there")} <= os.environ.items()
    with pytest.raises(AssertionError, match=r"settings\.py does not read RISK_DATUM"):
        environment(RISK_DATUM="/there")


def test_a_child_of_this_checkout_is_traced_and_one_of_a_clone_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = Coverage(config_file=False, data_file=str(tmp_path / "coverage")).config.serialize()
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", config)
    command = [sys.executable, "-c", "import sys; print(sys.gettrace() is not None)"]
    assert [run(command, env=env).stdout for env in (environment(), clone_environment(tmp_path))] == [
        "True\n",
        "False\n",
    ]


# Constants

MODULE = """
LIMIT, DEFAULT, UNREAD = 8, 4, 2
def first(rows, count=DEFAULT):
    return rows[:min(count, LIMIT)]
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from importlib import import_module

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "made_up_module.py").write_text(MODULE)
    monkeypatch.delitem(sys.modules, "made_up_module", raising=False)
    return import_module("made_up_module")


def test_a_constant_that_a_function_reads_is_overridden(module: ModuleType, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as patch:
        override(patch, module, LIMIT=1)
        assert module.first([1, 2, 3]) == [1]
    assert module.LIMIT == 8


@pytest.mark.parametrize("name", ["GONE", "DEFAULT", "UNREAD"])
def test_a_constant_without_effect_is_not_overridden(module: ModuleType, monkeypatch: pytest.MonkeyPatch, name: str):
    with pytest.raises(AssertionError, match=f"has no {name}|No function of made_up_module reads {name} when it runs"):
        override(monkeypatch, module, **{name: 1})


def test_a_constant_that_another_module_imported_is_not_overridden(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from importlib import import_module

    (tmp_path / "made_up_importer.py").write_text("from made_up_module import LIMIT\n")
    monkeypatch.delitem(sys.modules, "made_up_importer", raising=False)
    import_module("made_up_importer")
    with pytest.raises(AssertionError, match="made_up_importer imported LIMIT from made_up_module"):
        override(monkeypatch, module, LIMIT=1)


#: A constant that is set in another way than by `override`.
UNWATCHED = re.compile(
    r"""setattr\(\s*(\w+,\s*"[A-Z][A-Z_]+"|"[\w.]+\.[A-Z][A-Z_]+")|^\s*(\w+\.)+[A-Z][A-Z_]+( = |, .* = )""",
    re.MULTILINE,
)


@pytest.mark.parametrize(
    "text", ['patch.setattr(loop, "LIMIT", 3)', 'setattr("jobs.x.LIMIT", 3)', "    loop.LIMIT, loop.N = 3, 4\n"]
)
def test_a_constant_that_is_set_in_another_way_is_found(text: str):
    assert UNWATCHED.search(text)


def test_every_constant_is_set_by_override():
    files = [file for file in Path(__file__).parent.glob("*.py") if file.name != Path(__file__).name]
    assert [file.name for file in files if UNWATCHED.search(file.read_text())] == []
