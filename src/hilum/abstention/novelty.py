"""Novelty: how far a film lies from those of the train role, by four measures.

Each is a score that grows with strangeness, over a limit from the calibrate role. Which of them
decides is the recipe's to say, and in which order it is asked `policy`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from hilum.abstention.outline import outline, thumbnails
from hilum.data.appearance import appearance

Arrays = Mapping[str, NDArray[np.float32]]
Floats = NDArray[np.floating]
_NEIGHBOURS = 10
_CHUNK = 256


# film: of outline and looks the one that is further out; the rest know the network's features.
PARTS: Mapping[str, tuple[str, ...]] = {"film": ("outline", "looks")}
MEASURES = ("film", "mahalanobis", "knn", "energy")
LIMITED = (*PARTS["film"], *MEASURES[1:])


@dataclass(frozen=True)
class Gaussian:
    """A cloud a class, of one shape: distance is to the nearest class's centre.

    centre_kd: whitened; whiten_dd: value @ whiten_dd has the identity as its covariance
    """

    centre_kd: NDArray[np.float32]
    whiten_dd: NDArray[np.float32]

    def distance(self, value_nd: Floats) -> NDArray[np.float64]:
        """Squared Mahalanobis distance, shape (n,). Source: Lee et al. 2018, eq. 2."""
        white_nd = np.asarray(value_nd, dtype=np.float64) @ self.whiten_dd
        squared_kn = [((white_nd - centre_d) ** 2).sum(axis=1) for centre_d in self.centre_kd]
        return np.asarray(np.min(squared_kn, axis=0))


@dataclass(frozen=True)
class Novelty:
    """Four measures of a film, each over its limit: beyond 1 it is refused.

    outline, looks: clouds of the film's outline, and of its appearance
    mean_d, axis_dc: principal axes of pooled features; feature: the cloud on them
    remembered_mc: whitened train features that neighbours are sought among
    limits: by measure ("outline", "looks", "mahalanobis", "knn", "energy"), infinite where too few
        calibrate films were there to set one
    """

    outline: Gaussian
    looks: Gaussian
    mean_d: NDArray[np.float32]
    axis_dc: NDArray[np.float32]
    feature: Gaussian
    remembered_mc: NDArray[np.float32]
    limits: Mapping[str, float]

    def raw(
        self,
        image_nhw: Floats,
        feature_nd: Floats,
        logit_nf: Floats,
        names: Sequence[str] = LIMITED,
        outline_nd: Floats | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """The measures that are named before their limits, shape (n,).

        image_nhw: what the network was given, in [0, 1]; feature_nd: its pooled features
        logit_nf: raw logits; outline_nd: of the images' thumbnails, where it is at hand
        """
        found: dict[str, NDArray[np.float64]] = {}
        if "outline" in names:
            edges_nd = outline(thumbnails(image_nhw)) if outline_nd is None else outline_nd
            found["outline"] = self.outline.distance(edges_nd)
        if "looks" in names:
            looks_na = np.stack(list(appearance(image_nhw).values()), axis=1)
            found["looks"] = self.looks.distance(looks_na)
        if "mahalanobis" in names or "knn" in names:
            axis_nc = (np.asarray(feature_nd, dtype=np.float64) - self.mean_d) @ self.axis_dc
            if "mahalanobis" in names:
                found["mahalanobis"] = self.feature.distance(axis_nc)
            if "knn" in names:
                found["knn"] = self._neighbours(axis_nc @ self.feature.whiten_dd)
        if "energy" in names:
            found["energy"] = energy(logit_nf)
        return found

    def score(
        self,
        image_nhw: Floats,
        feature_nd: Floats,
        logit_nf: Floats,
        measures: Sequence[str] = MEASURES,
        outline_nd: Floats | None = None,
    ) -> dict[str, NDArray[np.float64]]:
        """By measure of `measures`, over its limit: above 1 the film is strange, shape (n,)."""
        names = [name for each in measures for name in PARTS.get(each, (each,))]
        raw = self.raw(image_nhw, feature_nd, logit_nf, names, outline_nd)
        over = {name: _over(raw[name], self.limits[name]) for name in names}
        return {
            each: np.max([over[name] for name in PARTS.get(each, (each,))], axis=0)
            for each in measures
        }

    def _neighbours(self, white_nc: Floats) -> NDArray[np.float64]:
        """Distance to the tenth nearest train film, shape (n,). Source: Sun et al. 2022."""
        k = min(_NEIGHBOURS, len(self.remembered_mc)) - 1
        squared_m = (self.remembered_mc.astype(np.float64) ** 2).sum(axis=1)
        found = [
            np.partition(
                (part_nc**2).sum(axis=1)[:, None] + squared_m - 2 * part_nc @ self.remembered_mc.T,
                k,
                axis=1,
            )[:, k]
            for part_nc in np.array_split(white_nc, max(1, ceil(len(white_nc) / _CHUNK)))
        ]
        return np.asarray(np.sqrt(np.maximum(np.concatenate(found), 0.0)))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        clouds = {"outline": self.outline, "looks": self.looks, "feature": self.feature}
        return {
            "novelty.mean_d": self.mean_d,
            "novelty.axis_dc": self.axis_dc,
            "novelty.remembered_mc": self.remembered_mc,
            **{f"novelty.{name}.centre_kd": cloud.centre_kd for name, cloud in clouds.items()},
            **{f"novelty.{name}.whiten_dd": cloud.whiten_dd for name, cloud in clouds.items()},
        }

    @classmethod
    def of(cls, arrays: Arrays, plain: Mapping[str, Any]) -> Self:
        """The inverse of `arrays`, with the limits. Raises KeyError or ValueError on others."""
        clouds = [
            Gaussian(arrays[f"novelty.{name}.centre_kd"], arrays[f"novelty.{name}.whiten_dd"])
            for name in ("outline", "looks", "feature")
        ]
        return cls(
            clouds[0],
            clouds[1],
            arrays["novelty.mean_d"],
            arrays["novelty.axis_dc"],
            clouds[2],
            arrays["novelty.remembered_mc"],
            {name: np.inf if at is None else float(at) for name, at in plain["limits"].items()},
        )


def energy(logit_nf: Floats) -> NDArray[np.float64]:
    """Free energy over the findings' two classes, shape (n,).

    Source: Liu et al. 2020, eq. 3; summed over findings as Wang et al. 2021, with "absent" at a
    logit of nought.
    """
    logit_nf = np.asarray(logit_nf, dtype=np.float64)
    free_nf = -logsumexp(np.stack([np.zeros_like(logit_nf), logit_nf]), axis=0)
    return np.asarray(free_nf.sum(axis=1))


def _over(raw_n: Floats, limit: float) -> NDArray[np.float64]:
    """Beyond 1 where beyond the limit, whatever its sign; 0 where there is none."""
    if not np.isfinite(limit):
        return np.zeros(len(raw_n))
    if limit > 0:
        return np.asarray(raw_n / limit)
    return np.asarray(1 + (raw_n - limit))
