"""A smooth calibration curve and the integrated calibration index (ICI) that rests on it.

The label is regressed on a restricted cubic spline of logit(prob). Bins and the other figures of
calibration are `reliability`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

Floats = NDArray[np.float64]

# Harrell 2015, table 2.3: where five (three) knots of a spline go.
QUANTILES = {5: (0.05, 0.275, 0.5, 0.725, 0.95), 3: (0.1, 0.5, 0.9)}
EVENTS = 10  # images of the rarer class that each coefficient of the curve asks for
CLIP = 1e-6  # a logit beyond 14 tells the curve nothing and drags its spline
GROUPS = 200  # of equal probability or nearly so: what resamples are counted in
STEPS = 25


@dataclass(frozen=True)
class SmoothCurve:
    """The curve fitted on the data, ready to be fitted again on resamples.

    knots: on the logit scale; centre, turn: make the spline's columns uncorrelated on the data
    coefficient: of those columns, the constant first
    starts: first image of each group in descending order of probability; x_gp: the groups' columns
    prob_g: their mean probability
    """

    knots: Floats
    centre: Floats
    turn: Floats
    coefficient: Floats
    starts: NDArray[np.intp]
    x_gp: Floats
    prob_g: Floats

    @classmethod
    def fit(cls, prob_n: Floats, y_n: Floats) -> SmoothCurve | str:
        """The curve of images in descending order of probability, or why there is none.

        prob_n: in [0, 1], descending, shape (n,); y_n: 1 present, 0 absent
        """
        rarer = int(min(y_n.sum(), len(y_n) - y_n.sum()))
        at_n = _at(prob_n)
        knots = _knots(at_n, rarer)
        if isinstance(knots, str):
            return knots
        raw_np = _spline(at_n, knots)
        centre = raw_np.mean(axis=0)
        # The columns are nearly collinear; Newton's steps need them apart.
        _, spread_p, axis_pp = np.linalg.svd(raw_np - centre, full_matrices=False)
        turn = axis_pp.T / spread_p * np.sqrt(len(at_n))
        x_np = np.column_stack([np.ones(len(at_n)), (raw_np - centre) @ turn])
        fitted_bp = _logistic(
            x_np[None], np.ones((1, len(y_n))), y_n[None], np.zeros((1, x_np.shape[1]))
        )
        if np.isnan(fitted_bp).any():
            return "the scores separate the classes: no curve is steep enough"
        size = min(GROUPS, len(prob_n))
        starts = np.unique(np.arange(size) * len(prob_n) // size)
        n_g = np.diff(np.append(starts, len(prob_n)))
        return cls(
            knots,
            centre,
            turn,
            fitted_bp[0],
            starts,
            np.add.reduceat(x_np, starts, axis=0) / n_g[:, None],
            np.add.reduceat(prob_n, starts) / n_g,
        )

    def at(self, prob_k: Floats, coefficient_bp: Floats | None = None) -> Floats:
        """The curve at probabilities in [0, 1], shape (b, k); its own without coefficients."""
        raw_kp = (_spline(_at(prob_k), self.knots) - self.centre) @ self.turn
        x_kp = np.column_stack([np.ones(len(prob_k)), raw_kp])
        coefficient_bp = self.coefficient[None] if coefficient_bp is None else coefficient_bp
        curve_bk: Floats = expit(coefficient_bp @ x_kp.T)
        return curve_bk

    def ici(self, prob_n: Floats) -> float:
        """Mean |curve - stated| over images, in [0, 1]. Source: Austin & Steyerberg 2019."""
        return float(np.abs(self.at(prob_n)[0] - prob_n).mean())

    def refitted(self, n_bg: Floats, present_bg: Floats) -> tuple[Floats, Floats]:
        """Coefficients (b, p) and ICI (b,) of resamples, counted in the curve's groups; NaN where a
        resample has no curve."""
        start_bp = np.broadcast_to(self.coefficient, (len(n_bg), len(self.coefficient)))
        coefficient_bp = _logistic(self.x_gp[None], n_bg, present_bg, start_bp)
        curve_bg = expit(coefficient_bp @ self.x_gp.T)
        with np.errstate(invalid="ignore", divide="ignore"):
            ici_b = (n_bg * np.abs(curve_bg - self.prob_g)).sum(axis=1) / n_bg.sum(axis=1)
        return coefficient_bp, ici_b


def _at(prob_n: Floats) -> Floats:
    at_n: Floats = logit(np.clip(prob_n, CLIP, 1 - CLIP))
    return at_n


def _knots(at_n: Floats, rarer: int) -> Floats | str:
    """As many knots as the rarer class allows and the distinct scores give, or why none."""
    for many, quantiles in QUANTILES.items():
        if rarer < EVENTS * (many - 1):
            continue
        knots = np.unique(np.quantile(at_n, quantiles))
        if len(knots) == many and np.diff(knots).min() > 1e-6:
            return np.asarray(knots, dtype=np.float64)
    if rarer < EVENTS * 2:
        return f"fewer than {EVENTS * 2} images of a class"
    return "too few distinct probabilities for a curve"


def _spline(at_n: Floats, knots: Floats) -> Floats:
    """Restricted cubic spline, linear beyond the outer knots: shape (n, knots - 1).

    Source: Harrell 2015, eq. 2.25.
    """
    first, last, before = knots[0], knots[-1], knots[-2]

    def cube(value_n: Floats) -> Floats:
        return np.maximum(value_n, 0.0) ** 3

    columns = [at_n]
    for knot in knots[:-2]:
        columns.append(
            (
                cube(at_n - knot)
                - cube(at_n - before) * (last - knot) / (last - before)
                + cube(at_n - last) * (before - knot) / (last - before)
            )
            / (last - first) ** 2
        )
    return np.column_stack(columns)


def _logistic(x_gp: Floats, n_bg: Floats, present_bg: Floats, start_bp: Floats) -> Floats:
    """Logistic regressions of grouped counts, one per row b, by Newton's method with short steps.

    x_gp: shape (1, g, p); returns shape (b, p), NaN where it does not converge
    """
    x_gp = x_gp[0]
    at_bp = np.array(start_bp, dtype=np.float64)
    going_b = np.full(len(at_bp), np.inf)
    for _ in range(STEPS):
        fitted_bg = expit(at_bp @ x_gp.T)
        score_bp = (present_bg - n_bg * fitted_bg) @ x_gp
        weight_bg = n_bg * fitted_bg * (1 - fitted_bg)
        information = np.einsum("bg,gp,gq->bpq", weight_bg, x_gp, x_gp, optimize=True)
        # A ridge far below any information that matters keeps an empty resample solvable.
        information += 1e-9 * (1 + n_bg.sum(axis=1))[:, None, None] * np.eye(x_gp.shape[1])
        step_bp = np.linalg.solve(information, score_bp[:, :, None])[:, :, 0]
        length_b = np.abs(step_bp).max(axis=1)
        at_bp += step_bp * np.minimum(1.0, 3.0 / np.maximum(length_b, 1e-12))[:, None]
        going_b = length_b
        if (length_b < 1e-8).all():
            break
    lost_b = ~(going_b < 1e-6) | (np.abs(at_bp).max(axis=1) > 1e3)
    at_bp[lost_b] = np.nan
    return at_bp
