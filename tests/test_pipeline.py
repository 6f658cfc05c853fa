"""What a second run of the pipeline redoes, and what training leaves behind."""

import re
import shutil
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import processes
import pytest
from pipelines import PIPELINE, SIZE, run_again

import settings
from errors import Busy
from features import DOMAINS
from files import locked
from jobs.build.imports import Sources
from jobs.build.plan import steps
from jobs.build.run import run
from jobs.build.steps import Finished, Step
from jobs.build.work import OnPart, raw_events
from jobs.world.marker import World
from jobs.world.shares import shares
from root import KEPT, Root

pytestmark = pytest.mark.slow

WORLD = World(7, SIZE, settings.hash_key())


def step_names(root: Path) -> list[str]:
    return [step.name for step in steps(Root(root), WORLD, datetime.now(UTC))]


def fresh_steps(root: Path, printed: str) -> list[str]:
    return [name for name in step_names(root) if re.search(rf"^\W*{re.escape(name)} +fresh\b", printed, re.MULTILINE)]


def redone_steps(printed: str) -> list[str]:
    return [line.removeprefix("✓ ").split(":")[0] for line in printed.splitlines() if line.startswith("✓")]


def test_a_second_run_redoes_nothing_but_what_was_lost(fresh_world: Path):
    run_again(fresh_world)  # the registry has the path of the root, so a copy applies its features anew
    printed = run_again(fresh_world)
    assert (fresh_steps(fresh_world, printed), redone_steps(printed)) == (step_names(fresh_world), [])
    (fresh_world / "models" / "daily" / "current").unlink()
    printed = run_again(fresh_world)
    assert redone_steps(printed) == ["train daily", "score daily"]
    names = step_names(fresh_world)
    assert fresh_steps(fresh_world, printed) == [name for name in names if not name.endswith(" daily")]


def work(output: Path, on_part: OnPart) -> str:
    output.touch()
    return "done"


def test_a_step_is_fresh_after_a_restart_until_an_input_or_output_changes(tmp_path: Path):
    output, inputs, sources = tmp_path / "output", ["a"], Sources(settings.PROJECT)
    step = Step("step", partial(work, output), lambda: inputs, lambda: [output])
    finished = Finished.read(tmp_path / "finished")

    def is_fresh() -> bool:
        return Finished.read(tmp_path / "finished").is_fresh(step, step.fingerprint(sources))

    assert not is_fresh()
    step.work(lambda part: None)
    assert not is_fresh()
    finished.add(step, step.fingerprint(sources))
    assert is_fresh()
    inputs.append("b")
    assert not is_fresh()
    inputs.pop()
    assert is_fresh()
    output.unlink()
    assert not is_fresh()


def test_a_step_that_was_killed_is_stale_for_the_inputs_before_too(tmp_path: Path):
    step, sources = Step("step", partial(work, tmp_path / "output"), lambda: 1, lambda: [tmp_path]), Sources(tmp_path)
    finished = Finished.read(tmp_path / "finished")
    finished.add(step, "of the inputs before")
    finished.forget(step)
    assert not Finished.read(tmp_path / "finished").is_fresh(step, "of the inputs before")
    assert not finished.is_fresh(step, step.fingerprint(sources))


def test_a_step_whose_outputs_another_command_replaced_is_stale(tmp_path: Path):
    step = Step("step", partial(work, tmp_path), lambda: 1, lambda: [], is_intact=lambda: False)
    finished = Finished.read(tmp_path / "finished")
    finished.add(step, "fingerprint")
    assert not finished.is_fresh(step, "fingerprint")


@pytest.mark.parametrize("text", ["", '{"step": ', "[1]", "null"])
def test_a_damaged_file_of_fingerprints_makes_every_step_stale(tmp_path: Path, text: str):
    (tmp_path / "finished").write_text(text)
    assert Finished.read(tmp_path / "finished").fingerprints == {}


@pytest.fixture
def copy(world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root to spoil."""
    shutil.copytree(world, tmp_path / "root", symlinks=True)
    monkeypatch.setenv("RISK_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


def test_a_second_pipeline_on_the_same_root_is_refused(tmp_path: Path):
    with (
        locked(Root(tmp_path).pipeline_lock, AssertionError("nobody else works here")),
        pytest.raises(Busy, match="Another pipeline is at work on"),
    ):
        run(Root(tmp_path), WORLD, datetime.now(UTC))


def test_a_second_pipeline_exits_with_3_and_changes_nothing(tmp_path: Path):
    with locked(Root(tmp_path).pipeline_lock):
        command = [sys.executable, "-m", "jobs", *PIPELINE]
        ended = processes.run(command, code=3, env=processes.environment(RISK_DATA=str(tmp_path)))
    assert ended.stderr.startswith("busy: Another pipeline is at work on ")
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.lock"]


def test_a_pipeline_leaves_nothing_that_the_root_does_not_list(world: Path):
    entries = {path.name for path in world.iterdir()}
    assert entries - {*KEPT} == {path.name for path in Root(world).world()}
    assert {"raw", "features", "states", "online.db", "registry.db"} <= entries


def test_the_same_world_a_day_later_keeps_the_sign_ups(copy: Path):
    fingerprints = Finished.read(Root(copy).pipeline_fingerprints).fingerprints
    assert fingerprints
    (copy / "raw" / "drivers" / "signed-up-1.parquet").touch()
    root = Root(copy)
    later, nothing = datetime.now(UTC) + timedelta(days=1), lambda *_: None
    raw_events.generate(root, WORLD, later, shares(root, DOMAINS), nothing, nothing)
    assert (copy / "raw" / "drivers" / "signed-up-1.parquet").exists()
    assert (copy / "online.db").exists()
    assert Finished.read(Root(copy).pipeline_fingerprints).fingerprints == fingerprints
