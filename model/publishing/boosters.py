"""A model of LightGBM or XGBoost alone as ONNX."""

import json
from typing import Any

from onnx import ModelProto

from model.publishing.fitted import ONNX_INPUT
from model.publishing.trees import lightgbm_in_64_bits

_TREES_OPSET = 15


def standalone(model: Any, inputs: int) -> ModelProto:
    """The ONNX model, whose one input is a matrix of `inputs` columns: in 64 bits for LightGBM if its trees can be
    said so, and in 32 for XGBoost, which computes in these. Raises what its converter raises."""
    if type(model).__module__.startswith("xgboost"):
        booster = model.get_booster() if hasattr(model, "get_booster") else model
        kind = json.loads(booster.save_config())["learner"]["gradient_booster"]["name"]
        if kind != "gbtree":
            raise ValueError(f"its booster is {kind}, which the converter does not know. Fit it with booster='gbtree'.")
        return _by_onnxmltools(model, "convert_xgboost", inputs)
    return lightgbm_in_64_bits(getattr(model, "booster_", model)) or by_onnxmltools_in_32_bits(model, inputs)


def by_onnxmltools_in_32_bits(model: Any, inputs: int) -> ModelProto:
    """LightGBM's trees by its published converter."""
    return _by_onnxmltools(model, "convert_lightgbm", inputs, zipmap=False)


def _by_onnxmltools(model: Any, converter: str, inputs: int, **options: Any) -> ModelProto:
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType

    shape = [(ONNX_INPUT, FloatTensorType([None, inputs]))]
    converted = getattr(onnxmltools, converter)(model, initial_types=shape, target_opset=_TREES_OPSET, **options)
    assert isinstance(converted, ModelProto)
    return converted
