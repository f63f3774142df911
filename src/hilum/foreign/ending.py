"""How a network ends: its last linear layer, and the map that it pools, read from the graph.

What is made of either is `graph`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.openvino_runtime import openvino, opset

Value = Any  # openvino.Output, which has no types

_ON_EACH = ("Relu", "Sigmoid", "Softmax", "Swish", "Clamp", "Tanh", "Negative", "Abs")
_NO_CHANGE = ("Convert", "Reshape", "Squeeze", "Unsqueeze")  # of numbers that belong to a film


@dataclass(frozen=True)
class Ending:
    """The last linear layer.

    feature_nc: what goes into it
    weight_kc, bias_k: the layer; bias_k is None where something stands between it and the output
    map_nchw: whose mean over all places feature_nc is; None where it is not
    """

    feature_nc: Value
    weight_kc: NDArray[np.float32]
    bias_k: NDArray[np.float32] | None
    map_nchw: Value | None


def is_two_classes(weight_kc: NDArray[np.float32]) -> bool:
    """Whether a softmax of this layer is of two."""
    return len(weight_kc) == 2


def ending_of(raw_nk: Value) -> Ending | None:
    """The last linear layer before an output; None where there is none that can be told."""
    width = raw_nk.get_partial_shape()[1].get_length()
    value, linear = _through(raw_nk), True
    scale_k, bias_k = np.ones(width, np.float32), np.zeros(width, np.float32)
    while (node := value.get_node()).get_type_name() != "MatMul":
        kind = node.get_type_name()
        if kind in _ON_EACH:
            linear, value = False, node.input_value(0)
        elif kind in ("Add", "Multiply") and (other := _constant(node)) is not None:
            if other[1].size not in (1, width):
                return None
            if kind == "Add":
                bias_k = bias_k + scale_k * other[1].reshape(-1)
            else:  # ONNX's Gemm multiplies by 1
                scale_k = scale_k * other[1].reshape(-1)
            value = node.input_value(other[0])
        else:
            return None
        value = _through(value)
    found = _constant(node)
    if found is None or found[1].ndim != 2 or found[0] != 0:
        return None
    attributes = node.get_attributes()
    if attributes["transpose_a"]:
        return None
    weight_kc = found[1] if attributes["transpose_b"] else found[1].T
    given = node.input_value(0)
    if given.get_partial_shape().rank != 2 or given.get_partial_shape()[1].is_dynamic:
        return None
    pooled = _pooled(given, weight_kc.shape[1])
    weight_kc = np.ascontiguousarray(weight_kc * scale_k[:, None], dtype=np.float32)
    return Ending(given, weight_kc, bias_k if linear else None, pooled)


def _through(value: Value) -> Value:
    """Past what only shapes."""
    while value.get_node().get_type_name() in _NO_CHANGE:
        value = value.get_node().input_value(0)
    return value


def _constant(node: openvino.Node) -> tuple[int, NDArray[np.float32]] | None:
    """Which input of two is not constant, and the numbers of the other that is."""
    values = [node.input_value(k).get_node() for k in range(2)]
    for k, each in enumerate(values):
        while each.get_type_name() == "Convert":
            each = each.input_value(0).get_node()
        if each.get_type_name() == "Constant":
            return 1 - k, np.asarray(each.get_data(), dtype=np.float32)
    return None


def _pooled(feature_nc: Value, channels: int) -> Value | None:
    """The map [n, c, h, w] whose mean over all places this is."""
    node = _through(feature_nc).get_node()
    if node.get_type_name() != "ReduceMean":
        return None
    axes = node.input_value(1).get_node()
    if axes.get_type_name() != "Constant":
        return None
    value = node.input_value(0)
    shape = value.get_partial_shape()
    if shape.rank != 4:
        return None
    over = sorted(int(axis) % 4 for axis in np.atleast_1d(axes.get_data()))
    last = over == [1, 2]
    if not (last or over == [2, 3]) or shape[3 if last else 1] != channels:
        return None
    return opset.transpose(value, np.array([0, 3, 1, 2])).output(0) if last else value
