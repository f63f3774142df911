"""How fast each part of the network learns, and when.

The recipe states the rate of the last stage; the head and the earlier stages have shares of it.
"""

from __future__ import annotations

import math

from torch.nn import Parameter

from hilum.model.classifier import Classifier
from hilum.recipe import TrainPart


def learning_rate(step: int, steps: int, settings: TrainPart) -> float:
    """Linear warm-up, then a cosine to nought (Loshchilov & Hutter 2017); step is 0 … steps-1.

    With `rate_batch` the peak grows with the square root of the batch (Malladi et al. 2022).
    """
    peak = settings.learning_rate
    if settings.rate_batch is not None:
        peak *= math.sqrt(settings.batch_size / settings.rate_batch)
    warmup = max(1, round(settings.warmup_fraction * steps))
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = (step - warmup) / max(1, steps - warmup)
    return peak * 0.5 * (1 + math.cos(math.pi * progress))


def parameter_groups(classifier: Classifier, settings: TrainPart) -> list[dict[str, object]]:
    """Groups for AdamW, each with its share of the rate as `rate`.

    Biases and norms, which have one dimension, do not decay. With one rate for all, the head's bias
    cannot follow: the network then silences every feature of films without the finding and leaves
    their logits near nought.
    """
    stages = classifier.stages()
    shares = [settings.layer_decay ** (len(stages) - 1 - place) for place in range(len(stages))]
    groups: list[dict[str, object]] = []
    for parameters, share in [
        *zip(stages, shares, strict=True),
        (classifier.head_parameters(), settings.head_rate),
    ]:
        for decay in (settings.weight_decay, 0.0):
            chosen = [each for each in parameters if (each.ndim > 1) == bool(decay)]
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay, "rate": share})
    return _joined(groups)


def _joined(groups: list[dict[str, object]]) -> list[dict[str, object]]:
    """Groups of one rate and decay as one, which the optimiser steps faster."""
    joined: dict[tuple[object, object], list[Parameter]] = {}
    for group in groups:
        parameters: list[Parameter] = group["params"]  # type: ignore[assignment]
        joined.setdefault((group["rate"], group["weight_decay"]), []).extend(parameters)
    return [
        {"params": parameters, "weight_decay": decay, "rate": rate}
        for (rate, decay), parameters in joined.items()
    ]
