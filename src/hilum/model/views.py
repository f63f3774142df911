"""Views: one film seen several times, moved or exposed a little otherwise; the mean logit.

Test-time augmentation inside the network: engine, calibrator and operating points all are of the
mean. Which views are worth their time is measured in docs/abstention.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble

Kind = Literal["one", "shifts", "exposures", "both"]
_PART = 16  # of the side: how far a film is moved
_GAMMAS = (0.8, 1.25)
_DARKEST = 1e-4  # the power of nought has no slope


class Views(nn.Module):
    """A classifier that looks at each film several times.

    kind: "shifts", a sixteenth of the side up, down, left and right, the edge going on;
        "exposures", gamma 0.8 and 1.25; "both". The film as it is is always among them.
    The head is linear in the pooled map, so the mean of the maps has the mean of the logits.
    Grad-CAM of it is that much blurred, and maps by gradients are of the film as it is.
    """

    def __init__(self, classifier: Classifier | Ensemble, kind: Kind) -> None:
        super().__init__()
        self.classifier = classifier
        self.kind = kind

    def _views(self, image_nchw: Tensor) -> list[Tensor]:
        views: list[Callable[[Tensor], Tensor]] = []
        if self.kind in ("shifts", "both"):
            by = max(1, image_nchw.shape[-1] // _PART)
            views += [_moved(*step) for step in ((by, 0), (-by, 0), (0, by), (0, -by))]
        if self.kind in ("exposures", "both"):
            views += [_exposed(gamma) for gamma in _GAMMAS]
        return [image_nchw, *(view(image_nchw) for view in views)]

    def feature_map(self, image_nchw: Tensor) -> Tensor:
        """Mean of the views' feature maps."""
        maps = [self.classifier.feature_map(view) for view in self._views(image_nchw)]
        return torch.stack(maps).mean(dim=0)

    def head(self, feature_nchw: Tensor) -> Tensor:
        return self.classifier.head(feature_nchw)

    def forward(self, image_nchw: Tensor) -> Tensor:
        return self.head(self.feature_map(image_nchw))

    @property
    def statistics(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """Mean and standard deviation that each view is brought to."""
        return self.classifier.statistics

    def weights(self) -> dict[str, Tensor]:
        """The classifier's own; views have none."""
        return self.classifier.weights()


Network = Classifier | Ensemble | Views


def with_views(classifier: Classifier | Ensemble, kind: Kind) -> Network:
    """The classifier, looking at each film as often as `kind` says."""
    return classifier if kind == "one" else Views(classifier, kind).eval()


class TwoOutputs(nn.Module):
    """A network as its engines run it: films → logits, and the feature map that the head pools."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, image_nchw: Tensor) -> tuple[Tensor, Tensor]:
        feature_nchw = self.network.feature_map(image_nchw)
        return self.network.head(feature_nchw), feature_nchw


def _moved(down: int, across: int) -> Callable[[Tensor], Tensor]:
    def view(image_nchw: Tensor) -> Tensor:
        height, width = image_nchw.shape[-2:]
        far = max(abs(down), abs(across))
        wide = F.pad(image_nchw, (far, far, far, far), mode="replicate")
        top, left = far - down, far - across
        return wide[..., top : top + height, left : left + width]

    return view


def _exposed(gamma: float) -> Callable[[Tensor], Tensor]:
    return lambda image_nchw: image_nchw.clamp(_DARKEST, 1.0) ** gamma
