"""Models of a team's own for tests: estimators, frames, ONNX files."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from onnx import TensorProto, helper
from regression import NAMES, declared
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler

from features.risk import Risk
from model.scorer import Scorer, Scorers

ROWS = 1200
X = list(NAMES)


def frames() -> dict[str, pd.DataFrame]:
    """Training frames by task: three inputs, a label, timestamps."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"orders": rng.poisson(8, ROWS), "spent": rng.gamma(2, 50, ROWS), "weekday": rng.integers(0, 7, ROWS)}
    )
    total = 0.3 * (frame["orders"] - 8) + 0.02 * (frame["spent"] - 100) - (frame["weekday"] == 3)
    frame["event_timestamp"] = pd.date_range("2026-01-01", periods=ROWS, freq="h", tz="UTC")
    return {
        "regression": frame.assign(loyalty=total + rng.normal(0, 0.5, ROWS)),
        "classification": frame.assign(loyalty=(rng.random(ROWS) < 1 / (1 + np.exp(-total))).astype(int)),
    }


FRAMES = frames()


def risk_of(task: Any, **changes: Any) -> Risk:
    return declared(task=task, bounds=None, algorithms=("gradient_boosting",), **changes)


def by_name() -> Any:
    return make_column_transformer(
        (StandardScaler(), ["spent", "orders"]), (OneHotEncoder(handle_unknown="ignore"), ["weekday"])
    )


#: Task, estimator, whether its contributions are exact.
CAN: dict[str, tuple[str, Any, bool]] = {
    "logistic regression": ("classification", LogisticRegression(max_iter=2000), True),
    "an imputer and scaled inputs": (
        "classification", make_pipeline(SimpleImputer(), MinMaxScaler(), LogisticRegression()), True,
    ),
    "columns by name": ("classification", make_pipeline(by_name(), LogisticRegression(max_iter=2000)), False),
    "a forest": ("classification", RandomForestClassifier(15, max_depth=4, random_state=0), False),
    "boosted trees": ("classification", GradientBoostingClassifier(n_estimators=20, random_state=0), False),
    "boosted histograms": ("classification", HistGradientBoostingClassifier(max_iter=15, random_state=0), False),
    "a network": ("classification", MLPClassifier((6,), max_iter=60, random_state=0), False),
    "naive Bayes": ("classification", GaussianNB(), False),
    "calibrated trees": (
        "classification",
        CalibratedClassifierCV(RandomForestClassifier(5, max_depth=3, random_state=0), cv=2), False,
    ),
    "a vote": (
        "classification",
        VotingClassifier([("a", LogisticRegression(max_iter=2000)), ("b", GaussianNB())], voting="soft"), False,
    ),
    "LightGBM": ("classification", lightgbm.LGBMClassifier(n_estimators=15, verbose=-1, n_jobs=1), True),
    "LightGBM in a pipeline": (
        "classification",
        make_pipeline(StandardScaler(), lightgbm.LGBMClassifier(n_estimators=15, verbose=-1, n_jobs=1)), False,
    ),
    "linear regression": ("regression", make_pipeline(StandardScaler(), LinearRegression()), True),
    "ridge by name": ("regression", make_pipeline(by_name(), Ridge()), False),
    "a forest of numbers": ("regression", RandomForestRegressor(15, max_depth=4, random_state=0), False),
    "histograms of numbers": ("regression", HistGradientBoostingRegressor(max_iter=15, random_state=0), False),
    "LightGBM of numbers": ("regression", lightgbm.LGBMRegressor(n_estimators=15, verbose=-1, n_jobs=1), True),
}  # fmt: skip


def fitted(name: str) -> tuple[Risk, Any, pd.DataFrame, bool]:
    task, estimator, is_exact = CAN[name]
    return risk_of(task), estimator.fit(FRAMES[task][X], FRAMES[task]["loyalty"]), FRAMES[task], is_exact


def served(root: Path) -> Scorer:
    return Scorers(root / "models")["made_up"]


def on_disk(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def graph(nodes: list[Any], inputs: list[Any], outputs: list[Any]) -> bytes:
    values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
    made = helper.make_graph(nodes, "made", values[0], values[1])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 15)], ir_version=8).SerializeToString()


def sums_of_rows(
    input_type: int = TensorProto.FLOAT, width: int = 3, output_type: int = TensorProto.FLOAT, scale: str = "Sigmoid"
) -> bytes:
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1]),
        helper.make_node(scale, ["mean"], ["scaled"]),
        helper.make_node("Cast", ["scaled"], ["y"], to=output_type),
    ]
    return graph(nodes, [("x", input_type, [None, width])], [("y", output_type, [None, 1])])
