"""Lets onnxruntime run a graph whose numbers change their width. Converters write nodes that get 32 and 64 bits at
once, or that have no 64-bit kernel: onnxruntime refuses both. Such a node gets casts, and computes in the widest
numbers that it has a kernel for. What that costs in digits, the comparison with the estimator sees."""

from functools import cache
from typing import Any

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

_WIDTHS = (TensorProto.DOUBLE, TensorProto.FLOAT)
_NAMES: dict[int, str] = {TensorProto.FLOAT: "tensor(float)", TensorProto.DOUBLE: "tensor(double)"}
#: The output of a node → its type.
Types = dict[str, int]


def with_casts(model: ModelProto) -> ModelProto:
    """The model, changed in place, with a cast before each input of a node that has a number of the wrong width."""
    graph = model.graph
    versions = {opset.domain: opset.version for opset in model.opset_import}
    types: Types = {constant.name: constant.data_type for constant in graph.initializer}
    types |= {value.name: value.type.tensor_type.elem_type for value in graph.input}
    nodes: list[NodeProto] = []
    for node in graph.node:
        nodes += _fitting(node, versions, types)
        nodes.append(node)
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    for output in graph.output:
        if output.type.HasField("tensor_type") and types.get(output.name) in _WIDTHS:
            output.type.tensor_type.elem_type = types[output.name]
    return model


def _fitting(node: NodeProto, versions: dict[str, int], types: Types) -> list[NodeProto]:
    """The casts that a node needs. Its inputs become theirs, and `types` learns its outputs."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    if not onnx.defs.has(node.op_type, domain):
        return []
    schema = onnx.defs.get_schema(node.op_type, versions.get(domain, 1), domain)
    casts, chosen = [], dict[str, int]()
    for variable, places in _places(node, schema).items():
        seen = [types.get(node.input[place]) for place in places]
        if not any(type_ in _WIDTHS for type_ in seen):
            continue
        known = _kernels(node.op_type, domain, schema.since_version, variable)
        wanted = max((type_ for type_ in seen if type_ in _WIDTHS), key=lambda type_: type_ == TensorProto.DOUBLE)
        if known and _NAMES[wanted] not in known:
            wanted = next((width for width in _WIDTHS if _NAMES[width] in known), wanted)
        chosen[variable] = wanted
        for place, type_ in zip(places, seen, strict=True):
            if type_ in _WIDTHS and type_ != wanted:
                cast = f"{node.input[place]}_as_{wanted}_for_{node.output[0]}_{place}"
                casts.append(helper.make_node("Cast", [node.input[place]], [cast], to=wanted))
                node.input[place], types[cast] = cast, wanted
    _learn(node, schema, versions, chosen, types)
    return casts


def _places(node: NodeProto, schema: Any) -> dict[str, list[int]]:
    """A type variable of the schema → the inputs of the node that share it."""
    places: dict[str, list[int]] = {}
    for place, name in enumerate(node.input):
        if name:
            declared = schema.inputs[min(place, len(schema.inputs) - 1)]
            is_shared = not _is_free(declared)
            places.setdefault(declared.type_str if is_shared else f"{declared.type_str} {place}", []).append(place)
    return places


def _is_free(declared: Any) -> bool:
    """Whether the inputs of a variadic parameter may have types of their own."""
    return declared.option == onnx.defs.OpSchema.FormalParameterOption.Variadic and not declared.is_homogeneous


def _learn(node: NodeProto, schema: Any, versions: dict[str, int], chosen: dict[str, int], types: Types) -> None:
    """Note the types of the node's outputs."""
    inferred: dict[str, Any] = {}
    try:
        inputs = {name: helper.make_tensor_type_proto(types[name], None) for name in node.input if types.get(name)}
        opsets = [helper.make_opsetid(domain, version) for domain, version in versions.items()]
        inferred = onnx.shape_inference.infer_node_outputs(schema, node, inputs, opset_imports=opsets)
    except Exception:  # it needs shapes, or values; the schema says the most
        inferred = {}
    for place, name in enumerate(node.output):
        declared = schema.outputs[min(place, len(schema.outputs) - 1)]
        if name in inferred and inferred[name].HasField("tensor_type"):
            types[name] = inferred[name].tensor_type.elem_type
        elif declared.type_str in chosen:
            types[name] = chosen[declared.type_str]
        elif declared.type_str in _NAMES.values():
            types[name] = next(width for width, text in _NAMES.items() if text == declared.type_str)


@cache
def _all_kernels() -> dict[tuple[str, str], list[Any]]:
    from onnxruntime.capi import onnxruntime_pybind11_state

    kernels: dict[tuple[str, str], list[Any]] = {}
    for kernel in onnxruntime_pybind11_state.get_all_opkernel_def():
        if kernel.provider == "CPUExecutionProvider":
            kernels.setdefault((kernel.op_name, kernel.domain), []).append(kernel)
    return kernels


def _kernels(operator: str, domain: str, version: int, variable: str) -> set[str]:
    """The types that onnxruntime's kernels take for a type variable; none if that is unknown."""
    fitting = (
        k for k in _all_kernels().get((operator, domain), []) if k.version_range[0] <= version <= k.version_range[1]
    )
    return {type_ for kernel in fitting for type_ in kernel.type_constraints.get(variable, [])}
