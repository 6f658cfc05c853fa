"""What scikit-learn's converters lack: boosted histograms, models of LightGBM and XGBoost as a step of a pipeline, and
what is in `operators`."""

from collections.abc import Callable
from functools import cache
from typing import Any

from model.publishing.boosters import standalone
from model.publishing.fitted import ONNX_INPUT
from model.publishing.operators import Nodes, function, imputer, interpolated, shape_of_function

Convert = Callable[[Any, Any, Any], None]


@cache
def register() -> None:
    """Tell skl2onnx. It keeps its converters in one table for the process."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common._registration import get_converter, register_converter
    from skl2onnx.operator_converters import calibrated_classifier_cv
    from sklearn.preprocessing import FunctionTransformer

    for name in ("SklearnHistGradientBoostingClassifier", "SklearnHistGradientBoostingRegressor"):
        known = get_converter(name)
        register_converter(name, _with_whole_numbers(known), overwrite=True, options=known.get_allowed_options())
    name = "SklearnSimpleImputer"
    register_converter(name, imputer(get_converter(name)), overwrite=True)
    update_registered_converter(FunctionTransformer, "OwnFunctionTransformer", shape_of_function, function)
    _register_boosters()
    # Its own takes the nearest step, where scikit-learn takes the line between two steps.
    calibrated_classifier_cv._transform_isotonic = interpolated


def _register_boosters() -> None:
    from lightgbm import LGBMClassifier, LGBMRegressor
    from skl2onnx import update_registered_converter
    from skl2onnx.common import shape_calculator

    classes = shape_calculator.calculate_linear_classifier_output_shapes
    numbers = shape_calculator.calculate_linear_regressor_output_shapes
    options = {"nocl": [True, False], "zipmap": [True, False, "columns"]}
    kinds = [LGBMClassifier, LGBMRegressor]
    try:
        from xgboost import XGBClassifier, XGBRegressor, XGBRFClassifier, XGBRFRegressor
    except ImportError:  # an extra
        pass
    else:
        kinds += [XGBClassifier, XGBRFClassifier, XGBRegressor, XGBRFRegressor]
    for kind in kinds:
        if kind.__name__.endswith("Classifier"):
            # A calibration takes the log-odds of what has a `decision_function`.
            scores = {"raw_scores": [True, False]} if hasattr(kind, "decision_function") else {}
            update_registered_converter(kind, f"Own{kind.__name__}", classes, _embedded, options=options | scores)
        else:
            update_registered_converter(kind, f"Own{kind.__name__}", numbers, _embedded)


def _embedded(scope: Any, operator: Any, container: Any) -> None:
    """The graph of a booster alone, as a step of a larger one. It gets its inputs in the width that it computes in."""
    from onnx import helper, numpy_helper
    from skl2onnx.operator_converters.common import concatenate_variables

    booster = operator.raw_operator
    model = standalone(booster, booster.n_features_in_)
    matrix = concatenate_variables(scope, operator.inputs, container)
    (rows,) = model.graph.input
    wanted = [output.full_name for output in operator.outputs]
    is_raw = container.has_options(booster, "raw_scores")
    is_raw = is_raw and container.get_options(booster, {"raw_scores": False})["raw_scores"]
    wanted = wanted[:1] if is_raw else wanted
    names = {value.name: name for value, name in zip(model.graph.output, wanted, strict=False)}
    names[rows.name] = scope.get_unique_variable_name(ONNX_INPUT)

    def own(name: str) -> str:
        if name and name not in names:
            names[name] = scope.get_unique_variable_name(name)
        return str(names.get(name, name))

    width = rows.type.tensor_type.elem_type
    container.add_node("Cast", [matrix], [names[rows.name]], to=width, name=scope.get_unique_operator_name("Cast"))
    for constant in model.graph.initializer:
        values = numpy_helper.to_array(constant)
        container.add_initializer(own(constant.name), constant.data_type, list(constant.dims), values.ravel().tolist())
    for node in model.graph.node:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        container.add_node(
            node.op_type, [own(name) for name in node.input], [own(name) for name in node.output],
            op_domain=node.domain, name=scope.get_unique_operator_name(node.op_type), **attributes,
        )  # fmt: skip
    if is_raw:
        if "variable" not in names:
            raise ValueError(f"the log-odds of {type(booster).__name__} are not in its graph")
        nodes = Nodes(scope, container, width)
        nodes.add(
            "Concat", nodes.add("Neg", own("variable")), own("variable"), output=operator.outputs[1].full_name, axis=1
        )


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
