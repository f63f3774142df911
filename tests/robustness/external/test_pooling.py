from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from hilum.estimates import Z95, Estimate
from hilum.robustness.external.pooling import pool_auroc, random_effects

# Thirteen trials of the BCG vaccine (Colditz et al. 1994): cases and others, vaccinated and not.
BCG = np.array(
    [
        (4, 119, 11, 128), (6, 300, 29, 274), (3, 228, 11, 209), (62, 13536, 248, 12619),
        (33, 5036, 47, 5761), (180, 1361, 372, 1079), (8, 2537, 10, 619), (505, 87886, 499, 87892),
        (29, 7470, 45, 7232), (17, 1699, 65, 1600), (186, 50448, 141, 27197), (5, 2493, 3, 2338),
        (27, 16886, 29, 17825),
    ],
    dtype=float,
)  # fmt: skip


def bcg() -> tuple[np.ndarray, np.ndarray]:
    """Log relative risks and their standard errors."""
    a, b, c, d = BCG.T
    value_s = np.log(a / (a + b)) - np.log(c / (c + d))
    return value_s, np.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))


def test_the_bcg_trials_give_the_published_figures() -> None:
    # Viechtbauer 2010, J Stat Softw 36(3), section 3.1: REML; there without Knapp and Hartung's
    # correction, which is added here as its definition has it.
    value_s, error_s = bcg()
    found = random_effects(value_s, error_s)
    assert found.tau2 == pytest.approx(0.3132, abs=5e-5)
    assert found.mean == pytest.approx(-0.7145, abs=5e-5)
    assert found.q == pytest.approx(152.2330, abs=5e-5)
    assert found.p_q < 0.0001
    assert found.i2 == pytest.approx(1 - 12 / 152.2330, abs=1e-5)
    weights = [1 / (e * e + found.tau2) for e in error_s]
    assert sum(weights) ** -0.5 == pytest.approx(0.1798, abs=5e-5)
    excess = sum(w * (v - found.mean) ** 2 for w, v in zip(weights, value_s, strict=True)) / 12
    assert found.error == pytest.approx((excess / sum(weights)) ** 0.5)
    # 2.1788 is Student's t with 12 degrees of freedom at 97.5 %.
    assert found.high - found.mean == pytest.approx(2.178813 * found.error, rel=1e-6)


def test_the_variance_between_sites_is_the_likeliest_of_a_fine_grid() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        error_s = rng.uniform(0.1, 0.6, 6)
        value_s = rng.normal(1.0, 0.4, 6) + rng.normal(0, error_s)
        tau2_k = np.linspace(0, 2, 20_001)
        weight_ks = 1 / (error_s**2 + tau2_k[:, None])
        mean_k = (weight_ks @ value_s) / weight_ks.sum(axis=1)
        excess_k = (weight_ks * (value_s - mean_k[:, None]) ** 2).sum(axis=1)
        likelihood_k = np.log(weight_ks).sum(axis=1) - np.log(weight_ks.sum(axis=1)) - excess_k
        best = tau2_k[np.argmax(likelihood_k)]
        assert random_effects(value_s, error_s).tau2 == pytest.approx(best, abs=1e-4)


def test_sites_that_agree_have_no_variance_between_them_and_no_boast() -> None:
    found = random_effects(np.full(4, 2.0), np.full(4, 0.2))
    assert (found.tau2, found.i2, found.q) == (0, 0, 0)
    # As without heterogeneity: never narrower than 0.2 / sqrt(4) allows.
    assert found.error == pytest.approx(0.1)


def test_the_mean_covers_the_truth_as_often_as_it_says() -> None:
    rng, hits, predicted = np.random.default_rng(0), 0, 0
    for _ in range(400):
        error_s = rng.uniform(0.1, 0.5, 5)
        value_s = rng.normal(1.5, 0.4, 5) + rng.normal(0, error_s)
        found = random_effects(value_s, error_s)
        hits += found.low <= 1.5 <= found.high
        assert found.new_low is not None
        assert found.new_high is not None
        predicted += found.new_low <= rng.normal(1.5, 0.4) <= found.new_high
    assert 0.93 <= hits / 400 <= 0.99
    assert 0.90 <= predicted / 400 <= 0.99


def _auroc(value: float, error: float, n: int = 100) -> Estimate:
    at, half = float(logit(value)), Z95 * error
    return Estimate(value, float(expit(at - half)), float(expit(at + half)), n, "DeLong")


def test_auroc_is_pooled_on_logits_and_given_back_as_auroc() -> None:
    found = pool_auroc({"a": _auroc(0.8, 0.2), "b": _auroc(0.9, 0.2), "c": _auroc(0.7, 0.2)})
    assert found.summary.value == pytest.approx(expit(logit([0.8, 0.9, 0.7]).mean()))
    assert found.expected.low is not None
    assert found.summary.low is not None
    assert found.expected.low < found.summary.low
    assert found.summary.n == 300


def test_a_site_without_a_figure_is_left_out_and_two_make_no_prediction() -> None:
    perfect = Estimate(1.0, 0.9, 1.0, 50, "Newcombe")
    none = Estimate.missing("no image with the finding among 9", 9)
    found = pool_auroc(
        {"a": _auroc(0.8, 0.2), "perfect": perfect, "b": _auroc(0.9, 0.2), "none": none}
    )
    assert found.sites == ("a", "b")
    assert found.left_out["none"] == "no image with the finding among 9"
    assert "has no logit" in found.left_out["perfect"]
    assert found.expected.low is None
    assert "3 or more sites" in str(found.expected.reason)
    alone = pool_auroc({"a": _auroc(0.8, 0.2)})
    assert alone.summary.value is None
    assert "two or more sites" in str(alone.summary.reason)


def test_one_site_or_no_error_is_refused() -> None:
    with pytest.raises(ValueError, match="two or more sites"):
        random_effects(np.array([1.0]), np.array([0.1]))
    with pytest.raises(ValueError, match="error above 0"):
        random_effects(np.array([1.0, 2.0]), np.array([0.1, 0.0]))
