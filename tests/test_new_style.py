"""What `python -m jobs new` writes passes the linters, whatever the names, and however many keys and amounts it has."""

import itertools
import sys
from pathlib import Path

import pytest
from processes import run

import settings
from jobs.own.new.naming import MOST_CHARACTERS
from jobs.own.new.spec import Spec, files

pytestmark = pytest.mark.slow

SIZES = (2, 8, MOST_CHARACTERS)


def specs() -> list[Spec]:
    """Every size of names, with one to three keys, none to two amounts, and both kinds of labels."""
    return [
        Spec("d" * size, "t" * size, "o" * size, "i" * size, tuple(letter * size for letter in "klm"[:keys]),
             tuple(letter * size for letter in "ab"[:amounts]), "f" * size, 14, {}, is_dated=is_dated,
             id_of=("k" * size, "o" * size) if is_dated else ())
        for size, keys, amounts, is_dated in itertools.product(SIZES, (1, 2, 3), (0, 1, 2), (True, False))
    ]  # fmt: skip


def test_ruff_finds_nothing_to_change(tmp_path: Path):
    for number, spec in enumerate(specs()):
        for path, text in files(spec, tmp_path / str(number), 0.03).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    config = ("--config", str(settings.PROJECT / "pyproject.toml"), "--quiet")
    ruff = [sys.executable, "-m", "ruff"]
    run([*ruff, "format", *config, "--check", "."], cwd=tmp_path)
    # In a folder of its own ruff does not know which imports are ours, and that tests need no docstrings.
    run([*ruff, "check", *config, "--ignore", "I001,D103", "."], cwd=tmp_path)
