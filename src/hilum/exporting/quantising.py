"""A bundle's network in int8, by NNCF's quantisation after training; without torch.

Whether the result is good enough is asked by `agreement`.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.errors import MissingExtraError, OutputError
from hilum.openvino_runtime import CORE, openvino, passes

FILMS = 300  # whose activations set the ranges; more move them little
# Symmetric weights and activations: on processors the fastest, and no less exact on these networks.
PRESET = "performance"


def quantise(network: tuple[bytes, bytes], image_nchw: NDArray[np.float32], folder: Path) -> int:
    """Write `model.xml` and `model.bin`, whose convolutions compute in int8.

    network: OpenVINO's, with its weights; image_nchw: calibrate films as the network takes them
    All behind the feature map stays in fp32, so that map and logit still belong together and
    Grad-CAM of this engine is exact. Returns how many films set the ranges. Raises
    MissingExtraError without NNCF, OutputError when the files cannot be written.
    """
    if find_spec("nncf") is None:
        raise MissingExtraError("--int8", "export", "--to openvino without it")
    some = np.unique(np.linspace(0, len(image_nchw) - 1, min(FILMS, len(image_nchw))).astype(int))
    # Of torch's, which NNCF imports where it is there: that a machine has a compiler and no GPU.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    with _quietly():
        import nncf  # type: ignore[import-untyped]

        nncf.set_log_level(40)  # errors alone
        model = _fused(CORE.read_model(*network))
        quantised = nncf.quantize(
            model,
            # One by one: of a batch it would take the range of all its films together.
            nncf.Dataset([image_nchw[k : k + 1] for k in some]),
            subset_size=len(some),
            preset=nncf.QuantizationPreset(PRESET),
            ignored_scope=nncf.IgnoredScope(names=_behind_the_map(model)),
        )
    try:
        openvino.save_model(quantised, folder / "model.xml", compress_to_fp16=False)
    except RuntimeError as error:
        raise OutputError(folder, "OpenVINO cannot write there, or the disk is full") from error
    return len(some)


def _fused(model: Any) -> Any:
    """With batch norms multiplied into their convolutions, whose ranges are then the right ones.

    In an engine whose weights are halves they stand apart; left so, int8 moved a probability twice
    as far.
    """
    from openvino._offline_transformations import apply_moc_transformations

    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())  # halves are made floats
    folding.run_passes(model)
    apply_moc_transformations(model, cf=False, smart_reshape=False)
    return model


def _behind_the_map(model: Any) -> list[str]:
    """Names of the operations that follow `feature_nchw`."""
    front = [model.output("feature_nchw").get_node().input_value(0).get_node()]
    found: dict[str, None] = {}
    while front:
        for output in front.pop().outputs():
            for target in output.get_target_inputs():
                node = target.get_node()
                if node.get_type_name() != "Result" and node.get_friendly_name() not in found:
                    found[node.get_friendly_name()] = None
                    front.append(node)
    return list(found)


@contextmanager
def _quietly() -> Iterator[None]:
    """NNCF draws bars on stdout, where a verb's result belongs."""
    with redirect_stdout(io.StringIO()):
        yield
