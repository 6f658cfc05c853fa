"""What scikit-learn's converter lacks: an imputer in 64 bits, boosted histograms, and models of LightGBM and XGBoost as
the last step of a pipeline."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

Convert = Callable[[Any, Any, Any], None]


@cache
def register() -> None:
    """Tell skl2onnx. It keeps its converters in one table for the process."""
    from skl2onnx.common._registration import get_converter, register_converter

    for name in ("SklearnHistGradientBoostingClassifier", "SklearnHistGradientBoostingRegressor"):
        known = get_converter(name)
        register_converter(name, _with_whole_numbers(known), overwrite=True, options=known.get_allowed_options())
    imputer = "SklearnSimpleImputer"
    register_converter(imputer, _imputer_in_64_bits(get_converter(imputer)), overwrite=True)
    _register_boosters()


def _register_boosters() -> None:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    classes = shape_calculator.calculate_linear_classifier_output_shapes
    numbers = shape_calculator.calculate_linear_regressor_output_shapes
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    update_registered_converter(LGBMClassifier, "LightGbmLGBMClassifier", classes, convert_lightgbm, options=options)
    update_registered_converter(LGBMRegressor, "LightGbmLGBMRegressor", numbers, convert_lightgbm)
    try:
        from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost
        from xgboost import XGBClassifier, XGBRegressor
    except ImportError:  # an extra
        return
    update_registered_converter(XGBClassifier, "XGBoostXGBClassifier", classes, convert_xgboost, options=options)
    update_registered_converter(XGBRegressor, "XGBoostXGBRegressor", numbers, convert_xgboost)


class _WholeNumbers:
    """A container that writes truth values as numbers. skl2onnx gives truth values, which protobuf refuses."""

    def __init__(self, container: Any) -> None:
        self._container = container

    def __getattr__(self, name: str) -> Any:
        return getattr(self._container, name)

    def add_node(self, op_type: str, inputs: Any, outputs: Any, **attributes: Any) -> Any:
        """As skl2onnx's own."""
        name = "nodes_missing_value_tracks_true"
        if name in attributes:
            attributes[name] = [int(value) for value in attributes[name]]
        return self._container.add_node(op_type, inputs, outputs, **attributes)


def _with_whole_numbers(convert: Convert) -> Convert:
    return lambda scope, operator, container: convert(scope, operator, _WholeNumbers(container))


def _imputer_in_64_bits(convert: Convert) -> Convert:
    """onnxruntime's own imputer takes 32 bits only."""

    def convert_imputer(scope: Any, operator: Any, container: Any) -> None:
        from skl2onnx.common.data_types import DoubleTensorType
        from skl2onnx.operator_converters.common import concatenate_variables

        imputer = operator.raw_operator
        values = np.asarray(getattr(imputer, "statistics_", []))
        is_plain = values.dtype == np.float64 and np.isfinite(values).all() and not imputer.add_indicator
        is_nan = isinstance(imputer.missing_values, float) and np.isnan(imputer.missing_values)
        if not (is_plain and is_nan and all(isinstance(i.type, DoubleTensorType) for i in operator.inputs)):
            convert(scope, operator, container)
            return
        from onnx import TensorProto

        matrix = concatenate_variables(scope, operator.inputs, container)
        name, gaps = scope.get_unique_variable_name("statistics"), scope.get_unique_variable_name("is_missing")
        container.add_initializer(name, TensorProto.DOUBLE, [1, len(values)], values.tolist())
        container.add_node("IsNaN", [matrix], [gaps], name=scope.get_unique_operator_name("IsNaN"), op_version=13)
        container.add_node(
            "Where", [gaps, name, matrix], [operator.outputs[0].full_name],
            name=scope.get_unique_operator_name("Where"), op_version=9,
        )  # fmt: skip

    return convert_imputer
