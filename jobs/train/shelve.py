"""A model of a team's own, from an ONNX file, held to the risk's own past cases."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from features.risk import Protocol, Risk
from jobs.train.champion import case_rows
from model import shelf
from model.card import Card
from model.publishing import own
from root import Root
from serving import policies
from serving.store import Store


def shelve(
    root: Root,
    store: Store,
    risk: Risk,
    onnx: Path,
    now: datetime,
    log: shelf.Log,
    protocol: Protocol | None = None,
    start: datetime | None = None,
    quarantine: Path | None = None,
    accept_against: tuple[str, ...] = (),
    algorithm: str | None = None,
    tell: Callable[[str], object] = lambda line: None,
) -> Card:
    """Make the model in the file `onnx` the one that serves. The training rows, with which scores are explained, and
    the later test rows are those that `champion.train` would take. Raises NoData, BadInput, FeaturesNotReady;
    ModelRefused if the model cannot be served or goes against a declared direction. Then nothing changes. `log` gets
    the version before it serves, and `tell` a line about what goes on."""
    appetite = policies.appetite(root.policies, risk)
    past, future = case_rows(root, store, risk, now, protocol or risk.protocol, start, quarantine)
    return own.publish(
        root.models, risk, appetite, onnx, past, future, now=now, log=log, accept_against=accept_against,
        algorithm=algorithm, tell=tell,
    )  # fmt: skip
