"""Shapley values of LightGBM's trees that are too large for tables (`shapley.py`), from the library below its Python
package: the package takes as long for one row as the values themselves, and a second to import. The functions and their
arguments are those of LightGBM's C API."""

import ctypes
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock

import numpy as np

from errors import ModelBroken

#: `C_API_DTYPE_FLOAT64`, `C_API_PREDICT_CONTRIB`.
_FLOAT64, _CONTRIBUTIONS = 1, 3
_POINTER = ctypes.c_void_p


class Booster:
    """Trees that were written as LightGBM's text. Threads may share it."""

    def __init__(self, trees: str) -> None:
        """Raises ModelBroken."""
        self._library, self._lock = _library(), Lock()
        self._booster, self._row = _POINTER(), _POINTER()
        text, trees_read, inputs = trees.encode(), ctypes.c_int(), ctypes.c_int()
        self._call("BoosterLoadModelFromString", text, ctypes.byref(trees_read), ctypes.byref(self._booster))
        self._call("BoosterGetNumFeature", self._booster, ctypes.byref(inputs))
        self.inputs = inputs.value
        all_trees = ctypes.c_int(0), ctypes.c_int(0)
        self._call(
            "BoosterPredictForMatSingleRowFastInit", self._booster, ctypes.c_int(_CONTRIBUTIONS), *all_trees,
            ctypes.c_int(_FLOAT64), ctypes.c_int32(self.inputs), b"num_threads=1", ctypes.byref(self._row),
        )  # fmt: skip

    def __del__(self) -> None:
        if self._row:
            self._library.LGBM_FastConfigFree(self._row)
        if self._booster:
            self._library.LGBM_BoosterFree(self._booster)

    def contributions(self, rows: np.ndarray) -> np.ndarray:
        """What each input adds to the sum of the trees. `rows` has shape (n, inputs), float64, row after row in memory,
        without missing values; so has the answer. Raises ModelBroken."""
        answers, length = np.empty((len(rows), self.inputs + 1)), ctypes.c_int64()
        with self._lock:  # the library keeps what it needs for a row
            for row, answer in zip(rows, answers, strict=True):
                places = _POINTER(row.ctypes.data), ctypes.byref(length), _POINTER(answer.ctypes.data)
                self._call("BoosterPredictForMatSingleRowFast", self._row, *places)
        return answers[:, :-1]  # without the base

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._library, f"LGBM_{name}")(*arguments):
            raise ModelBroken(f"LightGBM: {self._library.LGBM_GetLastError().decode()}. Train again.")


@cache
def _library() -> ctypes.CDLL:
    """The library that the package `lightgbm` ships."""
    package = find_spec("lightgbm")
    folder = Path(package.origin).parent if package and package.origin else Path()
    files = sorted((folder / "lib").glob("lib_lightgbm.*"))
    if not files:
        raise ModelBroken(f"There is no lib_lightgbm in {folder / 'lib'}. Install the package lightgbm.")
    library = ctypes.CDLL(str(files[0]))
    library.LGBM_GetLastError.restype = ctypes.c_char_p
    return library
