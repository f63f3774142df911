"""Variation of training films: parameters are drawn first, then applied, so any batch replays.

Works on a batch at once, on whatever device the batch is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from hilum.recipe import AugmentationPart


@dataclass(frozen=True)
class Variation:
    """What is done to each film of one batch.

    affine_n23: output to input coordinates in [-1, 1]
    gamma_n, contrast_n, brightness_n: grey = (grey ** gamma - 0.5) * contrast + 0.5 + brightness
    noise_n: standard deviation of the added noise; noise_seed draws it
    blur_n: standard deviation of a Gaussian blur that goes before the greys, as a share of the side
    """

    affine_n23: NDArray[np.float32]
    gamma_n: NDArray[np.float32]
    contrast_n: NDArray[np.float32]
    brightness_n: NDArray[np.float32]
    noise_n: NDArray[np.float32]
    noise_seed: int
    blur_n: NDArray[np.float32]

    def of(self, films: slice) -> Variation:
        """Of some of the films alone; their noise has a seed of its own."""
        return Variation(
            self.affine_n23[films],
            self.gamma_n[films],
            self.contrast_n[films],
            self.brightness_n[films],
            self.noise_n[films],
            self.noise_seed + (films.start or 0),
            self.blur_n[films],
        )


@dataclass(frozen=True)
class Mixing:
    """Mixup (Zhang et al. 2018): each film becomes `share` of itself and the rest of a partner.

    partner_n: permutation of the batch
    """

    share: float
    partner_n: NDArray[np.intp]

    def apply(self, values: Tensor) -> Tensor:
        """Mix films or labels, shape (n, …); a label unknown to either is unknown."""
        partner = torch.from_numpy(self.partner_n).to(values.device)
        return self.share * values + (1 - self.share) * values[partner]


def draw_mixing(alpha: float, n: int, rng: np.random.Generator) -> Mixing:
    """Draw the share from Beta(alpha, alpha), one for the batch, at least one half."""
    share = float(rng.beta(alpha, alpha))
    return Mixing(max(share, 1 - share), rng.permutation(n))


def draw_variation(settings: AugmentationPart, n: int, rng: np.random.Generator) -> Variation:
    """Draw parameters for `n` films, uniform in their ranges, gamma and stretch in logarithm."""

    def within(limit: float) -> NDArray[np.float64]:
        return rng.uniform(-limit, limit, n)

    angle_n = np.deg2rad(within(settings.rotation_degrees))
    zoom_n = 1 + within(settings.scale)
    mirror_n = np.where(rng.random(n) < settings.horizontal_flip, -1.0, 1.0)
    cos_n, sin_n = np.cos(angle_n) / zoom_n, np.sin(angle_n) / zoom_n
    # A shift of 1 in these coordinates is half the film.
    shift_n2 = np.stack(
        [within(2 * settings.translation), within(2 * settings.translation)], axis=1
    )
    affine_n23 = np.empty((n, 2, 3), dtype=np.float32)
    affine_n23[:, 0, 0], affine_n23[:, 0, 1] = mirror_n * cos_n, -sin_n
    affine_n23[:, 1, 0], affine_n23[:, 1, 1] = mirror_n * sin_n, cos_n
    affine_n23[:, :, 2] = shift_n2
    variation = Variation(
        affine_n23=affine_n23,
        gamma_n=np.exp(within(settings.gamma)).astype(np.float32),
        contrast_n=(1 + within(settings.contrast)).astype(np.float32),
        brightness_n=within(settings.brightness).astype(np.float32),
        noise_n=rng.uniform(0, settings.noise, n).astype(np.float32),
        noise_seed=int(rng.integers(2**62)),
        blur_n=rng.uniform(0, settings.blur, n).astype(np.float32),
    )
    # Wider or narrower at the same area: width over height is multiplied by this.
    stretch_n = np.exp(within(settings.stretch))
    affine_n23[:, :, 0] /= np.sqrt(stretch_n)[:, None]
    affine_n23[:, :, 1] *= np.sqrt(stretch_n)[:, None]
    return variation


def apply_variation(image_nchw: Tensor, variation: Variation) -> Tensor:
    """Vary grey films in [0, 1], shape (n, 1, h, w); the same variation gives the same films."""

    def per_film(values: NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(values).to(image_nchw.device).view(-1, 1, 1, 1)

    affine = torch.from_numpy(variation.affine_n23).to(image_nchw.device)
    grid = F.affine_grid(affine, list(image_nchw.shape), align_corners=False)
    # Reflection keeps the film's grey statistics where the turned film leaves a corner empty.
    moved = F.grid_sample(image_nchw, grid, padding_mode="reflection", align_corners=False)
    blurred = _blur(moved, variation.blur_n)
    # Interpolation may round to just below nought, where a power has no value.
    grey = blurred.clamp(1e-4, 1.0) ** per_film(variation.gamma_n)
    grey = (grey - 0.5) * per_film(variation.contrast_n) + 0.5 + per_film(variation.brightness_n)
    if variation.noise_n.any():
        generator = torch.Generator(image_nchw.device).manual_seed(variation.noise_seed)
        noise = torch.randn(grey.shape, generator=generator, device=grey.device)
        grey = grey + noise * per_film(variation.noise_n)
    return grey.clamp(0.0, 1.0)


def _blur(image_nchw: Tensor, blur_n: NDArray[np.float32]) -> Tensor:
    """Blur each film by its own Gaussian, rows then columns; beyond its edge a film is as there."""
    if not blur_n.any():
        return image_nchw
    n, _, height, width = image_nchw.shape
    deviation_n1 = torch.from_numpy(blur_n).to(image_nchw.device).view(-1, 1) * min(height, width)
    reach = int(np.ceil(3 * float(blur_n.max()) * min(height, width)))
    step_k = torch.arange(-reach, reach + 1, device=image_nchw.device)
    # Below a twentieth of a pixel the neighbours' weights vanish; nought itself has no quotient.
    weight_nk = torch.exp(-0.5 * (step_k / deviation_n1.clamp(min=0.05)) ** 2)
    weight_nk = weight_nk / weight_nk.sum(dim=1, keepdim=True)
    # One group a film: each is convolved with its own weights.
    films_1nhw = image_nchw.view(1, n, height, width)
    for weight_n1kk, edges in (
        (weight_nk.view(n, 1, 1, -1), (reach, reach, 0, 0)),
        (weight_nk.view(n, 1, -1, 1), (0, 0, reach, reach)),
    ):
        films_1nhw = F.conv2d(F.pad(films_1nhw, edges, mode="replicate"), weight_n1kk, groups=n)
    return films_1nhw.view(n, 1, height, width)
