"""Trained classifier → OpenVINO: the engine that a bundle carries, and pooled features for a probe.

Running a bundle's engine is `hilum.predict`'s job.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.jit import ScriptModule

from hilum.model.classifier import Classifier
from hilum.model.views import Network, TwoOutputs
from hilum.openvino_runtime import CORE, FrontEndManager, openvino, opset, passes
from hilum.recipe import Stored

NAME = "model.xml"


class _Pooled(nn.Module):
    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image_nchw: Tensor) -> Tensor:
        return self.classifier.feature_map(image_nchw).mean((2, 3))


def export_engine(
    classifier: Network, size: int, folder: Path, stored: Stored = "float32"
) -> tuple[bytes, bytes]:
    """Write `model.xml` and `model.bin`: image_nchw → logit_nf, feature_nchw; n is free.

    size: side of the square input in pixels
    stored: what weights are written as; "float16" keeps those so that a half holds exactly, which
        of a network that `storing.round_weights` has rounded are all, and so loses nothing
    Returns what was written, network and weights. Raises OSError when it cannot be written.
    """
    network = TwoOutputs(classifier)
    model = _converted(network, size) if stored == "float32" else _with_halves(network, size)
    model.inputs[0].get_tensor().set_names({"image_nchw"})
    for output, name in zip(model.outputs, ("logit_nf", "feature_nchw"), strict=True):
        output.get_tensor().set_names({name})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    try:
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:
        raise OSError(f"OpenVINO cannot write {path.name}, or the disk is full") from error
    return path.read_bytes(), path.with_suffix(".bin").read_bytes()


def pooling_engine(
    classifier: Classifier, size: int
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Films [n, 1, size, size] → pooled features [n, c], as fast as this machine can.

    In bf16 where the processor multiplies in it; a head that is fitted on such features does as
    well on exact ones.
    """
    able = "BF16" in CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    hints = {"INFERENCE_PRECISION_HINT": "bf16" if able else "f32"}
    compiled = CORE.compile_model(_converted(_Pooled(classifier), size), "CPU", hints)

    def pooled(image_nchw: NDArray[np.float32]) -> NDArray[np.float32]:
        # The engine goes on to use the memory that its answer lies in.
        return np.array(compiled(image_nchw)[0], dtype=np.float32)

    return pooled


def _converted(module: nn.Module, size: int) -> Any:
    """OpenVINO's model of a module that takes films of one size, any number of them."""
    with _traced(module, size) as traced:
        return openvino.convert_model(traced, input=[-1, 1, size, size])


def _with_halves(module: nn.Module, size: int) -> Any:
    """The same model with its weights as halves, as far as that loses nothing.

    `convert_model` multiplies the batch norms into the convolutions, whose products no half holds:
    rounded a second time they moved probabilities by 0.007. Left apart, they are multiplied in
    float32 when the engine is loaded.
    """
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    with _traced(module, size) as traced:
        reader = FrontEndManager().load_by_framework("pytorch")
        # Named, since the reader does not keep it alive.
        decoder = TorchScriptPythonDecoder(traced, shared_memory=False)
        model = reader.convert(reader.load(decoder))
    model.reshape([-1, 1, size, size])
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())  # paddings and strides stand as sums
    folding.run_passes(model)
    for op in model.get_ops():
        if op.get_type_name() == "Constant" and op.get_element_type() == openvino.Type.f32:
            _halve(op)
    return model


def _halve(constant: Any) -> None:
    """Keep an array of the model as halves where they are what it holds."""
    value = constant.get_data()
    with np.errstate(over="ignore"):
        half = value.astype(np.float16)
    if value.size > 1 and np.array_equal(half, value):
        wide = opset.convert(opset.constant(half), "f32")
        wide.set_friendly_name(constant.get_friendly_name())
        for each in constant.output(0).get_target_inputs():
            each.replace_source_output(wide.output(0))


@contextmanager
def _traced(module: nn.Module, size: int) -> Iterator[ScriptModule]:
    """The module as torch's tracer has seen it answer, for as long as it is being converted."""
    module.eval()
    with warnings.catch_warnings(), torch.inference_mode():
        # Tracing warns of Python values that become constants; here they are all sizes that do.
        warnings.simplefilter("ignore")
        # Torch would trace a second time to compare, which takes as long again; the engine's
        # answers are held against torch's on real films before anybody relies on them.
        example = torch.rand(2, 1, size, size)
        yield torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
