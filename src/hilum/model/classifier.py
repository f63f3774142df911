"""Classifier: backbone and head, from grey film to logit.

Greyscale-to-RGB and normalisation live inside, so that no caller can do them differently.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn import Parameter

from hilum.model.backbones import Backbone, stage_maps
from hilum.model.timm_runtime import timm


class Classifier(nn.Module):
    """One logit a finding; P(finding) = sigmoid(logit).

    image_nchw: grey films in [0, 1], shape (n, 1, h, w)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.network = backbone.network
        self.name, self.features, self.widths = backbone.name, backbone.features, backbone.widths
        self._statistics = (backbone.mean, backbone.std)
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1))

    def feature_map(self, image_nchw: Tensor) -> Tensor:
        """What the head pools, shape (n, c, h', w').

        The last feature map; of several stages their maps, averaged down to the grid of the last
        and put one behind the other by channel.
        """
        rgb_nchw = (image_nchw.expand(-1, 3, -1, -1) - self.mean) / self.std
        if self.features == "last":
            feature: Tensor = self.network.forward_features(rgb_nchw)
            return feature
        maps = stage_maps(self.network, rgb_nchw)
        grid = (int(maps[-1].shape[2]), int(maps[-1].shape[3]))
        return torch.cat([F.adaptive_avg_pool2d(each, grid) for each in maps], dim=1)

    def head(self, feature_nchw: Tensor) -> Tensor:
        """Pooled features to logits, shape (n, f)."""
        logit_nf: Tensor = self.network.forward_head(feature_nchw)
        return logit_nf

    def forward(self, image_nchw: Tensor) -> Tensor:
        return self.head(self.feature_map(image_nchw))

    @property
    def statistics(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation of the three channels, that the input is brought to."""
        return self._statistics

    def weights(self) -> dict[str, Tensor]:
        """What a bundle keeps: the network's state, under timm's names."""
        state: dict[str, Tensor] = self.network.state_dict()
        return state

    def head_parameters(self) -> list[Parameter]:
        """Weight and bias of the linear layer."""
        return list(self.network.get_classifier().parameters())

    def stages(self) -> list[list[Parameter]]:
        """The parameters of the backbone, each once, from the stem to the last stage."""
        head = set(self.head_parameters())
        matcher = self.network.group_matcher(coarse=True)
        groups = timm.models.group_parameters(self.network, matcher, return_values=True)
        stages = ([p for p in groups[place] if p not in head] for place in sorted(groups))
        return [stage for stage in stages if stage]
