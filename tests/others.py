"""Other people's models that tests make for themselves, and what they say by plain NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

SIDE = 32


@dataclass(frozen=True)
class Net:
    """A convolution of stride 2, ReLU, the mean over all places, and one linear layer."""

    conv_oc33: np.ndarray
    conv_o: np.ndarray
    dense_ok: np.ndarray
    dense_k: np.ndarray

    @classmethod
    def random(cls, channels: int, outputs: int, seed: int = 0) -> Net:
        rng = np.random.default_rng(seed)
        return cls(
            rng.normal(0, 0.5, (6, channels, 3, 3)).astype(np.float32),
            rng.normal(0, 0.1, 6).astype(np.float32),
            rng.normal(0, 3, (6, outputs)).astype(np.float32),
            rng.normal(0, 1, outputs).astype(np.float32),
        )

    def maps(self, input_nchw: np.ndarray) -> np.ndarray:
        """What is pooled, slowly: [n, 6, h, w]."""
        windows = sliding_window_view(input_nchw, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
        made = np.einsum("nchwij,ocij->nohw", windows.astype(np.float64), self.conv_oc33)
        return np.maximum(made + self.conv_o[:, None, None], 0)

    def says(self, input_nchw: np.ndarray) -> np.ndarray:
        """What the linear layer gives, [n, outputs]."""
        return self.maps(input_nchw).mean(axis=(2, 3)) @ self.dense_ok + self.dense_k


def films(n: int = 5, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(1).random((n, 1, side, side), dtype=np.float32)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def write_onnx(
    path: Path,
    net: Net,
    *,
    ends: Sequence[str] = ("Sigmoid",),
    shape: Sequence[int | str] = ("n", 1, SIDE, SIDE),
    nhwc: bool = False,
    flat_as: Sequence[int] | None = None,
    outputs: int = 1,
) -> Path:
    """ends: operations behind the linear layer; flat_as: a shape that it is flattened to by a
    constant, as careless exporters do."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {"cw": net.conv_oc33, "cb": net.conv_o, "dw": net.dense_ok, "db": net.dense_k}
    nodes = [helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2])] if nhwc else []
    nodes += [
        helper.make_node("Conv", ["x" if nhwc else "image", "cw", "cb"], ["c"], strides=[2, 2]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
    ]
    if flat_as is None:
        nodes.append(helper.make_node("Flatten", ["p"], ["f"]))
    else:
        weights["shape"] = np.array(flat_as, dtype=np.int64)
        nodes.append(helper.make_node("Reshape", ["p", "shape"], ["f"]))
    nodes.append(helper.make_node("Gemm", ["f", "dw", "db"], ["y0"]))
    for at, end in enumerate(ends):
        if end == "LessMean":  # takes the mean of the batch off each film
            nodes.append(helper.make_node("ReduceMean", [f"y{at}"], ["mean"], axes=[0], keepdims=1))
            nodes.append(helper.make_node("Sub", [f"y{at}", "mean"], [f"y{at + 1}"]))
        elif end == "First":  # answers for the first film alone
            weights["zero"] = np.array([0], dtype=np.int64)
            nodes.append(helper.make_node("Gather", [f"y{at}", "zero"], [f"y{at + 1}"], axis=0))
        else:
            nodes.append(helper.make_node(end, [f"y{at}"], [f"y{at + 1}"]))
    k = net.dense_ok.shape[1]
    last = f"y{len(ends)}"
    made = [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["n", k])]
    if outputs > 1:
        made.append(helper.make_tensor_value_info("p", TensorProto.FLOAT, ["n", 6, 1, 1]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, list(shape))],
        made,
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    path.write_bytes(onnx.ModelProto.SerializeToString(model))
    return path


def write_toml(model: Path, text: str) -> Path:
    path = model.with_suffix(".toml")
    path.write_text(text)
    return path


PROBABILITY = 'findings = { Pneumonia = 0 }\noutput = "probability"\ninput.range = [0, 1]\n'


def keras() -> Any:
    """Keras as Hilum imports it."""
    from hilum.foreign.keras_file import _keras

    return _keras(Path("test"))


def save_keras(model: Any, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def keras_net(net: Net, *, activation: str | None, padding: str = "valid", side: int = SIDE) -> Any:
    """The same network in Keras, on grey in three channels of 0 to 255, rescaled inside."""
    k = keras()
    layers = k.layers
    conv = layers.Conv2D(6, 3, strides=2, padding=padding, activation="relu")
    dense = layers.Dense(net.dense_ok.shape[1], activation=activation)
    model = k.Sequential(
        [
            layers.Input((side, side, 3)),
            layers.Rescaling(1 / 255),
            conv,
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.5),
            dense,
        ]
    )
    conv.set_weights([net.conv_oc33.transpose(2, 3, 1, 0), net.conv_o])
    dense.set_weights([net.dense_ok, net.dense_k])
    return model
