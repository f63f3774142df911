"""Layers of a torch network by name, and where on a film the cells of their maps stand.

A bundle's network is made again by `hilum.rebuilding`.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.explanation.grid import Grid, grid_of_model
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.openvino_runtime import openvino, passes


def members_of(classifier: Classifier | Ensemble) -> list[Classifier]:
    """The classifiers whose mean it is; one alone is its own."""
    if isinstance(classifier, Classifier):
        return [classifier]
    return [member for member in classifier.members if isinstance(member, Classifier)]


def feature_layer(classifier: Classifier, side: int) -> str:
    """The name of the module whose output the head pools, found by running the network once.

    side: of its input. Raises ValueError where no single module makes it (`features = "stages"`).
    """
    outputs: list[tuple[str, Tensor]] = []
    hooks = [
        module.register_forward_hook(
            lambda _, __, output, name=name: (
                outputs.append((name, output)) if isinstance(output, Tensor) else None
            )
        )
        for name, module in classifier.network.named_modules()
        if name
    ]
    try:
        with torch.inference_mode():
            feature_nchw = classifier.feature_map(torch.rand(1, 1, side, side))
    finally:
        for hook in hooks:
            hook.remove()
    same = [
        name
        for name, output in outputs
        if output.shape == feature_nchw.shape and torch.equal(output, feature_nchw)
    ]
    if not same:
        raise ValueError(
            f"no single layer of {classifier.name} makes what its head pools; name one or more"
        )
    # An activation in place shares its input's memory, so several fit: the outermost is the layer.
    return min(same, key=lambda name: (name.count("."), -same.index(name)))


def layer_of(classifier: Classifier, name: str) -> nn.Module:
    """A module of the network by its dotted name. Raises ValueError, naming the nearest."""
    try:
        module: nn.Module = classifier.network.get_submodule(name)
    except AttributeError:
        stage = name.split(".")[0]
        near = [n for n, _ in classifier.network.named_modules() if n and n.split(".")[0] == stage]
        some = near or [n for n, _ in classifier.network.named_children()]
        known = ", ".join(some[:8])
        raise ValueError(f"no layer {name!r} in {classifier.name}; there are {known}") from None
    return module


class _UpTo(nn.Module):
    """A classifier that ends at one of its layers."""

    def __init__(self, classifier: Classifier, layer: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.layer = [layer]  # in a list it is not a second child

    def forward(self, image_nchw: Tensor) -> Tensor:
        seen: list[Tensor] = []
        hook = self.layer[0].register_forward_hook(lambda _, __, output: seen.append(output))
        try:
            self.classifier.feature_map(image_nchw)
        finally:
            hook.remove()
        return seen[0]


_GRIDS: dict[tuple[str, str, int], Grid | None] = {}  # they hang on the architecture alone


def grid_of_layer(classifier: Classifier, name: str, side: int) -> Grid | None:
    """Where on an input of this side the cells of a layer's map stand; None where nobody knows."""
    key = (classifier.name, name, side)
    if key not in _GRIDS:
        _GRIDS[key] = _traced_grid(classifier, name, side)
    return _GRIDS[key]


def _traced_grid(classifier: Classifier, name: str, side: int) -> Grid | None:
    module = _UpTo(classifier, layer_of(classifier, name)).eval()
    with warnings.catch_warnings(), torch.inference_mode():
        # Tracing warns of Python values that become constants; here they are all sizes that do.
        warnings.simplefilter("ignore")
        example = torch.rand(1, 1, side, side)
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        model = openvino.convert_model(traced, input=[1, 1, side, side])
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())  # how wide a padding is stands as a sum
    folding.run_passes(model)
    return grid_of_model(model, 0)


def as_films(image_nchw: NDArray[np.float32]) -> Tensor:
    """Films of the pixel path as a tensor of their own."""
    return torch.from_numpy(np.array(image_nchw, dtype=np.float32))
