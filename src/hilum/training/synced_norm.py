"""Batch norm whose statistics are those of all processes' films together, on any device.

torch's SyncBatchNorm does the same on GPUs and refuses to work on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def with_synced_norms(module: nn.Module) -> nn.Module:
    """Put a SyncedNorm in place of each batch norm within, its parameters and names kept.

    Returns the module itself, or what stands in its place when it is a batch norm.
    """
    if isinstance(module, _BatchNorm) and not isinstance(module, SyncedNorm):
        return SyncedNorm(module)
    for name, child in module.named_children():
        setattr(module, name, with_synced_norms(child))
    return module


class SyncedNorm(_BatchNorm):
    """In training, normalises by the mean and variance over the batches of all processes.

    Takes over the parameters and statistics of `norm`, and what timm's norms do afterwards: `drop`
    and `act`. Its state dict is that of `norm`. Every process must run it as often as the others.
    """

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__(norm.num_features, norm.eps, norm.momentum, affine=False)
        self.affine = norm.affine
        self.weight, self.bias = norm.weight, norm.bias
        self.running_mean, self.running_var = norm.running_mean, norm.running_var
        self.num_batches_tracked = norm.num_batches_tracked
        self.track_running_stats = norm.track_running_stats
        self.train(norm.training)
        for name in ("drop", "act"):
            if hasattr(norm, name):
                setattr(self, name, getattr(norm, name))

    def forward(self, image: Tensor) -> Tensor:
        shared = self.training and dist.is_initialized() and dist.get_world_size() > 1
        normed = self._by_all(image) if shared else super().forward(image)
        for name in ("drop", "act"):
            if hasattr(self, name):
                normed = getattr(self, name)(normed)
        return normed

    def _check_input_dim(self, input: Tensor) -> None: ...

    def _by_all(self, image: Tensor) -> Tensor:
        """image: shape (n, c, ...)."""
        axes = [axis for axis in range(image.ndim) if axis != 1]
        wide = image.to(torch.promote_types(image.dtype, torch.float32))
        var_c, mean_c = torch.var_mean(wide, axes, correction=0)
        # In double precision the square of the mean can be taken away again without loss.
        mean_c, var_c = mean_c.double(), var_c.double()
        n = torch.full_like(mean_c, image.numel() // image.shape[1])
        n, sum_c, square_c = _sum_over_processes(
            torch.stack([n, n * mean_c, n * (var_c + mean_c**2)])
        )
        mean_c = sum_c / n
        var_c = (square_c / n - mean_c**2).clamp(min=0)
        self._follow(mean_c.detach(), (var_c * n / (n - 1)).detach())
        scale_c = torch.rsqrt(var_c + self.eps)
        shift_c = -mean_c * scale_c
        if self.affine:
            scale_c = scale_c * self.weight
            shift_c = shift_c * self.weight + self.bias
        shape = [-1 if axis == 1 else 1 for axis in range(image.ndim)]
        scale_c, shift_c = scale_c.to(wide.dtype), shift_c.to(wide.dtype)
        normed = torch.addcmul(shift_c.view(shape), wide, scale_c.view(shape))
        return normed.to(image.dtype)

    def _follow(self, mean_c: Tensor, var_c: Tensor) -> None:
        """Move the running statistics towards these; a momentum of None means their plain mean."""
        if self.running_mean is None or self.running_var is None:
            return
        share = self.momentum
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if share is None:
                share = 1.0 / float(self.num_batches_tracked)
        with torch.no_grad():
            self.running_mean.lerp_(mean_c.to(self.running_mean.dtype), share or 0.0)
            self.running_var.lerp_(var_c.to(self.running_var.dtype), share or 0.0)


class _Sum(torch.autograd.Function):
    """A sum over the processes; what one of them put in reaches the losses of all."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor) -> Tensor:
        whole = mine.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        whole = gradient.contiguous().clone()
        dist.all_reduce(whole)
        return whole


def _sum_over_processes(mine: Tensor) -> Tensor:
    whole: Tensor = _Sum.apply(mine)
    return whole
