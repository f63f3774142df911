"""Classifier: backbone and head, from grey film to logit.

Greyscale-to-RGB and normalisation live inside, so that no caller can do them differently.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hilum.model.backbones import Backbone


class Classifier(nn.Module):
    """One logit a finding; P(finding) = sigmoid(logit).

    image_nchw: grey films in [0, 1], shape (n, 1, h, w)
    """

    mean: Tensor
    std: Tensor

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.network = backbone.network
        self.register_buffer("mean", torch.tensor(backbone.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(backbone.std).view(1, 3, 1, 1))

    def feature_map(self, image_nchw: Tensor) -> Tensor:
        """The last feature map before pooling, shape (n, c, h', w')."""
        rgb_nchw = image_nchw.expand(-1, 3, -1, -1)
        feature: Tensor = self.network.forward_features((rgb_nchw - self.mean) / self.std)
        return feature

    def head(self, feature_nchw: Tensor) -> Tensor:
        """Pooled features to logits, shape (n, f)."""
        logit_nf: Tensor = self.network.forward_head(feature_nchw)
        return logit_nf

    def forward(self, image_nchw: Tensor) -> Tensor:
        return self.head(self.feature_map(image_nchw))
