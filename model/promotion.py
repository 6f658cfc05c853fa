"""Chooses the version that serves: any version of the shelf, or the one that served before."""

from collections.abc import Collection
from pathlib import Path

from choices import unknown
from errors import BadParameter, ModelBroken, ModelNotTrained
from model import history, shelf
from model.card import Card
from model.scorer import Scorer


def loaded(shelf_folder: Path, name: str, version: str, inputs: Collection[str]) -> Scorer:
    """A version, loaded by the scorer that serves. `inputs` are those that the risk declares. Raises BadParameter,
    ModelBroken."""
    known = history.versions(shelf_folder / name)
    if version not in known:
        raise unknown(f"version of {name}", version, known, f"Run: python -m jobs train {name}")
    scorer = Scorer(*shelf.take(shelf_folder / name / version))
    card = scorer.card
    if (card.name, card.version) != (name, version):
        raise ModelBroken(
            f"The card of {name} {version} is that of {card.name} {card.version}. Choose another version."
        )
    if gone := [i.name for i in card.inputs if i.name not in inputs]:
        raise ModelBroken(f"{name} {version} takes {gone[0]!r}, which is no input of the risk. Choose another version.")
    return scorer


def promote(shelf_folder: Path, name: str, version: str, inputs: Collection[str], log: shelf.Log) -> None:
    """Let a version serve, if it can be loaded. Raises BadParameter, ModelBroken, and what `log` raises; then nothing
    changes."""
    with shelf.locked(shelf_folder, name):
        loaded(shelf_folder, name, version, inputs)
        shelf.switch(shelf_folder, name, version, log)


def rollback(shelf_folder: Path, name: str, inputs: Collection[str], log: shelf.Log) -> str:
    """Let the version serve again that served before the current one. Returns it. Raises BadParameter if there is none,
    ModelNotTrained, ModelBroken, and what `log` raises; then nothing changes."""
    with shelf.locked(shelf_folder, name):
        current = shelf.current_version(shelf_folder, name)
        *earlier, _ = history.served(shelf_folder / name, Path(current).name)
        kept = set(history.versions(shelf_folder / name))
        while earlier and earlier[-1] not in kept:  # somebody deleted it
            earlier.pop()
        if not earlier:
            raise BadParameter(
                f"No version of {name} served before {current}. To serve another one: "
                f"python -m jobs models {name} promote VERSION"
            )
        loaded(shelf_folder, name, earlier[-1], inputs)
        shelf.switch(shelf_folder, name, earlier[-1], log, earlier)
        return earlier[-1]


def kept_line(shelf_folder: Path, card: Card) -> str | None:
    """That another version serves on, and how the version of `card` would serve in its place. None if that one
    serves."""
    current = shelf.current_version(shelf_folder, card.name)
    if current == card.version:
        return None
    own = ", a model of your own," if shelf.take(shelf_folder / card.name / current)[0].is_own else ""
    return (
        f"{card.name} {current}{own} serves on. To let the trained one serve: "
        f"python -m jobs models {card.name} promote {card.version}"
    )


def that_stays(shelf_folder: Path, name: str, inputs: Collection[str], beside: bool = False) -> str | None:
    """The version that serves, if a training must not displace it: a team published it, or the training is to stand
    `beside` it. None if there is no such version. Raises ModelBroken if it cannot serve."""
    try:
        version = shelf.current_version(shelf_folder, name)
        return version if loaded(shelf_folder, name, version, inputs).card.is_own or beside else None
    except ModelNotTrained:
        return None
    except BadParameter as error:  # the link leads nowhere
        raise ModelBroken(error.message) from error
