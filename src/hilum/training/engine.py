"""Trained classifier → OpenVINO, with its agreement to torch measured on real films.

Running the engine is `hilum.predict`'s job.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from hilum.model.classifier import Classifier
from hilum.openvino_runtime import openvino

NAME = "model.xml"


class _TwoOutputs(nn.Module):
    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, image_nchw: Tensor) -> tuple[Tensor, Tensor]:
        feature_nchw = self.classifier.feature_map(image_nchw)
        return self.classifier.head(feature_nchw), feature_nchw


def export_engine(classifier: Classifier, size: int, folder: Path) -> tuple[bytes, bytes]:
    """Write `model.xml` and `model.bin`: image_nchw → logit_nf, feature_nchw; n is free.

    size: side of the square input in pixels
    Weights stay fp32. Returns what was written, network and weights. Raises OSError when it
    cannot be written.
    """
    module = _TwoOutputs(classifier).eval()
    example = torch.rand(2, 1, size, size)
    with warnings.catch_warnings(), torch.inference_mode():
        # Tracing warns of Python values that become constants; here they are all sizes that do.
        warnings.simplefilter("ignore")
        model = openvino.convert_model(module, example_input=example, input=[-1, 1, size, size])
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
