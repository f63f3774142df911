"""What training minimises. Missing labels (NaN) count for nothing."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def binary_cross_entropy(
    logit_nf: Tensor,
    label_nf: Tensor,
    *,
    positive_weight_f: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Mean binary cross-entropy over the labels that are known.

    logit_nf, label_nf: shape (n, f); labels 1 present, 0 absent, NaN unknown
    positive_weight_f: weight of a present finding relative to an absent one
    label_smoothing: labels become `label * (1 - 2s) + s`, s in [0, 0.5)
    Returns a scalar; 0 when no label is known.
    """
    known_nf = ~torch.isnan(label_nf)
    target_nf = torch.nan_to_num(label_nf) * (1 - 2 * label_smoothing) + label_smoothing
    loss_nf = F.binary_cross_entropy_with_logits(
        logit_nf.float(), target_nf, pos_weight=positive_weight_f, reduction="none"
    )
    return (loss_nf * known_nf).sum() / known_nf.sum().clamp(min=1)
