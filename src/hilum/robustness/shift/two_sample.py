"""Two-sample tests of features: whether a classifier, or a kernel, tells two places apart.

What makes them differ is left to `attributes`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.spatial.distance import pdist, squareform
from scipy.stats import rankdata

from hilum.estimates import Estimate
from hilum.evaluation.intervals import delong
from hilum.robustness.shift.exchanging import Exchanges, Outside
from hilum.robustness.shift.results import TwoSample
from hilum.units import Units

MOST = 1000  # films of a place; the kernel needs all pairs
FEWEST = 10  # patients (films) of a place, below which nothing is learnt of it
COMPONENTS = 32
FOLDS = 5
RIDGE = 0.1  # of the variance of a component


def two_sample(
    internal_nd: NDArray[np.floating],
    external_nd: NDArray[np.floating],
    internal_units: Units,
    external_units: Units,
    *,
    rng: np.random.Generator,
    permutations: int,
) -> TwoSample:
    """Classifier two-sample test and MMD on features reduced by PCA.

    internal_nd, external_nd: pooled features, shapes (n, d) and (m, d)
    Of a place of more than MOST films whole patients are drawn up to that number. The classifier is
    a ridge discriminant, fitted on four fifths of the patients and asked of the others; its AUROC
    over all of them is the statistic. PCA looks at both places together and at no side.
    Source: Lopez-Paz & Oquab 2017; Rabanser et al. 2019; Gretton et al. 2012, eq. 3 (unbiased MMD)
    with the median heuristic.
    """
    kept_i, kept_e = _drawn(internal_units, rng), _drawn(external_units, rng)
    units_i, units_e = internal_units.where(kept_i), external_units.where(kept_e)
    n, m = len(kept_i), len(kept_e)
    note = None
    if n < len(internal_nd) or m < len(external_nd):
        whole = f"{len(internal_nd):,} and {len(external_nd):,}"
        note = f"tests of features rest on {n:,} and {m:,} films drawn from {whole}"
    if min(units_i.count, units_e.count) < FEWEST:
        why_not = (
            f"{units_i.count} and {units_e.count} {units_i.kind}s; {FEWEST} or more of each place"
        )
        return TwoSample(Estimate.missing(why_not, n + m), None, None, None, 0, n, m, why_not)
    exchanges = Exchanges.of(units_i, units_e, rng, permutations)
    component_nk = reduced(np.concatenate([internal_nd[kept_i], external_nd[kept_e]]))
    if component_nk.shape[1] == 0:
        why_not = "every film has the same features"
        return TwoSample(Estimate.missing(why_not, n + m), None, None, None, 0, n, m, why_not)
    folds = Folds(component_nk, exchanges.unit_n, rng)
    _, auroc_p = exchanges.p(folds.aurocs)
    outside_n = exchanges.outside_n
    joined = Units(units_e.kind, exchanges.unit_n, len(exchanges.outside_u))
    auroc = delong(folds.scores(outside_n[None])[0], outside_n.astype(np.float64), joined)
    mmd2, mmd2_p = exchanges.p(Kernel(component_nk).mmd2s)
    return TwoSample(auroc, auroc_p, mmd2, mmd2_p, permutations, n, m, note)


def reduced(feature_nd: NDArray[np.floating]) -> NDArray[np.float64]:
    """The first principal components of standardised features, shape (n, k); k = 0 where no
    feature varies."""
    feature_nd = np.asarray(feature_nd, dtype=np.float64)
    spread_d = feature_nd.std(axis=0)
    vary_d = spread_d > 1e-9 * max(1.0, float(np.abs(feature_nd).max()))
    if not vary_d.any():
        return np.empty((len(feature_nd), 0))
    feature_nd = (feature_nd - feature_nd.mean(axis=0))[:, vary_d] / spread_d[vary_d]
    k = min(COMPONENTS, max(1, len(feature_nd) // 10), feature_nd.shape[1])
    wide = feature_nd.shape[1] > len(feature_nd)
    product = feature_nd @ feature_nd.T if wide else feature_nd.T @ feature_nd
    last = len(product) - 1
    value_k, vector_xk = eigh(product, subset_by_index=[last - k + 1, last])
    found = vector_xk * np.sqrt(value_k.clip(0)) if wide else feature_nd @ vector_xk
    return np.asarray(found[:, ::-1], dtype=np.float64)


class Folds:
    """A ridge discriminant of sides, by films of patients that it was not fitted on.

    Its scores are linear in the sides, so that one solution a fold serves every permutation.
    """

    def __init__(
        self, component_nk: NDArray[np.float64], unit_n: NDArray[np.intp], rng: np.random.Generator
    ) -> None:
        fold_u = rng.permutation(int(unit_n.max()) + 1) % FOLDS
        self._parts = []
        for fold in range(FOLDS):
            held_n = fold_u[unit_n] == fold
            x_nk, centre_k = component_nk[~held_n], component_nk[~held_n].mean(axis=0)
            x_nk = x_nk - centre_k
            covariance_kk = x_nk.T @ x_nk
            # Each component is shrunk as much as its own variance: the scale of none matters.
            covariance_kk += np.diag(RIDGE * np.diag(covariance_kk) + 1e-12)
            solved_kn = np.linalg.solve(covariance_kk, x_nk.T)
            self._parts.append((held_n, (component_nk[held_n] - centre_k) @ solved_kn))

    def scores(self, outside_bn: Outside) -> NDArray[np.float64]:
        """How far each film lies towards the outside, shape (b, n)."""
        score_bn = np.empty(outside_bn.shape)
        for held_n, smooth_hn in self._parts:
            side_bn = outside_bn[:, ~held_n].astype(np.float64)
            # Without the fold's own mean, which would rank folds by how many sides they lack.
            score_bn[:, held_n] = (side_bn - side_bn.mean(axis=1, keepdims=True)) @ smooth_hn.T
        return score_bn

    def aurocs(self, outside_bn: Outside) -> NDArray[np.float64]:
        """Of the scores, for each row of sides, shape (b,); NaN where a side is empty."""
        rank_bn = rankdata(self.scores(outside_bn), axis=1)
        m_b = outside_bn.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            above_b = (rank_bn * outside_bn).sum(axis=1) - m_b * (m_b + 1) / 2
            return np.asarray(above_b / (m_b * (outside_bn.shape[1] - m_b)))


class Kernel:
    """Gaussian kernel of all pairs, as wide as their median distance."""

    def __init__(self, component_nk: NDArray[np.float64]) -> None:
        square_p = pdist(component_nk, "sqeuclidean")
        median = float(np.median(square_p)) or 1.0
        self._kernel_nn = squareform(np.exp(-square_p / (2 * median)))  # nought on the diagonal

    def mmd2s(self, outside_bn: Outside) -> NDArray[np.float64]:
        """Unbiased squared maximum mean discrepancy, shape (b,); NaN with under two films a side.

        Source: Gretton et al. 2012, eq. 3.
        """
        side_bn = outside_bn.astype(np.float64)
        near_bn = side_bn @ self._kernel_nn
        total, outer_b = float(self._kernel_nn.sum()), (near_bn * side_bn).sum(axis=1)
        between_b = near_bn.sum(axis=1) - outer_b
        inner_b = total - outer_b - 2 * between_b
        m_b = side_bn.sum(axis=1)
        n_b = side_bn.shape[1] - m_b
        with np.errstate(invalid="ignore", divide="ignore"):
            found_b = inner_b / (n_b * (n_b - 1)) + outer_b / (m_b * (m_b - 1))
            found_b -= 2 * between_b / (n_b * m_b)
        return np.where(np.isfinite(found_b), found_b, np.nan)


def _drawn(units: Units, rng: np.random.Generator) -> NDArray[np.intp]:
    """Films of whole patients, as many as MOST hold, in their order."""
    if len(units.unit_n) <= MOST:
        return np.arange(len(units.unit_n))
    place_u = np.empty(units.count, dtype=np.intp)
    place_u[rng.permutation(units.count)] = np.arange(units.count)
    size_u = np.bincount(units.unit_n, minlength=units.count)
    before_u = np.cumsum(size_u[np.argsort(place_u)])[place_u]  # films up to and with this one
    return np.flatnonzero(before_u[units.unit_n] <= MOST)
