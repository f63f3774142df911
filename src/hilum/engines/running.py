"""A network at work: OpenVINO and ONNX Runtime behind one call.

Which of a bundle's engines is run is `choosing`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hilum.errors import BundleError, MissingExtraError
from hilum.openvino_runtime import CORE, openvino


class Output(NamedTuple):
    """What a network made of a batch. Copy what is to outlive it: the memory is used again.

    logit_nf: raw logits; feature_nchw: the last feature map, which the head pools
    """

    logit_nf: NDArray[np.float32]
    feature_nchw: NDArray[np.float32]


class Engine(Protocol):
    """A network at work, for one caller at a time.

    name: runtime and precision, such as `openvino-f32`
    """

    @property
    def name(self) -> str: ...

    def __call__(self, image_nchw: NDArray[np.float32]) -> Output:
        """image_nchw: float32 [n, 1, h, w] in [0, 1], of the pixel path; n is free."""
        ...


@dataclass(frozen=True)
class _OpenVino:
    name: str
    compiled: openvino.CompiledModel

    def __call__(self, image_nchw: NDArray[np.float32]) -> Output:
        result = self.compiled(image_nchw)
        return Output(result["logit_nf"], result["feature_nchw"])


def openvino_engine(
    network: tuple[bytes, bytes],
    *,
    precision: str = "f32",
    threads: int | None = None,
    name: str | None = None,
) -> Engine:
    """OpenVINO's network (xml) and its weights (bin), compiled for this processor.

    precision: `f32`, or `bf16`, of what is not quantised in the network itself. It is always asked
        for, since OpenVINO takes bf16 by itself where the processor has it, and a probability then
        moves by up to a hundredth.
    threads: that it computes with; None: as many as OpenVINO likes
    name: None makes it of the precision
    Raises BundleError when it cannot be compiled.
    """
    hints: dict[str, object] = {"INFERENCE_PRECISION_HINT": precision}
    if threads is not None:
        hints["INFERENCE_NUM_THREADS"] = threads
    try:
        compiled = CORE.compile_model(CORE.read_model(*network), "CPU", hints)
    except RuntimeError as error:
        line = str(error).strip().splitlines()[-1]
        raise BundleError("the engine", f"OpenVINO cannot load it ({line})") from error
    return _OpenVino(name or f"openvino-{precision}", compiled)


@dataclass(frozen=True)
class _OnnxRuntime:
    name: str
    session: Any

    def __call__(self, image_nchw: NDArray[np.float32]) -> Output:
        image_nchw = np.ascontiguousarray(image_nchw)
        return Output(*self.session.run(["logit_nf", "feature_nchw"], {"image_nchw": image_nchw}))


def onnx_engine(network: bytes, *, threads: int | None = None) -> Engine:
    """An ONNX network with its weights inside, ready in ONNX Runtime on the processor.

    threads: that it computes with; None: as many as ONNX Runtime likes
    Raises MissingExtraError without ONNX Runtime, BundleError when it cannot be loaded.
    """
    if not has_onnx_runtime():
        raise MissingExtraError("the engine onnx-f32", "export", "another engine")
    import onnxruntime  # type: ignore[import-untyped]

    onnxruntime.disable_telemetry_events()  # of builds that have any
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors alone; they are raised as well
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its own classes of error have no public base
        line = str(error).strip().splitlines()[0]
        raise BundleError("the engine", f"ONNX Runtime cannot load it ({line})") from error
    return _OnnxRuntime("onnx-f32", session)


def has_onnx_runtime() -> bool:
    """Whether ONNX Runtime is installed."""
    return find_spec("onnxruntime") is not None


@cache
def has_bf16() -> bool:
    """Whether this processor multiplies in bf16; where not, OpenVINO would quietly take fp32."""
    return "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@cache
def processor() -> str:
    """This processor's name, as OpenVINO tells it."""
    return str(CORE.get_property("CPU", "FULL_DEVICE_NAME"))


Runtime = Literal["openvino", "onnxruntime"]
