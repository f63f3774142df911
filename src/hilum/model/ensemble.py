"""Several classifiers as one: the mean of their logits.

How they were trained is `training`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from hilum.model.classifier import Classifier


class Ensemble(nn.Module):
    """Classifiers of one kind, each looking at the same film.

    Its feature map is that of every member, one behind the other by channel, and its head the mean
    of theirs, so that a map weighted by the head still tells where the mean logit comes from.
    """

    def __init__(self, members: Sequence[Classifier]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def _each(self) -> list[Classifier]:
        return [cast(Classifier, member) for member in self.members]

    def feature_map(self, image_nchw: Tensor) -> Tensor:
        """The members' feature maps, shape (n, k * c, h', w')."""
        return torch.cat([member.feature_map(image_nchw) for member in self._each()], dim=1)

    def head(self, feature_nchw: Tensor) -> Tensor:
        """Mean of the members' logits, shape (n, f)."""
        parts = feature_nchw.chunk(len(self.members), dim=1)
        logits = [member.head(part) for member, part in zip(self._each(), parts, strict=True)]
        return torch.stack(logits).mean(dim=0)

    def forward(self, image_nchw: Tensor) -> Tensor:
        return self.head(self.feature_map(image_nchw))

    @property
    def statistics(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation that every member's input is brought to."""
        return self._each()[0].statistics

    def weights(self) -> dict[str, Tensor]:
        """Every member's weights, their names behind `K.`."""
        return {
            f"{k}.{name}": tensor
            for k, member in enumerate(self._each())
            for name, tensor in member.weights().items()
        }
