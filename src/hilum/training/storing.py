"""The type that a bundle keeps weights in: rounding a fitted network to it, and writing it.

The engine that is made of the rounded network is `engine`'s.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from hilum.errors import TrainingError
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.recipe import Stored
from hilum.training.checkpoint import save_tensors


def round_weights(classifier: Classifier | Ensemble, stored: Stored) -> None:
    """Bring every weight to the nearest that `stored` holds; the network goes on in float32.

    What is fitted after this is fitted on the network that the bundle keeps. Raises TrainingError
    for a weight beyond its range, of float16 65,504; the network is then as it was.
    """
    if stored == "float32":
        return
    rounded = {
        name: tensor.half().to(tensor.dtype) for name, tensor in _floating(classifier).items()
    }
    for name, tensor in rounded.items():
        if not tensor.isfinite().all():
            raise TrainingError(
                f"model.stored = {stored}",
                f"{name} holds a weight that float16 cannot",
                expected="at most 65,504",
                remedy="set model.stored to float32 and take the run up again with --resume",
            )
    with torch.no_grad():
        for name, tensor in _floating(classifier).items():
            tensor.copy_(rounded[name])


def save_weights(classifier: Classifier | Ensemble, path: Path, stored: Stored) -> None:
    """Write what a bundle keeps of the network as safetensors. Raises OSError."""
    weights = dict(classifier.weights())
    if stored == "float16":
        weights |= {name: tensor.half() for name, tensor in _floating(classifier).items()}
    save_tensors(weights, path)


def _floating(classifier: Classifier | Ensemble) -> dict[str, Tensor]:
    return {name: each for name, each in classifier.weights().items() if each.is_floating_point()}
