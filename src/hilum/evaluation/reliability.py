"""Reliability: whether a probability of 0.7 means seven in ten.

How well scores rank images is left to `discrimination`; intervals of means, to `intervals`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.estimates import Z95, Estimate
from hilum.evaluation.intervals import one_class
from hilum.evaluation.results import ReliabilityCurve
from hilum.units import Units, proportion

Floats = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
BINS = 15  # Guo et al. 2017
IMAGES_A_BIN = 10  # fewer bins below 150 images


def log_losses_of_logits(logit_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Floats:
    """Log loss per image of sigmoid(logit), in nats, shape (n,); exact at any finite logit.

    y_n: 1 = finding present, 0 absent, shape (n,)
    """
    logit_n = np.asarray(logit_n, dtype=np.float64)
    loss_n: Floats = np.logaddexp(0.0, np.where(np.asarray(y_n) == 1, -logit_n, logit_n))
    return loss_n


def log_losses(prob_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Floats:
    """Log loss per image, in nats, shape (n,).

    prob_n: probability in [0, 1], clipped to [eps, 1 - eps] with eps = 2^-52, so that one certain
        error costs 36 nats and not infinity; shape (n,)
    y_n: 1 = finding present, 0 absent, shape (n,)
    """
    prob_n = np.clip(np.asarray(prob_n, dtype=np.float64), EPS, 1 - EPS)
    loss_n: Floats = -np.where(np.asarray(y_n) == 1, np.log(prob_n), np.log1p(-prob_n))
    return loss_n


def brier_scores(prob_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> Floats:
    """Squared error of the probability per image, shape (n,). Source: Brier 1950."""
    error_n: Floats = np.asarray(prob_n, dtype=np.float64) - np.asarray(y_n, dtype=np.float64)
    return error_n * error_n


def equal_mass_bins(prob_n: NDArray[np.floating], bins: int = BINS) -> NDArray[np.intp]:
    """Bin per image, about as many images in each, shape (n,).

    Equal probabilities share a bin whatever the order of the rows, so ties can leave fewer bins.
    """
    prob_n = np.asarray(prob_n, dtype=np.float64)
    sorted_n, n = np.sort(prob_n), len(prob_n)
    bins = min(bins, n)
    # Each bin's highest probability; searchsorted puts all its ties in the same bin.
    top_k = np.unique(sorted_n[[-(-n * (k + 1) // bins) - 1 for k in range(bins)]])
    return np.searchsorted(top_k, prob_n, side="left")


def equal_width_bins(prob_n: NDArray[np.floating], bins: int = BINS) -> NDArray[np.intp]:
    """Bin per image, equal steps of probability, shape (n,); for comparison with papers."""
    position_n = np.asarray(prob_n, dtype=np.float64) * bins
    return np.minimum(position_n.astype(np.intp), bins - 1)


def calibration_error(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], bin_n: NDArray[np.intp]
) -> float:
    """Expected calibration error as in most papers: mean |stated - observed| over bins.

    Biased upward: a perfect model with few images a bin does not score 0.
    prob_n: in [0, 1]; y_n: 1 present, 0 absent; bin_n: from one of the two binnings; shape (n,)
    Returns a fraction in [0, 1]. Source: Naeini et al. 2015; Guo et al. 2017, eq. 3.
    """
    excess_k = np.bincount(bin_n, weights=np.asarray(prob_n) - np.asarray(y_n))
    return float(np.abs(excess_k).sum() / len(bin_n))


def debiased_square_errors(n_bk: Floats, prob_bk: Floats, present_bk: Floats) -> Floats:
    """Squared calibration error less what chance alone puts into it, per row, shape (b,).

    n_bk, prob_bk, present_bk: per bin the images, the sum of their probabilities, and how many have
        the finding; rows are resamples (one for the data themselves)
    Unbiased, so it can fall below 0. Source: Bröcker 2012; Ferro & Fricker 2012; called debiased
    ECE, and found to be among the two best estimators, in Roelofs et al. 2022.
    """
    safe_bk = np.maximum(n_bk, 1)
    observed_bk = present_bk / safe_bk
    gap_bk = prob_bk / safe_bk - observed_bk
    noise_bk = observed_bk * (1 - observed_bk) / np.maximum(n_bk - 1, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error_b: Floats = (n_bk * (gap_bk * gap_bk - noise_bk)).sum(axis=1) / n_bk.sum(axis=1)
    return error_b


def calibration_errors(n_bk: Floats, prob_bk: Floats, present_bk: Floats) -> Floats:
    """`calibration_error` per row, shape (b,); arguments as in `debiased_square_errors`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        error_b: Floats = np.abs(prob_bk - present_bk).sum(axis=1) / n_bk.sum(axis=1)
    return error_b


def uncertainties(n_b: Floats, present_b: Floats) -> Floats:
    """The Brier score that the prevalence alone would earn, unbiased, shape (b,); NaN when n < 2.

    p (1 - p) n / (n - 1). With `debiased_square_errors` as miscalibration, resolution is what is
    left: Brier = miscalibration - resolution + uncertainty, exactly.
    Source: Murphy 1973; Stephenson et al. 2008 (variation within bins counts as resolution);
    Ferro & Fricker 2012 (unbiased).
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        share_b = present_b / n_b
        unbiased_b: Floats = share_b * (1 - share_b) * n_b / np.where(n_b > 1, n_b - 1, np.nan)
    return unbiased_b


def debiased_calibration_error(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], bin_n: NDArray[np.intp]
) -> float:
    """Root of `debiased_square_errors`, 0 where that is negative; arguments as there.

    Returns a fraction in [0, 1]: the root mean square distance of stated and observed.
    """
    n_k, prob_k, present_k = (
        np.bincount(bin_n, weights=weight_n).astype(np.float64)
        for weight_n in (np.ones(len(bin_n)), prob_n, y_n)
    )
    square = float(debiased_square_errors(n_k[None], prob_k[None], present_k[None])[0])
    return float(np.sqrt(max(0.0, square)))


def bins_for(n: int) -> int:
    """BINS, or fewer so that each holds about IMAGES_A_BIN images; at least one."""
    return min(BINS, max(1, n // IMAGES_A_BIN))


def reliability_curve(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], units: Units
) -> ReliabilityCurve:
    """The curve over equal-mass bins; arguments as in `calibration_error`, n > 0."""
    prob_n, y_n = np.asarray(prob_n, dtype=np.float64), np.asarray(y_n)
    bin_n = equal_mass_bins(prob_n, min(10, bins_for(len(prob_n))))
    rows = []
    for k in range(int(bin_n.max()) + 1):
        in_bin_n = bin_n == k
        share = proportion(y_n[in_bin_n] == 1, units.where(in_bin_n))
        rows.append(
            (
                float(prob_n[in_bin_n].mean()),
                *(float(limit or 0.0) for limit in (share.value, share.low, share.high)),
                int(in_bin_n.sum()),
                int(y_n[in_bin_n].sum()),
            )
        )
    mean_prob, observed, low, high, count, present = zip(*rows, strict=True)
    return ReliabilityCurve(mean_prob, observed, low, high, count, present)


def calibration_intercept(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], units: Units
) -> Estimate:
    """By how much, in logits, probabilities are too low on the whole; 0 is right.

    The intercept of a logistic regression of the label on logit(prob) with its slope held at 1
    ("calibration in the large"). prob_n is clipped as in `log_losses`.
    Wald interval with a sandwich variance, summed within patients.
    Source: Cox 1958; Van Calster et al. 2016; Liang & Zeger 1986.
    """
    n, present = len(y_n), int(y_n.sum())
    if present in (0, n):
        return Estimate.missing(one_class(present, n), n)
    if (reason := _certainly_wrong(prob_n, y_n)) is not None:
        return Estimate.missing(reason, n)
    return _newton(np.ones((n, 1)), _logit(prob_n), y_n, units)


def calibration_slope(
    prob_n: NDArray[np.floating], y_n: NDArray[np.floating], units: Units
) -> Estimate:
    """The slope of a logistic regression of the label on logit(prob): 1 is right, below 1 the
    probabilities are too extreme.

    Missing, with a reason, when the scores separate the classes. Clipping, interval and sources as
    in `calibration_intercept`; Albert & Anderson 1984 on separation.
    """
    n, present = len(y_n), int(y_n.sum())
    if present in (0, n):
        return Estimate.missing(one_class(present, n), n)
    if (reason := _certainly_wrong(prob_n, y_n)) is not None:
        return Estimate.missing(reason, n)
    logit_n = _logit(prob_n)
    high_n, low_n = logit_n[y_n == 1], logit_n[y_n == 0]
    if np.ptp(logit_n) == 0:
        return Estimate.missing("all probabilities are equal", n)
    if low_n.max() <= high_n.min() or high_n.max() <= low_n.min():
        return Estimate.missing("the scores separate the classes: no slope is steep enough", n)
    # Columns of mean 0 and spread 1 keep Newton's steps well scaled; the slope is scaled back.
    spread = float(logit_n.std())
    design = np.column_stack([(logit_n - logit_n.mean()) / spread, np.ones(n)])
    found = _newton(design, np.zeros(n), y_n, units)
    value, low, high = (
        None if limit is None else limit / spread for limit in (found.value, found.low, found.high)
    )
    return Estimate(value, low, high, n, found.method, found.reason)


def _certainly_wrong(prob_n: NDArray[np.floating], y_n: NDArray[np.floating]) -> str | None:
    """Why there is no regression on the logit where a probability of exactly 0 or 1 is wrong."""
    wrong = int((np.asarray(prob_n) == 1 - np.asarray(y_n)).sum())
    if not wrong:
        return None
    return f"{wrong} images are wrong with certainty, and the logit of a certainty is infinite"


def _logit(prob_n: NDArray[np.floating]) -> Floats:
    prob_n = np.clip(np.asarray(prob_n, dtype=np.float64), EPS, 1 - EPS)
    logit_n: Floats = np.log(prob_n) - np.log1p(-prob_n)
    return logit_n


def _newton(design: Floats, offset_n: Floats, y_n: NDArray[np.floating], units: Units) -> Estimate:
    """The first coefficient of a logistic regression, by Newton's method with halved steps."""
    n = len(y_n)

    def loss(coefficients: Floats) -> float:
        return float(log_losses_of_logits(offset_n + design @ coefficients, y_n).sum())

    at = np.zeros(design.shape[1])
    current = loss(at)
    for _ in range(100):
        fitted_n = expit(offset_n + design @ at)
        weight_n = np.maximum(fitted_n * (1 - fitted_n), 1e-12)  # clipped certainties still count
        information = design.T @ (design * weight_n[:, None])
        gradient = design.T @ (y_n - fitted_n)
        step = np.linalg.solve(information, gradient)
        if float(gradient @ step) < 1e-12 * max(1.0, abs(current)):
            break
        while (tried := loss(at + step)) > current + 1e-12 * abs(current):
            step /= 2
        at, current = at + step, tried
        if np.abs(step).max() < 1e-9:
            break
    else:
        return Estimate.missing("the regression does not converge", n)
    if units.count <= design.shape[1]:
        reason = f"an interval needs more than {design.shape[1]} {units.kind}s"
        return Estimate(float(at[0]), None, None, n, "none", reason)
    score_nk = design * (y_n - expit(offset_n + design @ at))[:, None]
    score_uk = np.column_stack(
        [np.bincount(units.unit_n, weights=s, minlength=units.count) for s in score_nk.T]
    )
    bread = np.linalg.inv(information)
    variance = units.count / (units.count - 1) * bread @ (score_uk.T @ score_uk) @ bread
    half = Z95 * float(np.sqrt(variance[0, 0]))
    value = float(at[0])
    return Estimate(value, value - half, value + half, n, f"Wald, sandwich by {units.kind}")
