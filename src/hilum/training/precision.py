"""Where lower precision pays: on CPUs, everywhere but in depthwise convolutions.

Which precision is asked for stands in the recipe; autocast itself is Fabric's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def precise_depthwise(module: nn.Module) -> Iterator[None]:
    """Depthwise convolutions compute in float32 for a while, whatever autocast does around them.

    On a CPU their bfloat16 gradient has no fast kernel and costs more than all else gains.
    """
    convolutions = [
        each
        for each in module.modules()
        if isinstance(each, nn.Conv2d) and each.groups == each.in_channels > 1
    ]
    for each in convolutions:
        each.forward = _in_float32(each)  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        for each in convolutions:
            del each.forward


def _in_float32(convolution: nn.Conv2d) -> Callable[[Tensor], Tensor]:
    forward = type(convolution).forward

    def precisely(image: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return forward(convolution, image.float())

    return precisely
