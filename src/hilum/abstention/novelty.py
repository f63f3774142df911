"""Novelty: how far a film lies from those of the train role, by four measures.

Each is a score that grows with strangeness, over a limit from the calibrate role. Which of them
decides is the recipe's to say, and in which order it is asked `policy`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.covariance import ledoit_wolf
from sklearn.decomposition import PCA

from hilum.abstention.outline import outline, thumbnails
from hilum.data.appearance import appearance

Arrays = Mapping[str, NDArray[np.float32]]
Floats = NDArray[np.floating]
_COMPONENTS = 64
_NEIGHBOURS = 10
_REMEMBERED = 1000
_CHUNK = 256


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

    @classmethod
    def fit(cls, value_nd: Floats, y_n: Floats) -> Self:
        """y_n: 1, 0 or NaN, a class of its own; covariance is Ledoit & Wolf's, tied."""
        value_nd = np.asarray(value_nd, dtype=np.float64)
        group_n = np.where(np.isnan(y_n), 2, y_n).astype(int)
        centres = {k: value_nd[group_n == k].mean(axis=0) for k in np.unique(group_n)}
        # Scaled first, so that shrinkage towards a sphere is fair to every value.
        rest_nd = value_nd - np.stack([centres[k] for k in group_n])
        scale_d = rest_nd.std(axis=0) + 1e-6
        covariance_dd, _ = ledoit_wolf(rest_nd / scale_d)
        root_dd = np.linalg.cholesky(np.linalg.inv(covariance_dd))
        whiten_dd = root_dd / scale_d[:, None]
        centre_kd = np.stack(list(centres.values())) @ whiten_dd
        return cls(centre_kd.astype(np.float32), whiten_dd.astype(np.float32))


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
        self, image_nhw: Floats, feature_nd: Floats, logit_nf: Floats
    ) -> dict[str, NDArray[np.float64]]:
        """Each measure before its limit, by the names of `limits`, shape (n,).

        image_nhw: what the network was given, in [0, 1]; feature_nd: its pooled features
        logit_nf: raw logits
        """
        axis_nc = (np.asarray(feature_nd, dtype=np.float64) - self.mean_d) @ self.axis_dc
        looks_na = np.stack(list(appearance(image_nhw).values()), axis=1)
        return {
            "outline": self.outline.distance(outline(thumbnails(image_nhw))),
            "looks": self.looks.distance(looks_na),
            "mahalanobis": self.feature.distance(axis_nc),
            "knn": self._neighbours(axis_nc @ self.feature.whiten_dd),
            "energy": energy(logit_nf),
        }

    def score(
        self, image_nhw: Floats, feature_nd: Floats, logit_nf: Floats
    ) -> dict[str, NDArray[np.float64]]:
        """By MEASURES, over its limit: above 1 the film is strange, shape (n,)."""
        raw = self.raw(image_nhw, feature_nd, logit_nf)
        over = {name: _over(raw[name], self.limits[name]) for name in raw}
        film_n = np.maximum(over.pop("outline"), over.pop("looks"))
        return {"film": film_n, **over}

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


# film: of outline and looks the one that is further out; the rest know the network's features.
MEASURES = ("film", "mahalanobis", "knn", "energy")


def fit_novelty(
    train: tuple[Floats, Floats, Floats],
    y_n: Floats,
    calibrate: tuple[Floats, Floats, Floats],
    *,
    refusals: float,
    rng: np.random.Generator,
) -> Novelty:
    """Fit every measure on the train role, and its limit on the calibrate role.

    train, calibrate: image_nhw, feature_nd and logit_nf of their films
    y_n: train labels of the first finding, NaN where unknown
    refusals: the share of films like the calibrate role's that a measure may refuse; "film" asks
        two clouds and gives each half of it
    """
    image_nhw, feature_nd, _ = train
    axes = PCA(min(_COMPONENTS, *np.shape(feature_nd)), random_state=int(rng.integers(2**31))).fit(
        np.asarray(feature_nd, dtype=np.float64)
    )
    axis_nc = axes.transform(np.asarray(feature_nd, dtype=np.float64))
    cloud = Gaussian.fit(axis_nc, y_n)
    kept_m = rng.permutation(len(axis_nc))[:_REMEMBERED]
    looks_na = np.stack(list(appearance(image_nhw).values()), axis=1)
    unlimited = Novelty(
        Gaussian.fit(outline(thumbnails(image_nhw)), y_n),
        Gaussian.fit(looks_na, y_n),
        axes.mean_.astype(np.float32),
        axes.components_.T.astype(np.float32),
        cloud,
        (axis_nc[kept_m] @ cloud.whiten_dd).astype(np.float32),
        {},
    )
    halved = ("outline", "looks")
    limits = {
        name: _limit(raw_n, refusals / 2 if name in halved else refusals)
        for name, raw_n in unlimited.raw(*calibrate).items()
    }
    return Novelty(**{**vars(unlimited), "limits": limits})


def energy(logit_nf: Floats) -> NDArray[np.float64]:
    """Free energy over the findings' two classes, shape (n,).

    Source: Liu et al. 2020, eq. 3; summed over findings as Wang et al. 2021, with "absent" at a
    logit of nought.
    """
    logit_nf = np.asarray(logit_nf, dtype=np.float64)
    free_nf = -logsumexp(np.stack([np.zeros_like(logit_nf), logit_nf]), axis=0)
    return np.asarray(free_nf.sum(axis=1))


def _limit(raw_n: Floats, refusals: float) -> float:
    """What a share of at most `refusals` of such films lies beyond, as split conformal does."""
    rank = ceil((len(raw_n) + 1) * (1 - refusals) * (1 - 1e-12))
    return float(np.sort(raw_n)[rank - 1]) if rank <= len(raw_n) else np.inf


def _over(raw_n: Floats, limit: float) -> NDArray[np.float64]:
    """Beyond 1 where beyond the limit, whatever its sign; 0 where there is none."""
    if not np.isfinite(limit):
        return np.zeros(len(raw_n))
    if limit > 0:
        return np.asarray(raw_n / limit)
    return np.asarray(1 + (raw_n - limit))
