"""Usual estimators of scikit-learn, LightGBM and XGBoost: those that serve, and those that are refused. The page
`publish-your-own-model.md` has the same names."""

from typing import Any

import lightgbm
import numpy as np
import xgboost
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier


def _regression() -> Any:
    return LogisticRegression(max_iter=2000)


def _forest() -> Any:
    return RandomForestClassifier(5, max_depth=4, random_state=0)


def _lightgbm(**options: Any) -> Any:
    return lightgbm.LGBMClassifier(n_estimators=8, verbose=-1, n_jobs=1, **options)


def _xgboost(**options: Any) -> Any:
    return xgboost.XGBClassifier(n_estimators=8, max_depth=3, n_jobs=1, **options)


def _before(*steps: Any) -> Any:
    return make_pipeline(*steps, _regression())


def _calibrated(estimator: Any, method: str = "sigmoid") -> Any:
    return CalibratedClassifierCV(estimator, method=method, cv=2)


def _columns(*pairs: Any) -> Any:
    return make_column_transformer(*pairs, remainder="passthrough")


SERVES: dict[str, Any] = {
    "StandardScaler": _before(StandardScaler()),
    "MinMaxScaler": _before(MinMaxScaler()),
    "MaxAbsScaler": _before(MaxAbsScaler()),
    "RobustScaler": _before(RobustScaler()),
    "PowerTransformer": _before(PowerTransformer()),
    "QuantileTransformer": _before(QuantileTransformer(n_quantiles=20)),
    "PolynomialFeatures": _before(StandardScaler(), PolynomialFeatures(2)),
    "KBinsDiscretizer": _before(KBinsDiscretizer(5)),
    "FunctionTransformer(np.log1p)": _before(FunctionTransformer(np.log1p)),
    "SimpleImputer": _before(SimpleImputer()),
    "SimpleImputer(add_indicator=True)": make_pipeline(SimpleImputer(add_indicator=True), _forest()),
    "SimpleImputer(missing_values=0)": make_pipeline(SimpleImputer(missing_values=0, add_indicator=True), _forest()),
    "OneHotEncoder": _before(_columns((OneHotEncoder(handle_unknown="ignore"), ["weekday"]))),
    "OrdinalEncoder": make_pipeline(_columns((OrdinalEncoder(), ["weekday"])), _forest()),
    "TargetEncoder": _before(_columns((TargetEncoder(random_state=0), ["weekday"]))),
    "ColumnTransformer": _before(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), ["spent", "orders"]), (OneHotEncoder(), [2])
        )
    ),
    "FeatureUnion": _before(make_union(StandardScaler(), MinMaxScaler())),
    "SelectKBest": _before(SelectKBest(k=2)),
    "PCA": _before(StandardScaler(), PCA(2)),
    "LogisticRegression": _regression(),
    "SGDClassifier": make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", random_state=0)),
    "LinearDiscriminantAnalysis": LinearDiscriminantAnalysis(),
    "QuadraticDiscriminantAnalysis": QuadraticDiscriminantAnalysis(),
    "GaussianNB": GaussianNB(),
    "SVC(probability=True)": make_pipeline(StandardScaler(), SVC(probability=True, random_state=0)),
    "KNeighborsClassifier": make_pipeline(StandardScaler(), KNeighborsClassifier(7)),
    "MLPClassifier": make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=20, random_state=0)),
    "DecisionTreeClassifier": DecisionTreeClassifier(max_depth=4, random_state=0),
    "RandomForestClassifier": _forest(),
    "ExtraTreesClassifier": ExtraTreesClassifier(5, max_depth=4, random_state=0),
    "BaggingClassifier": BaggingClassifier(DecisionTreeClassifier(max_depth=3), n_estimators=4, random_state=0),
    "AdaBoostClassifier": AdaBoostClassifier(n_estimators=4, random_state=0),
    "GradientBoostingClassifier": GradientBoostingClassifier(n_estimators=8, random_state=0),
    "HistGradientBoostingClassifier": HistGradientBoostingClassifier(max_iter=8, random_state=0),
    "VotingClassifier": VotingClassifier([("a", _before(_columns((StandardScaler(), ["spent"])))), ("b", _forest())],
                                         voting="soft", weights=[1, 3]),
    "StackingClassifier": StackingClassifier([("a", _regression()), ("b", _lightgbm())], cv=2),
    "CalibratedClassifierCV": _calibrated(make_pipeline(SimpleImputer(), _forest())),
    "CalibratedClassifierCV(method='isotonic')": _calibrated(make_pipeline(SimpleImputer(), _forest()), "isotonic"),
    "LGBMClassifier": _lightgbm(),
    "LGBMClassifier(boosting_type='rf')": _lightgbm(boosting_type="rf", bagging_freq=1, bagging_fraction=0.6),
    "XGBClassifier": _xgboost(),
    "XGBRFClassifier": xgboost.XGBRFClassifier(n_estimators=8, n_jobs=1),
}  # fmt: skip

#: The same steps where they meet others: in a calibration, behind a scaler, in a vote.
MIXED: dict[str, Any] = {
    "a calibrated regression behind a scaler": _calibrated(_before(StandardScaler())),
    "calibrated columns by name": _calibrated(_before(_columns((StandardScaler(), ["spent", "orders"])))),
    "calibrated boosting behind a scaler": _calibrated(
        make_pipeline(StandardScaler(), GradientBoostingClassifier(n_estimators=8, random_state=0)), "isotonic"
    ),
    "calibrated LightGBM": _calibrated(_lightgbm()),
    "calibrated LightGBM behind a scaler": _calibrated(make_pipeline(StandardScaler(), _lightgbm()), "isotonic"),
    "calibrated XGBoost": _calibrated(_xgboost()),
    "XGBoost behind a scaler": make_pipeline(StandardScaler(), _xgboost()),
    "XGBoost behind an imputer": make_pipeline(SimpleImputer(add_indicator=True), _xgboost()),
    "a vote with XGBoost": VotingClassifier([("a", _regression()), ("b", _xgboost())], voting="soft"),
}

#: Name → the estimator, and the words of the refusal.
REFUSED: dict[str, tuple[Any, str]] = {
    "FunctionTransformer(lambda)": (
        _before(FunctionTransformer(lambda rows: rows)), "hold code of Python. Use one of np.log1p, .*, or make",
    ),
    "SplineTransformer": (_before(SplineTransformer()), "SplineTransformer has no form in ONNX. Use another step"),
    "GaussianProcessClassifier": (
        GaussianProcessClassifier(optimizer=None), "cannot be run .* Use another step or estimator",
    ),
    "KNeighborsClassifier(weights='distance')": (
        make_pipeline(StandardScaler(), KNeighborsClassifier(7, weights="distance")),
        "would not serve what was trained: .* ONNX computes a step of the model in another way: use another step",
    ),
    "XGBClassifier(booster='dart')": (_xgboost(booster="dart"), "its booster is dart, .* Fit it with booster='gbtree'"),
}  # fmt: skip
