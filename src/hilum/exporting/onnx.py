"""A bundle's network as ONNX: one file with its weights, from torch.

Running it is left to `hilum.engines`.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from pathlib import Path

import torch

from hilum.errors import MissingExtraError
from hilum.model.views import Network, TwoOutputs

# Of 2022: all that it needs of the networks here, and read by every runtime that is still kept up.
OPSET = 17


def write_onnx(network: Network, size: int, path: Path) -> None:
    """Write image_nchw → logit_nf, feature_nchw in fp32; n is free.

    size: side of the square input in pixels
    Raises MissingExtraError without the package onnx, OSError when it cannot be written.
    """
    if find_spec("onnx") is None:
        raise MissingExtraError("--to onnx", "export", "--to openvino")
    import onnx

    with warnings.catch_warnings(), torch.inference_mode():
        # The newer exporter needs onnxscript and is none the better for these networks; of tracing
        # it warns that Python values become constants, here sizes that are.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            TwoOutputs(network).eval(),
            (torch.rand(2, 1, size, size),),
            path,
            input_names=["image_nchw"],
            output_names=["logit_nf", "feature_nchw"],
            dynamic_axes={name: {0: "n"} for name in ("image_nchw", "logit_nf", "feature_nchw")},
            opset_version=OPSET,
            dynamo=False,
        )
    onnx.checker.check_model(onnx.load(path, load_external_data=False), full_check=True)
