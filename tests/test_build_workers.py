"""Steps of the pipeline are done in processes beside each other."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import processes
import psutil
import pytest

from errors import NoData, StepKilled
from jobs.build import workers
from jobs.build.plan import by_urgency, steps
from jobs.build.steps import Step
from jobs.build.work import OnPart
from jobs.world.marker import World
from root import Root
from simulators import Size

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def cores(monkeypatch: pytest.MonkeyPatch):
    """A machine may have one core only."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})


def step(name: str, work: "partial[str]") -> Step:
    return Step(name, work, lambda: None, lambda: [])


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + processes.WAIT_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} is missing"
        time.sleep(0.01)


def meet(mine: Path, theirs: Path, on_part: OnPart) -> str:
    mine.touch()
    wait_for(theirs)
    on_part("met")
    return f"met at {theirs.name}"


def fail(on_part: OnPart) -> str:
    raise NoData("nothing here", field="rows")


def die(on_part: OnPart) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return ""


def hang(place: Path, on_part: OnPart) -> str:
    place.with_suffix(".new").write_text(str(os.getpid()))
    place.with_suffix(".new").rename(place)
    time.sleep(600)
    return ""


def ended(some: list[Step], on_part: Callable[[str, str], object] = lambda *_: None) -> dict[str, str]:
    """Step → its summary."""
    with workers.started(on_part) as pool:
        for each_step in some:
            pool.begin(each_step)
        summaries = {}
        while len(summaries) < len(some):
            summaries |= {done.name: summary for done, summary, _ in pool.ended()}
        assert list(pool.ended()) == []
    return summaries


def test_steps_are_done_at_the_same_time_and_tell_their_parts(tmp_path: Path):
    a, b, parts = tmp_path / "a", tmp_path / "b", list[tuple[str, str]]()
    summaries = ended([step("one", partial(meet, a, b)), step("two", partial(meet, b, a))], lambda *p: parts.append(p))
    assert summaries == {"one": "met at b", "two": "met at a"}
    assert sorted(parts) == [("one", "met"), ("two", "met")]


def imported(on_part: OnPart) -> str:
    return str("feast" in sys.modules)


def test_a_free_process_imports_the_large_libraries(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0})
    with workers.started(print) as pool:
        pool.prepare()
        pool.begin(step("one", partial(imported)))
        assert [summary for _, summary, _ in pool.ended()] == ["True"]


def test_an_error_arrives_as_it_was_raised():
    with pytest.raises(NoData, match=r"^nothing here$") as raised:
        ended([step("fails", partial(fail))])
    assert raised.value.field == "rows"


def test_a_step_that_the_system_kills_is_told():
    with pytest.raises(StepKilled, match=r"^One of these steps was killed: train chargeback\."):
        ended([step("train chargeback", partial(die))])


START = f"""
import sys
from functools import partial
from pathlib import Path
from {hang.__module__} import hang, step
from jobs.build import workers
if __name__ == "__main__":
    with workers.started(print) as pool:
        pool.begin(step("hangs", partial(hang, Path(sys.argv[1]))))
        list(pool.ended())
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_outlives_its_pipeline(tmp_path: Path, how: signal.Signals):
    (script := tmp_path / "start.py").write_text(START)
    env = processes.environment(RISK_DATA=tmp_path) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with processes.started([sys.executable, str(script), str(tmp_path / "pid")], env=env) as parent:
        wait_for(tmp_path / "pid")
        worker = int((tmp_path / "pid").read_text())
        os.kill(parent.pid, how)
        if how == signal.SIGINT:  # Ctrl-C reaches all processes of a terminal
            os.kill(worker, how)
        with suppress(psutil.NoSuchProcess):
            psutil.Process(worker).wait(processes.WAIT_SECONDS)


def test_a_step_comes_after_those_whose_results_it_takes():
    plan = steps(Root(Path("root")), World(7, Size(), b"key"), datetime.now(UTC))
    names = [planned.name for planned in plan]
    for number, planned in enumerate(plan):
        assert planned.after or number == 0
        assert set(planned.after) <= set(names[:number])


def test_what_most_others_wait_for_begins_first():
    nothing = partial(fail)
    plan = [
        Step("short", nothing, lambda: None, lambda: []),
        Step("long", nothing, lambda: None, lambda: [], parts=9),
        Step("unknown", nothing, lambda: None, lambda: [], parts=None),
        Step("train", nothing, lambda: None, lambda: []),
        Step("score", nothing, lambda: None, lambda: [], after=("train", "apply", "what this plan lacks")),
        Step("apply", nothing, lambda: None, lambda: []),
        Step("stream", nothing, lambda: None, lambda: [], after=("apply",)),
    ]
    rank = by_urgency(plan)
    assert sorted(rank, key=rank.__getitem__) == ["apply", "train", "long", "short", "score", "stream", "unknown"]
