"""Runs an ONNX file with onnxruntime, on one thread."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnxruntime as ort

#: The type of an ONNX file's input → the type of the rows.
WIDTHS: Mapping[str, type[np.floating[Any]]] = {"tensor(float)": np.float32, "tensor(double)": np.float64}


class Session:
    """An ONNX file whose one input is the matrix of rows, in 32 or 64 bits. Whoever makes one catches what onnxruntime
    raises: it has a class for each fault, and no base class of its own."""

    def __init__(self, model: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        rows = self._session.get_inputs()[0]
        self._name, self.dtype = rows.name, WIDTHS[rows.type]
        self._outputs = [output.name for output in self._session.get_outputs()]  # onnxruntime looks them up each time

    def answer(self, rows: np.ndarray) -> list[Any]:
        """The outputs for rows of shape (n, inputs)."""
        return list(self._session.run(self._outputs, {self._name: rows.astype(self.dtype, copy=False)}))
