"""LightGBM's trees as ONNX in 64 bits. A published converter keeps thresholds and inputs in 32 bits, so that a value
beyond 2²⁴ may go the other way at a split."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from lightgbm import Booster
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from model.publishing.fitted import ONNX_INPUT

_OPSETS = [helper.make_opsetid("", 15), helper.make_opsetid("ai.onnx.ml", 3)]
_IR_VERSION = 8
_LINKS = ("regression", "binary")


def lightgbm_in_64_bits(booster: Booster, shift: float = 0.0) -> ModelProto | None:
    """The ONNX model of a booster, whose sums are larger by `shift`. Its input is `rows` (n, inputs), double. Its
    outputs are `label` and `probabilities` (n, 2), or `variable` (n, 1). None if the booster has what these trees
    cannot say: sets of categories, zeros that are missing values, a link other than `binary` or `regression`."""
    dump = booster.dump_model()
    objective = dump["objective"].split() or [""]
    is_plain = dump["num_tree_per_iteration"] == 1
    if objective[0] not in _LINKS or not is_plain or "sqrt" in objective:
        return None
    nodes = [
        (number, *node)
        for number, tree in enumerate(dump["tree_info"])
        for node in _nodes(tree["tree_structure"], tree["num_leaves"])
    ]
    if dump["average_output"]:  # a forest
        for _, _, record in nodes:
            if _is_leaf(record):
                record["leaf_value"] /= len(dump["tree_info"])
    splits = [split for _, _, split in nodes]
    if any(s.get("decision_type", "<=") != "<=" or s.get("missing_type") == "Zero" for s in splits):
        return None
    if any("leaf_coeff" in split for split in splits):
        return None
    steepness = [float(word.removeprefix("sigmoid:")) for word in objective if word.startswith("sigmoid:")] or [1.0]
    # onnxruntime sums the leaves in double and answers a float. Without the middle of the first tree, the sums are
    # small, and the float keeps their digits.
    middle = float(np.mean([record["leaf_value"] for tree, _, record in nodes if tree == 0 and _is_leaf(record)]))
    return _graph(
        _ensemble(nodes, middle), middle + shift, booster.num_feature(), objective[0] == "binary", steepness[0]
    )


def _is_leaf(record: dict[str, Any]) -> bool:
    return "split_index" not in record


def _nodes(structure: dict[str, Any], leaves: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and the record of every node of a tree. Leaf n has the number `leaves` + n."""
    if _is_leaf(structure):
        yield leaves + structure.get("leaf_index", 0), structure
        return
    children = {side: structure[f"{side}_child"] for side in ("left", "right")}
    numbers = {side: child.get("split_index", leaves + child.get("leaf_index", 0)) for side, child in children.items()}
    yield structure["split_index"], structure | numbers
    for child in children.values():
        yield from _nodes(child, leaves)


def _ensemble(nodes: list[tuple[int, int, dict[str, Any]]], middle: float) -> NodeProto:
    """One ONNX node of (tree, number, record), whose sum is less by `middle`. The first node of a tree is its root."""
    leaves = [
        (tree, number, record["leaf_value"] - (middle if tree == 0 else 0.0))
        for tree, number, record in nodes
        if _is_leaf(record)
    ]
    records = [record for *_, record in nodes]
    defaults_left = [int(r.get("missing_type") == "NaN" and r["default_left"]) for r in records]
    return helper.make_node(
        "TreeEnsembleRegressor", [ONNX_INPUT], ["sums"], domain="ai.onnx.ml", n_targets=1, aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=[tree for tree, *_ in nodes],
        nodes_nodeids=[number for _, number, _ in nodes],
        nodes_modes=["LEAF" if _is_leaf(record) else "BRANCH_LEQ" for record in records],
        nodes_featureids=[record.get("split_feature", 0) for record in records],
        nodes_values_as_tensor=_doubles("thresholds", [record.get("threshold", 0.0) for record in records]),
        nodes_truenodeids=[record.get("left", 0) for record in records],
        nodes_falsenodeids=[record.get("right", 0) for record in records],
        nodes_missing_value_tracks_true=defaults_left,
        target_treeids=[tree for tree, *_ in leaves],
        target_nodeids=[number for _, number, _ in leaves],
        target_ids=[0] * len(leaves),
        target_weights_as_tensor=_doubles("leaves", [value for *_, value in leaves]),
    )  # fmt: skip


def _doubles(name: str, values: list[float]) -> TensorProto:
    return numpy_helper.from_array(np.array(values, dtype=np.float64), name)


def _graph(ensemble: NodeProto, addend: float, inputs: int, is_binary: bool, steepness: float) -> ModelProto:
    rows = helper.make_tensor_value_info(ONNX_INPUT, TensorProto.DOUBLE, [None, inputs])
    constants = [_doubles("addend", [addend])]
    nodes = [
        ensemble,
        helper.make_node("Cast", ["sums"], ["doubles"], to=TensorProto.DOUBLE),
        helper.make_node("Add", ["doubles", "addend"], ["variable"]),
    ]
    outputs = [helper.make_tensor_value_info("variable", TensorProto.DOUBLE, [None, 1])]
    if is_binary:
        constants += [_doubles("one", [1.0]), _doubles("half", [0.5]), _doubles("steepness", [steepness])]
        constants += [numpy_helper.from_array(np.array([-1]), "a_column_less")]
        nodes += [
            helper.make_node("Mul", ["variable", "steepness"], ["log_odds"]),
            helper.make_node("Sigmoid", ["log_odds"], ["positive"]),
            helper.make_node("Sub", ["one", "positive"], ["negative"]),
            helper.make_node("Concat", ["negative", "positive"], ["probabilities"], axis=1),
            helper.make_node("Greater", ["positive", "half"], ["is_positive"]),
            helper.make_node("Cast", ["is_positive"], ["labels"], to=TensorProto.INT64),
            helper.make_node("Reshape", ["labels", "a_column_less"], ["label"]),
        ]
        outputs = [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, [None, 2]),
        ]
    graph = helper.make_graph(nodes, "trees", [rows], outputs, constants)
    return helper.make_model(graph, opset_imports=_OPSETS, ir_version=_IR_VERSION)
