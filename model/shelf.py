"""Where models stand: `models/<name>/<version>/{model.onnx, card.json, report.html}`, `trees.txt` if it is of trees,
and its challengers; and `models/<name>/current`, a link to the version that serves. A version is written once; the link
is switched last, whole."""

import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

import files
from errors import ModelBroken, ModelNotTrained
from model.card import Card

MODEL, CARD, REPORT, TREES, CURRENT = "model.onnx", "card.json", "report.html", "trees.txt", "current"


def sha256(model: bytes) -> str:
    return hashlib.sha256(model).hexdigest()


def put(shelf: Path, card: Card, model: bytes, report: str, others: Mapping[str, bytes] | None = None) -> Path:
    """Stand a new version on the shelf, with `others`, files by name, and make it the current one. Raises
    FileExistsError on a known version."""
    directory = shelf / card.name / card.version
    files.make_folder(directory.parent)
    if directory.exists():
        raise FileExistsError(f"{directory} is there already. A version is written once: train again for a new one.")
    with tempfile.TemporaryDirectory(prefix=".new-", dir=directory.parent) as scratch:
        made = Path(scratch) / card.version
        made.mkdir()
        (made / MODEL).write_bytes(model)
        (made / CARD).write_text(card.model_dump_json(indent=2))
        (made / REPORT).write_text(report)
        for file, content in (others or {}).items():
            (made / file).write_bytes(content)
        files.sync(*made.iterdir())
        files.replace({made: directory})
    switch(shelf, card.name, card.version)
    return directory


def switch(shelf: Path, name: str, version: str) -> None:
    """Make a version the current one."""
    new = shelf / name / f".{CURRENT}-{version}"
    new.unlink(missing_ok=True)
    new.symlink_to(version)
    files.replace({new: shelf / name / CURRENT})


def current(shelf: Path, name: str) -> Path:
    """Directory of the version that serves. Raises ModelNotTrained."""
    return shelf / name / current_version(shelf, name)


def current_version(shelf: Path, name: str) -> str:
    """The version that serves. Raises ModelNotTrained."""
    try:
        return os.readlink(f"{shelf}/{name}/{CURRENT}")
    except FileNotFoundError:
        raise ModelNotTrained(f"The model {name!r} is not trained yet. Run: python -m jobs train {name}") from None


def take(directory: Path) -> tuple[Card, bytes, str | None]:
    """A version's card, model and trees, if it is of trees. Raises ModelBroken if a file is missing, or not
    the card's."""
    again = f"Train again: python -m jobs train {directory.parent.name}"
    try:
        card = Card.model_validate_json((directory / CARD).read_text())
        model = (directory / MODEL).read_bytes()
        trees = (directory / TREES).read_bytes() if card.trees_sha256 else None
    except (FileNotFoundError, ValidationError) as error:
        raise ModelBroken(f"The model at {directory} cannot be read ({type(error).__name__}). {again}") from error
    if sha256(model) != card.model_sha256 or (trees is not None and sha256(trees) != card.trees_sha256):
        raise ModelBroken(f"The model at {directory} is not the one that its card describes. {again}")
    return card, model, None if trees is None else trees.decode()
