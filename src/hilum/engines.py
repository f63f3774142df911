"""Engines: a bundle's network made ready to run, and the choice among those that it has.

What goes in and what is made of the answer is left to `predict`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hilum.bundle import Bundle
from hilum.errors import BundleError
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
    network: tuple[bytes, bytes], *, precision: str = "f32", threads: int | None = None
) -> Engine:
    """OpenVINO's network (xml) and its weights (bin), compiled for this processor.

    precision: `f32`, or `bf16`. It is always asked for, since OpenVINO takes bf16 by itself where
        the processor has it, and a probability then moves by up to a hundredth.
    threads: that it computes with; None: as many as OpenVINO likes
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
    return _OpenVino(f"openvino-{precision}", compiled)


def open_engine(bundle: Bundle, *, threads: int | None = None) -> Engine:
    """The engine that answers for a bundle.

    Raises BundleError when it cannot be run.
    """
    return openvino_engine(bundle.engine, threads=threads)
