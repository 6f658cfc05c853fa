"""Steps of scikit-learn as ONNX that its converters lack or misread: an imputer in 64 bits, functions of numpy,
isotonic calibration."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto

Convert = Callable[[Any, Any, Any], None]
#: A function of numpy → operators of ONNX, some with a number as their second input.
FUNCTIONS: dict[Any, tuple[tuple[str, float | None], ...]] = {
    np.log1p: (("Add", 1.0), ("Log", None)),
    np.expm1: (("Exp", None), ("Sub", 1.0)),
    np.log: (("Log", None),),
    np.log2: (("Log", None), ("Div", float(np.log(2)))),
    np.log10: (("Log", None), ("Div", float(np.log(10)))),
    np.exp: (("Exp", None),),
    np.sqrt: (("Sqrt", None),),
    np.square: (("Pow", 2.0),),
    np.abs: (("Abs", None),),
    np.sign: (("Sign", None),),
    np.tanh: (("Tanh", None),),
}


class Nodes:
    """Writes nodes one after the other. `element` is the type of their numbers."""

    def __init__(self, scope: Any, container: Any, element: int) -> None:
        self._scope, self._container, self._element = scope, container, element

    def constant(self, values: Any, element: int | None = None) -> str:
        """The name of a constant with the shape of `values`."""
        array, name = np.asarray(values), self._scope.get_unique_variable_name("constant")
        self._container.add_initializer(name, element or self._element, list(array.shape), array.ravel().tolist())
        return str(name)

    def add(self, operator: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """The name of the output."""
        made = output or self._scope.get_unique_variable_name(operator.lower())
        name = self._scope.get_unique_operator_name(operator)
        self._container.add_node(operator, list(inputs), [made], name=name, **attributes)
        return str(made)


def _matrix(scope: Any, operator: Any, container: Any) -> str:
    from skl2onnx.operator_converters.common import concatenate_variables

    return str(concatenate_variables(scope, operator.inputs, container))


def imputer(convert: Convert) -> Convert:
    """onnxruntime's own imputer takes 32 bits only, and has no columns that say what was missing."""

    def convert_imputer(scope: Any, operator: Any, container: Any) -> None:
        from skl2onnx.common.data_types import guess_proto_type

        imputer, element = operator.raw_operator, guess_proto_type(operator.inputs[0].type)
        is_number = isinstance(imputer.missing_values, int | float)
        if not is_number or element not in (TensorProto.FLOAT, TensorProto.DOUBLE):
            convert(scope, operator, container)
            return
        nodes, matrix = Nodes(scope, container, element), _matrix(scope, operator, container)
        if np.isnan(imputer.missing_values):
            gaps = nodes.add("IsNaN", matrix)
        else:
            gaps = nodes.add("Equal", matrix, nodes.constant(float(imputer.missing_values)))
        values = np.asarray(imputer.statistics_, dtype=float)
        filled = nodes.add("Where", gaps, nodes.constant(np.nan_to_num(values)[None, :]), matrix)
        kept = np.flatnonzero(~np.isnan(values))  # a column that had no value is left out
        parts = [nodes.add("Gather", filled, nodes.constant(kept, TensorProto.INT64), axis=1)]
        if imputer.add_indicator and len(imputer.indicator_.features_):
            numbers = nodes.add("Cast", gaps, to=element)
            seen = nodes.constant(imputer.indicator_.features_, TensorProto.INT64)
            parts.append(nodes.add("Gather", numbers, seen, axis=1))
        nodes.add("Concat", *parts, output=operator.outputs[0].full_name, axis=1)

    return convert_imputer


def shape_of_function(operator: Any) -> None:
    """As many numbers as come in. Raises ValueError for a function that ONNX has not."""
    transformer = operator.raw_operator
    if transformer.func is not None and (transformer.func not in FUNCTIONS or transformer.kw_args):
        known = ", ".join(f"np.{known.__name__}" for known in FUNCTIONS)
        raise ValueError(
            f"FunctionTransformer applies {getattr(transformer.func, '__name__', transformer.func)}, and a file cannot "
            f"hold code of Python. Use one of {known}, or make its result an input of the risk."
        )
    kind = type(operator.inputs[0].type)
    operator.outputs[0].type = kind([None, sum(i.type.shape[1] for i in operator.inputs)])


def function(scope: Any, operator: Any, container: Any) -> None:
    """A function of numpy that ONNX has too."""
    from skl2onnx.common.data_types import guess_proto_type

    nodes = Nodes(scope, container, guess_proto_type(operator.inputs[0].type))
    made = _matrix(scope, operator, container)
    for name, number in FUNCTIONS.get(operator.raw_operator.func, ()):
        made = nodes.add(name, made, *([] if number is None else [nodes.constant(number)]))
    nodes.add("Identity", made, output=operator.outputs[0].full_name)


def interpolated(scope: Any, container: Any, model: Any, scores: str, k: int, dtype: Any, element: int) -> str:
    """The isotonic calibrator `k` of a calibrated classifier, applied to `scores`, (n,) or (n, 1): the line between
    two steps, as scikit-learn takes it. The answer is (n, 1)."""
    calibrator = model.calibrators[k]
    x, y = (np.asarray(steps, dtype=float) for steps in (calibrator.X_thresholds_, calibrator.y_thresholds_))
    nodes = Nodes(scope, container, element)
    column = nodes.add("Reshape", scores, nodes.constant([-1, 1], TensorProto.INT64))
    if len(x) == 1:
        return nodes.add("Add", nodes.add("Mul", column, nodes.constant(0.0)), nodes.constant(float(y[0])))
    inside = nodes.add("Min", nodes.add("Max", column, nodes.constant(float(x[0]))), nodes.constant(float(x[-1])))
    beyond = nodes.add("Greater", inside, nodes.constant(x[None, 1:-1]))
    counted = nodes.add("Cast", beyond, to=TensorProto.INT64)
    axis = nodes.constant([1], TensorProto.INT64)
    step = nodes.add("ReduceSum", counted, axis, keepdims=1)
    start, low, slope = (
        nodes.add("Gather", nodes.constant(v), step) for v in (x[:-1], y[:-1], np.diff(y) / np.diff(x))
    )
    return nodes.add("Add", low, nodes.add("Mul", slope, nodes.add("Sub", inside, start)))
