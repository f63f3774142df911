"""Saliency by torch and Captum: Grad-CAM at any layer, HiResCAM, integrated gradients, occlusion.

All explain the raw logit of one finding. Of an ensemble, whose logit is the mean of its members',
the map is the mean of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import IntegratedGradients, LayerGradCam, LayerGradientXActivation, Occlusion
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from hilum.bundle import Bundle
from hilum.explanation.grid import Grid, placed
from hilum.explanation.network import (
    as_films,
    feature_layer,
    grid_of_layer,
    layer_of,
    members_of,
)
from hilum.explanation.saliency import LAST, Method, Saliency
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.predict import Answer
from hilum.rebuilding import classifier_of

STEPS = 32  # of integrated gradients, from the black film to the film
_PATCHES = 14  # cells along a side for methods on pixels; occlusion covers two by two in turn


def attribute(
    classifier: Classifier | Ensemble,
    image_nchw: NDArray[np.float32],
    finding: int,
    method: Method,
    *,
    layer: str | None = None,
) -> NDArray[np.float32]:
    """Maps of one finding's logit, float32 [n, h, w], signed and on the method's own grid.

    image_nchw: films as the network takes them, [n, 1, side, side]
    finding: column of the logits
    layer: dotted name within timm's network, for grad_cam and hires_cam; the last feature map
        without one. Several, joined by commas, give the mean of their maps in the unit of
        `Saliency.densities`, on the finest of their grids: a late layer tells what, an early one
        where (Jiang et al. 2021, "LayerCAM")
    The units: grad_cam, hires_cam and integrated_gradients say what a place adds to the logit;
    occlusion by how much the logit falls when the place is covered with the film's mean grey.
    Raises ValueError for a layer that is not there or makes no map, or for one beside a method that
    works on pixels.
    """
    if layer is not None and method in _ON_PIXELS:
        raise ValueError(f"{method} takes no layer: it works on the pixels of the input")
    names = _layers(layer)
    image = as_films(image_nchw)
    maps = []
    for name in names:
        of_members = [
            _of_member(member, image, finding, method, name) for member in members_of(classifier)
        ]
        maps.append(np.asarray(np.mean(of_members, axis=0), dtype=np.float32))
    if len(maps) == 1:
        return maps[0]
    side = image_nchw.shape[-1]
    grids = [_grid(classifier, name, side, each) for name, each in zip(names, maps, strict=True)]
    return _mean_of_layers(maps, grids)


class ByTorch:
    """Collects maps of every batch that `predict` passes, from the bundle's own network in torch.

    method, layer: as for `attribute`
    """

    def __init__(self, bundle: Bundle, n: int, method: Method, layer: str | None) -> None:
        self._classifier = classifier_of(bundle)
        self._n, self._findings = n, len(bundle.findings)
        self._method, self._layer = method, layer
        self._map_nfhw: NDArray[np.float32] | None = None

    def __call__(self, answer: Answer) -> None:
        image_nchw = np.array(answer.image_nchw)
        for finding in range(self._findings):
            map_nhw = attribute(
                self._classifier, image_nchw, finding, self._method, layer=self._layer
            )
            if self._map_nfhw is None:
                shape = (self._n, self._findings, *map_nhw.shape[1:])
                self._map_nfhw = np.full(shape, np.nan, dtype=np.float32)
                self._side = image_nchw.shape[-1]
            self._map_nfhw[answer.positions, finding] = map_nhw

    def saliency(self) -> Saliency:
        """The maps of all films that were passed. Raises ValueError where there was none."""
        if self._map_nfhw is None:
            raise ValueError("no film was passed")
        rows, columns = self._map_nfhw.shape[-2:]
        words, grid = "the input", Grid.of_tiles(self._side, rows)
        if self._method in ("grad_cam", "hires_cam"):
            names = _layers(self._layer)
            grids = [_grid(self._classifier, name, self._side, self._map_nfhw) for name in names]
            grid = min(grids, key=lambda each: each.step)
            words = " and ".join(self._named(name) for name in names)
        return Saliency(self._method, f"{words}, {rows} × {columns}", self._map_nfhw, grid)

    def _named(self, name: str | None) -> str:
        """A layer in words, the one that the head pools as what it is."""
        try:
            last = feature_layer(members_of(self._classifier)[0], self._side)
        except ValueError:  # no single module makes what this head pools
            if name is None:
                raise
            return name
        return f"{LAST} ({last})" if name in (None, last) else str(name)


def _layers(layer: str | None) -> tuple[str | None, ...]:
    return tuple(name.strip() for name in layer.split(",")) if layer else (None,)


def _grid(
    classifier: Classifier | Ensemble,
    name: str | None,
    side: int,
    maps: NDArray[np.float32],
) -> Grid:
    """Where the cells of a layer's maps stand; in the middle of their tiles where nobody knows.

    maps: the last axis are its columns
    """
    member = members_of(classifier)[0]
    traced = grid_of_layer(member, name or feature_layer(member, side), side)
    return placed(traced, side, maps.shape[-1])


def _mean_of_layers(
    maps: Sequence[NDArray[np.float32]], grids: Sequence[Grid]
) -> NDArray[np.float32]:
    """The mean density of several layers' maps, [n, h, w] each, at the cells of the finest."""
    finest = min(range(len(maps)), key=lambda k: grids[k].step)
    rows, columns = maps[finest].shape[1:]
    pixel = [grids[finest].first + grids[finest].step * np.arange(k) for k in (rows, columns)]
    total_nhw = np.zeros_like(maps[finest])
    for map_nhw, grid in zip(maps, grids, strict=True):
        at = np.meshgrid(*((p - grid.first) / grid.step for p in pixel), indexing="ij")
        cells = map_nhw.shape[1] * map_nhw.shape[2]
        for n, map_hw in enumerate(map_nhw):
            total_nhw[n] += cells * ndimage.map_coordinates(map_hw, at, order=1, mode="nearest")
    return total_nhw / np.float32(len(maps) * rows * columns)


def _of_member(
    member: Classifier, image_nchw: Tensor, finding: int, method: Method, layer: str | None
) -> NDArray[np.float32]:
    side = image_nchw.shape[-1]
    if method in ("grad_cam", "hires_cam"):
        name = layer or feature_layer(member, side)
        of_layer = LayerGradCam if method == "grad_cam" else LayerGradientXActivation
        made = of_layer(member, layer_of(member, name)).attribute(image_nchw, target=finding)
        map_nchw = _as_map(made, name)
    else:
        map_nchw = _ON_PIXELS[method](member, image_nchw, finding)
    return np.asarray(map_nchw.detach().sum(dim=1).numpy(), dtype=np.float32)


def _as_map(made: Any, layer: str) -> Tensor:
    if not isinstance(made, Tensor) or made.ndim != 4:
        raise ValueError(f"layer {layer!r} makes no map of channels, rows and columns")
    return made


def _integrated(member: Classifier, image_nchw: Tensor, finding: int) -> Tensor:
    """Integrated gradients from a black film (Sundararajan et al. 2017): the sum over pixels is the
    logit less that of the black film. Black is air, so what is black itself gets nothing. Summed
    over cells, about 14 along a side.
    """
    made: Tensor = IntegratedGradients(member).attribute(
        image_nchw,
        baselines=torch.zeros_like(image_nchw),
        target=finding,
        n_steps=STEPS,
        internal_batch_size=max(len(image_nchw), 8),
    )
    # By the pixel they are noise; the sum over a cell still adds up to the logit.
    side = image_nchw.shape[-1]
    cell = next(step for step in range(max(side // _PATCHES, 1), 0, -1) if side % step == 0)
    return F.avg_pool2d(made, cell) * cell**2


def _occluded(member: Classifier, image_nchw: Tensor, finding: int) -> Tensor:
    """The fall of the logit where a square is covered (Zeiler & Fergus 2014)."""
    side = image_nchw.shape[-1]
    stride = max(1, side // _PATCHES)
    mean_n = image_nchw.mean(dim=(1, 2, 3), keepdim=True)
    with torch.no_grad():
        made: Tensor = Occlusion(member).attribute(
            image_nchw,
            sliding_window_shapes=(1, 2 * stride, 2 * stride),
            strides=(1, stride, stride),
            baselines=mean_n.expand_as(image_nchw),
            target=finding,
        )
    return F.avg_pool2d(made, stride) if side % stride == 0 else made


_ON_PIXELS: dict[str, Callable[[Classifier, Tensor, int], Tensor]] = {
    "integrated_gradients": _integrated,
    "occlusion": _occluded,
}
