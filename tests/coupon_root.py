"""A data root with the domain `coupon` only, which takes seconds, and a service and a stream job at work on it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from conftest import free_port, process

import settings

#: As a process of its own: Feast's objects have their paths from the moment they are imported.
MAKE = """
import numpy as np
from feast import FeatureStore
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression

import settings
from fake import NOW
from features.domains import stream_of
from features.coupon import COUPON
from jobs.stream.job import prepare
from model import shelf
from model.card import Card, CardInput, Metrics, OutcomeRate, Split, Thresholds
from views import coupon

prepare(settings.root(), stream_of("coupon"))
objects = (coupon.coupon_prefix, coupon.location, coupon.device, coupon.coupon_prefixes, coupon.location_attempts,
           coupon.device_attempts, coupon.coupon_now, coupon.coupon)
FeatureStore(str(settings.FEATURE_REPO)).apply(list(objects))

weights, means, base = [0.05, 0.3, 0.1, 3.0], [2.0, 1.0, 2.0, 0.05], -4.0
regression = LogisticRegression()
regression.classes_, regression.coef_ = np.array([0, 1]), np.array([weights])
regression.intercept_ = np.array([base - np.dot(weights, means)])
shape = [("rows", FloatTensorType([None, 4]))]
model = to_onnx(regression, initial_types=shape, options={"zipmap": False}).SerializeToString()
split = Split(since=NOW, until=NOW, rows=1, positives=0)
given = zip(COUPON.inputs, weights, means, strict=True)
inputs = tuple(
    CardInput(name=i.name, dtype=i.dtype, missing=0, mean=mean, low=0, high=1, weight=weight)
    for i, weight, mean in given
)
card = Card(
    name="coupon", version="1", feature_service="coupon", champion="logistic_regression", algorithm="a test's",
    base=base, inputs=inputs, train=split, test=split,
    metrics={"logistic_regression": Metrics(roc_auc=1, average_precision=1, brier=0, log_loss=0)},
    thresholds=Thresholds(low=0.2, high=0.7), libraries={},
    outcomes=dict.fromkeys(COUPON.appetite.words, OutcomeRate(share=0)), model_sha256=shelf.sha256(model),
)
shelf.put(settings.root().models, card, model, "")
"""


def make(root: Path) -> None:
    path = [settings.PROJECT, settings.FEATURE_REPO, settings.PROJECT / "tests"]
    environment = {**os.environ, "RISK_DATA": str(root), "PYTHONPATH": os.pathsep.join(map(str, path))}
    made = subprocess.run([sys.executable, "-c", MAKE], env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr


@contextmanager
def service(root: Path) -> Iterator[str]:
    """Its address, without a slash at the end."""
    port = free_port()
    command, environment = [sys.executable, "app.py"], {**os.environ, "RISK_DATA": str(root), "PORT": str(port)}
    with process(command, f"http://127.0.0.1:{port}/coupon/", cwd=settings.PROJECT, env=environment) as url:
        yield url.removesuffix("/coupon/")


@contextmanager
def stream_job(root: Path) -> Iterator[None]:
    """From the moment that it has its state until it has stopped."""
    job = started(root, "stream", "coupon")
    try:
        deadline = time.monotonic() + 60
        while not (root / "streams" / "coupon.db").exists():
            assert job.poll() is None, job.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield
    finally:
        job.terminate()
        job.communicate(timeout=20)


def started(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """`python -m jobs` as a process that goes on, and that Ctrl-C stops even where a shell runs the tests beside it."""
    return subprocess.Popen(
        [sys.executable, "-m", "jobs", *arguments], cwd=settings.PROJECT, env={**os.environ, "RISK_DATA": str(root)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
