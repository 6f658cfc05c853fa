"""The shelf: where models are stored. `models/<name>/<version>/` holds `model.onnx`, `card.json`, `report.html`,
`reference.json`, the challengers, and `trees.txt` or `background.csv` if the model needs one to be explained.
`models/<name>/current` is a link to the version that serves.

A version is written once and never changed. The link is switched last, in one step.
"""

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import files
from errors import ModelBroken, ModelNotTrained
from model import history
from model.card import Card

MODEL, CARD, REPORT, TREES, BACKGROUND = "model.onnx", "card.json", "report.html", "trees.txt", "background.csv"
REFERENCE = "reference.json"
CURRENT = "current"

#: Logs that a version is to serve, before it does. If it raises, nothing changes.
Log = Callable[[str], object]

#: What is said of a version that has another thing in the place of a file, or nothing: it has to be made again.
_OTHER_FILES = (FileNotFoundError, IsADirectoryError, NotADirectoryError)
#: The start of the name of a folder in which a version is written before it has its own name.
_NEW = ".new-"


def sha256(model: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(model).hexdigest()


def put(
    shelf: Path,
    card: Card,
    model: bytes,
    report: str,
    others: Mapping[str, bytes] | None = None,
    prove: Callable[[Path], object] = lambda version: None,
    *,
    log: Log,
    displaces: Callable[[], bool] = lambda: True,
) -> Path:
    """Write a new version as `add` does, and make it the current one if it `displaces` the one that is. That is asked
    under the lock: another one may serve since the work on this one began. Returns its folder."""
    folder = add(shelf, card, model, report, others, prove)
    with locked(shelf, card.name):
        if displaces():
            switch(shelf, card.name, card.version, log)
    return folder


def add(
    shelf: Path,
    card: Card,
    model: bytes,
    report: str,
    others: Mapping[str, bytes] | None = None,
    prove: Callable[[Path], object] = lambda version: None,
) -> Path:
    """Write a new version, with the files `others` (name → content). What serves stays. Returns its folder.

    `prove` gets the folder of the written version before anybody else can see it. If it raises, nothing is left of the
    version. A run that is repeated, as of the same timestamp, finds its version there. Raises FileExistsError if
    another one has its name, and ModelBroken.
    """
    folder = shelf / card.name / card.version
    with locked(shelf, card.name):
        if folder.exists():
            if _without_replaced(take(folder)[0]) == _without_replaced(card):
                return folder
            raise FileExistsError(f"{folder} exists. A version is written once: train again for a new one.")
        for left in folder.parent.glob(f"{_NEW}*"):  # by a run that was killed
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=_NEW, dir=folder.parent) as scratch:
            version = Path(scratch) / card.version
            version.mkdir()
            (version / MODEL).write_bytes(model)
            (version / CARD).write_text(card.model_dump_json(indent=2))
            (version / REPORT).write_text(report)
            for name, content in (others or {}).items():
                (version / name).write_bytes(content)
            prove(version)
            for file in (version, *version.iterdir()):
                files.hide(file)
            files.sync(*version.iterdir())
            files.replace({version: folder})
    return folder


def switch(shelf: Path, name: str, version: str, log: Log, back_to: Sequence[str] | None = None) -> None:
    """Make a version the current one, and keep which versions served; if it is the current one, nothing is done.
    `back_to` is the list of those after a roll-back, with `version` last. The caller holds the lock, so two switches
    are logged in the order in which they take effect."""
    folder, served = shelf / name, _served(shelf, name)
    if served[-1:] == [version]:
        return
    log(version)
    if back_to is None:  # a longer list before the link, a shorter one after it: a crash between loses nothing
        history.write(folder, [*served, version])
    link = folder / f".{CURRENT}.tmp"
    link.unlink(missing_ok=True)  # of a run that was killed
    link.symlink_to(version)
    files.replace({link: folder / CURRENT})
    if back_to is not None:
        history.write(folder, back_to)


def locked(shelf: Path, name: str) -> AbstractContextManager[None]:
    """Let nobody else add, choose or remove a version of a model meanwhile."""
    return files.locked(shelf / name / "switch.lock")


def _without_replaced(card: Card) -> str:
    """All of a card but what served when it was written."""
    return card.model_dump_json(exclude={"replaced"})


def _served(shelf: Path, name: str) -> list[str]:
    try:
        return history.served(shelf / name, Path(current_version(shelf, name)).name)
    except ModelNotTrained:
        return []


def current(shelf: Path, name: str) -> Path:
    """The folder of the version that serves. Raises ModelNotTrained."""
    return shelf / name / current_version(shelf, name)


def current_version(shelf: Path, name: str) -> str:
    """The version that serves. Raises ModelNotTrained, ModelBroken."""
    try:
        return os.readlink(f"{shelf}/{name}/{CURRENT}")
    except FileNotFoundError:
        raise ModelNotTrained(f"The model {name!r} is not trained yet. Run: python -m jobs train {name}") from None
    except OSError as error:
        link = shelf / name / CURRENT
        if error.errno != errno.EINVAL:
            raise ModelBroken(f"The version of {name} in force cannot be read. {files.fault(error, link)}") from error
        remedy = f"Move it away, and train again: python -m jobs train {name}"  # a file or a folder is there
        raise ModelBroken(f"{link} is not the link to the version that serves. {remedy}") from error


def take(folder: Path) -> tuple[Card, bytes, str | None]:
    """The card, the ONNX file, and the trees or the background rows, if there are any, of a version. Raises ModelBroken
    if a file is missing or is not the one that the card describes."""
    remedy = f"Train again: python -m jobs train {folder.parent.name}"
    try:
        card = Card.model_validate_json((folder / CARD).read_text())
        model = (folder / MODEL).read_bytes()
        explanation, digest = _explanation(folder, card)
    except (OSError, ValueError) as error:  # pydantic's and UTF-8's errors are ValueErrors
        if isinstance(error, OSError) and not isinstance(error, _OTHER_FILES):
            remedy = files.fault(error)
        raise ModelBroken(f"The model at {folder} cannot be read ({type(error).__name__}). {remedy}") from error
    if sha256(model) != card.model_sha256 or (explanation is not None and sha256(explanation) != digest):
        raise ModelBroken(f"The model at {folder} is not the one that its card describes. {remedy}")
    return card, model, None if explanation is None else explanation.decode()


def _explanation(folder: Path, card: Card) -> tuple[bytes | None, str | None]:
    """The file that explains the model, and the digest that the card gives of it."""
    for name, digest in ((TREES, card.trees_sha256), (BACKGROUND, card.background_sha256)):
        if digest:
            return (folder / name).read_bytes(), digest
    return None, None
