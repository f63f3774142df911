"""The linear layer behind a bundle's feature map, read without torch and held against its answers.

A classifier that ends in global average pooling and one linear layer makes its logit of a feature
map by a weighted sum: logit = bias + mean over places of (weight · feature). What each place adds
is then known exactly, and Grad-CAM needs no gradient.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from hilum.bundle import WEIGHTS, Bundle
from hilum.errors import BundleError

_MEMBER = re.compile(r"^(\d+)\.")
_REMEDY = "'hilum explain --method occlusion' needs no such head"


@dataclass(frozen=True)
class Head:
    """One linear layer on pooled features.

    weight_fc: shape (f findings, c channels); bias_f: shape (f,)
    """

    weight_fc: NDArray[np.float32]
    bias_f: NDArray[np.float32]

    def adds(self, feature_nchw: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each place adds to each logit, shape (n, f, h, w); with the bias they are the logit.

        feature_nchw: the map that the head pools, shape (n, c, h, w)
        """
        n, channels, height, width = feature_nchw.shape
        flat_ncp = feature_nchw.reshape(n, channels, height * width)
        added = np.matmul(self.weight_fc, flat_ncp) / (height * width)
        return np.asarray(added.reshape(n, -1, height, width), dtype=np.float32)

    def magnitude(self, feature_nchw: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the parts of each logit add up to without their signs, shape (n, f).

        It bounds what rounding of the parts can do to the sum.
        """
        pooled_nc = np.abs(feature_nchw).mean(axis=(2, 3))
        return np.asarray(pooled_nc @ np.abs(self.weight_fc).T, dtype=np.float32)


def head_of(bundle: Bundle, channels: int) -> Head:
    """The head of a bundle's classifier; of an ensemble, that of the mean of its members' logits.

    channels: of the engine's feature map
    It is known by its shape: the only matrices of such networks are their heads. Raises BundleError
    where there is another matrix, or none that fits.
    """
    try:
        tensors = load(bundle.read(WEIGHTS))
    except SafetensorError as error:
        raise BundleError(bundle.folder / WEIGHTS, f"cannot be read ({error})") from error
    heads = {name: tensor for name, tensor in tensors.items() if tensor.ndim == 2}
    members = {_member(name): name for name in heads}
    width = channels // max(len(members), 1)
    fits = len(members) == len(heads) and all(
        tensor.shape == (len(bundle.findings), width) for tensor in heads.values()
    )
    if not heads or not fits:
        raise _no_head(bundle)
    names = [members[member] for member in sorted(members)]
    # In float64: a bundle may keep them as halves, whose mean is none.
    weights = [heads[name].astype(np.float64) for name in names]
    biases = [tensors[name.removesuffix("weight") + "bias"].astype(np.float64) for name in names]
    weight_fc = np.concatenate(weights, axis=1) / len(names)
    return Head(weight_fc.astype(np.float32), np.mean(biases, axis=0).astype(np.float32))


def refuse_other_head(
    bundle: Bundle,
    head: Head,
    added_nfhw: NDArray[np.float32],
    logit_nf: NDArray[np.float32],
    *,
    slack: float | NDArray[np.float32] = 0.0,
) -> None:
    """Raise BundleError where the map and the bias do not add up to the engine's logit.

    slack: what the sum may be off by for the engine's rounding, a number or shape (n, f)
    """
    summed_nf = added_nfhw.sum(axis=(2, 3)) + head.bias_f
    if not np.all(np.abs(summed_nf - logit_nf) <= 1e-3 + 1e-3 * np.abs(logit_nf) + slack):
        raise _no_head(bundle)


def _member(name: str) -> int:
    found = _MEMBER.match(name)
    return int(found[1]) if found else 0


def _no_head(bundle: Bundle) -> BundleError:
    return BundleError(
        bundle.folder,
        f"{bundle.manifest.backbone.name} does not make its logit of pooled features by one layer",
        expected="a network that ends in global average pooling and one linear layer",
        remedy=_REMEDY,
    )
