"""Checks an ONNX file, and gives it the one input that the service fills: the matrix of rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, TensorProto, helper, numpy_helper

from errors import ModelRefused
from model.card import Task
from model.publishing.fitted import ONNX_INPUT

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE)
_NUMBERS = (*FLOATS, TensorProto.INT64, TensorProto.INT32)
EXPECTED = (
    "Its input must be one matrix of float or double with a column for each input of the risk, or one column for each "
    "input, of its name. Its output must be the labels 0 and 1 and a matrix of their probabilities, or one column of "
    "probabilities or numbers."
)


def read(content: bytes) -> ModelProto:
    """The model in these bytes. Raises ModelRefused if there is none."""
    try:
        model = onnx.load_from_string(content)
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf and onnx have no base class in common
        seen = " ".join(str(error).split())[:200]
        raise ModelRefused(f"This is no ONNX file ({seen}). The current model stays.") from error
    return model


def served(model: ModelProto, names: Sequence[str], task: Task, order: Sequence[str] | None = None) -> bytes:
    """The model with one input, a matrix with a column for each of `names`, and without a ZipMap. `order` names the
    columns of its own matrix, by default `names`. Raises ModelRefused, with what was seen, if it takes or gives
    anything else."""
    model = _without_zipmap(model)
    _check_outputs(model, task)
    _take_matrix(model, list(names), list(names) if order is None else list(order))
    return bytes(model.SerializeToString())


def _inputs(model: ModelProto) -> list[Any]:
    """Without those that are constants."""
    constants = {constant.name for constant in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def _without_zipmap(model: ModelProto) -> ModelProto:
    """The probabilities as a matrix, where a converter made a list of dictionaries of them."""
    types = {value.type.tensor_type.elem_type for value in _inputs(model)}
    element = TensorProto.DOUBLE if TensorProto.DOUBLE in types else TensorProto.FLOAT
    for node in [node for node in model.graph.node if node.op_type == "ZipMap"]:
        for position, output in enumerate(model.graph.output):
            if output.name == node.output[0]:
                matrix = helper.make_tensor_value_info(node.input[0], element, [None, 2])
                model.graph.output.remove(output)
                model.graph.output.insert(position, matrix)
        model.graph.node.remove(node)
    return model


def _check_outputs(model: ModelProto, task: Task) -> None:
    outputs = list(model.graph.output)
    last = outputs[-1].type.tensor_type
    width = _shape(outputs[-1])[1:]
    is_float = last.elem_type in FLOATS
    columns = {"classification": (1, 2, None), "regression": (1, None)}[task]
    fits = is_float and len(width) <= 1 and all(size in columns for size in width)
    most = 2 if task == "classification" else 1
    if not fits or len(outputs) > most or (len(outputs) == 2 and outputs[0].type.tensor_type.elem_type in FLOATS):
        seen = ", ".join(_described(output) for output in outputs)
        raise ModelRefused(f"The ONNX file gives {seen}, for a {task}. {EXPECTED} The current model stays.")


def _take_matrix(model: ModelProto, names: list[str], order: list[str]) -> None:
    """Change the model in place. If it takes columns one by one, or in another order, they are gathered from the
    matrix first."""
    inputs = _inputs(model)
    types = [value.type.tensor_type.elem_type for value in inputs]
    width = _shape(inputs[0])[1:] if inputs else []
    if len(inputs) == 1 and types[0] in FLOATS and width in ([len(order)], [None]):
        if order == names:
            return
        taken = [(inputs[0], [names.index(name) for name in order])]
    elif {value.name for value in inputs} <= set(names) and all(type_ in _NUMBERS for type_ in types):
        taken = [(value, [names.index(value.name)]) for value in inputs]
    else:
        seen = ", ".join(_described(value) for value in inputs) or "no input"
        raise ModelRefused(
            f"The ONNX file takes {seen}; the risk has {len(names)} inputs: {', '.join(names)}. {EXPECTED} The current "
            "model stays."
        )
    element = TensorProto.DOUBLE if any(type_ != TensorProto.FLOAT for type_ in types) else TensorProto.FLOAT
    matrix = ONNX_INPUT if ONNX_INPUT not in {value.name for value, _ in taken} else f"{ONNX_INPUT}_of_inputs"
    nodes = []
    for position, (value, columns) in enumerate(taken):
        indices, gathered = f"columns_{position}_of_matrix", f"gathered_{position}"
        model.graph.initializer.append(numpy_helper.from_array(np.array(columns, dtype=np.int64), indices))
        nodes.append(helper.make_node("Gather", [matrix, indices], [gathered], axis=1))
        nodes.append(helper.make_node("Cast", [gathered], [value.name], to=value.type.tensor_type.elem_type))
        model.graph.input.remove(value)
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    model.graph.input.insert(0, helper.make_tensor_value_info(matrix, element, [None, len(names)]))
    if not any(opset.domain == "" for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", 15))


def _shape(value: Any) -> list[int | None]:
    """The size of each dimension; None where it is free."""
    dimensions = value.type.tensor_type.shape.dim
    return [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None for d in dimensions]


def _described(value: Any) -> str:
    """A name with type and shape, as `rows: float [n, 3]`."""
    if not value.type.HasField("tensor_type"):
        return f"{value.name}: {value.type.WhichOneof('value')}"
    element = TensorProto.DataType.Name(value.type.tensor_type.elem_type).lower()
    return f"{value.name}: {element} [{', '.join('n' if d is None else str(d) for d in _shape(value))}]"
