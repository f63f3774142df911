"""A bundle's network in torch again, for what differentiates, alters, converts or checks it.

Its answers for use come from its engines, by way of `hilum.predict`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load

from hilum.bundle import WEIGHTS, Bundle
from hilum.engines import Output
from hilum.errors import BundleError
from hilum.model.backbones import make_backbone
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.model.views import Network, TwoOutputs, with_views
from hilum.recipe import Recipe


def classifier_of(bundle: Bundle) -> Classifier | Ensemble:
    """The network with the bundle's weights, in evaluation mode, on the CPU.

    Raises BundleError where the weights do not fit what the recipe says, RecipeError where timm no
    longer knows the backbone.
    """
    recipe = Recipe.model_validate(bundle.manifest.recipe)
    count = recipe.train.members if recipe.train.combine == "ensemble" else 1
    members = [
        Classifier(
            make_backbone(
                bundle.manifest.backbone.name,
                len(bundle.findings),
                weights="none",
                dropout=0.0,
                features=recipe.model.features,
            )
        )
        for _ in range(count)
    ]
    try:
        state = load(bundle.read(WEIGHTS))
        for k, member in enumerate(members):
            own = f"{k}." if count > 1 else ""
            member.network.load_state_dict(
                {n.removeprefix(own): tensor for n, tensor in state.items() if n.startswith(own)}
            )
    except (SafetensorError, RuntimeError) as error:
        line = str(error).splitlines()[0]
        raise BundleError(bundle.folder / WEIGHTS, f"does not fit its recipe ({line})") from error
    return (members[0] if count == 1 else Ensemble(members)).eval()


def network_of(bundle: Bundle) -> Network:
    """The network that the bundle's engine was made of: the classifier, with its views if any.

    Raises what `classifier_of` raises.
    """
    return with_views(
        classifier_of(bundle), Recipe.model_validate(bundle.manifest.recipe).model.views
    )


@dataclass(frozen=True)
class TorchEngine:
    """A network behind the call that engines have, against which theirs are held."""

    network: Network
    name: str = "torch"

    def __call__(self, image_nchw: NDArray[np.float32]) -> Output:
        with torch.inference_mode():
            outputs = TwoOutputs(self.network)(torch.from_numpy(np.array(image_nchw)))
        return Output(*(output.numpy() for output in outputs))
