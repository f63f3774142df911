from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from math import log, sqrt

import numpy as np
import pytest
from scipy.stats import ks_2samp

from hilum.data.appearance import ATTRIBUTES
from hilum.errors import DataError
from hilum.robustness.monitoring.days import Stream, days_of, stream_of
from hilum.robustness.monitoring.drift import Drift, first_days, watch
from hilum.robustness.monitoring.limits import day_effect, limits_of
from hilum.robustness.monitoring.measures import (
    DECILES,
    WINDOWS,
    Yardstick,
    distances,
    growth,
    tally,
)
from hilum.robustness.monitoring.words import verdict
from served import made_lines

FINDINGS = ["Pneumonia"]
FORTNIGHT = [30] * 14


def _stream(seed: int, days: list[int], **more: float) -> Stream:
    return stream_of(made_lines(np.random.default_rng(seed), days, **more), FINDINGS)  # type: ignore[arg-type]


def _watched(reference: Stream, later: Stream) -> Drift:
    return watch(reference, rng=np.random.default_rng(0), runs=100).judge(later)


def test_statistics_are_those_of_slow_oracles() -> None:
    reference, later = _stream(0, [20] * 5), _stream(1, [15, 25, 20], shift=0.4, referred=0.2)
    rng = np.random.default_rng(2)
    yardstick = Yardstick.of(reference, rng)
    day_m = np.repeat([0, 1, 2], [15, 25, 20])
    window = tally(yardstick.coded(later), np.arange(60), day_m, 3).over(2)
    whole = tally(yardstick.coded(reference), np.arange(100), np.zeros(100, dtype=int), 1)
    scaled_tj = distances(whole, window)
    found_tj = scaled_tj / growth(100, window.n_t, 6, 1)
    by_name = dict(zip(yardstick.names, found_tj[2], strict=True))  # days 1 and 2: rows 15 to 60
    now = later.rows(np.arange(15, 60))

    score, old = now.logit_nf[:, 0], reference.logit_nf[:, 0]
    assert by_name["KS of the score, Pneumonia"] == pytest.approx(ks_2samp(old, score).statistic)
    for a, name in enumerate(ATTRIBUTES):
        expected = ks_2samp(reference.attribute_na[:, a], now.attribute_na[:, a]).statistic
        assert by_name[f"KS of {name.replace('_', ' ')}"] == pytest.approx(expected)

    edges = [-np.inf, *np.quantile(old, np.arange(1, DECILES) / DECILES), np.inf]
    psi = 0.0
    for low, high in pairwise(edges):
        p = (sum(low < x <= high for x in old) + 0.5) / (100 + DECILES / 2)
        q = (sum(low < x <= high for x in score) + 0.5) / (45 + DECILES / 2)
        psi += (q - p) * log(q / p)
    assert by_name["PSI of the score, Pneumonia"] == pytest.approx(psi)

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return float(np.cos((x - y) @ yardstick.frequency_kq).mean())

    def within(films: np.ndarray) -> float:
        n = len(films)
        pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
        return sum(kernel(films[i], films[j]) for i, j in pairs) / len(pairs)

    x_nk, y_mk = reference.feature_nk, now.feature_nk
    across = np.mean([kernel(x, y) for x in x_nk for y in y_mk])
    mmd = within(x_nk) + within(y_mk) - 2 * across
    assert by_name["MMD of the features"] == pytest.approx(mmd, abs=1e-5)
    share = now.referred_n.mean()
    assert 0 < share < 1
    assert by_name["refusal rate"] == pytest.approx(2 * np.arcsin(sqrt(share)))


def test_the_kernel_of_random_frequencies_is_gaussian_as_wide_as_the_median() -> None:
    reference = _stream(0, [200])
    frequency_kq = np.hstack(
        [Yardstick.of(reference, np.random.default_rng(seed)).frequency_kq for seed in range(40)]
    )
    x, y = reference.feature_nk[:2]
    i, j = np.triu_indices(200, k=1)
    apart = np.linalg.norm(reference.feature_nk[i] - reference.feature_nk[j], axis=1)
    expected = np.exp(-(np.linalg.norm(x - y) ** 2) / (2 * np.median(apart) ** 2))
    assert np.cos((x - y) @ frequency_kq).mean() == pytest.approx(expected, abs=0.05)


def test_what_never_varied_is_seen_to_vary_and_refusals_may_begin_slowly() -> None:
    reference, quiet = _stream(0, FORTNIGHT), _stream(1, FORTNIGHT)
    reference.attribute_na[:, 3] = 1.0
    quiet.attribute_na[:, 3] = 1.0
    quiet.refer_n[100] = "gate"
    quiet.attribute_na[200, 3] = 0.9
    assert _watched(reference, quiet).first is None
    quiet.attribute_na[300:420, 3] = 0.99
    found = _watched(reference, quiet)
    assert found.first == 10
    assert found.moved == "field_of_view"
    quiet.attribute_na[:, 3] = 1.0
    quiet.refer_n[300:330] = "gate"
    found = _watched(reference, quiet)
    assert found.first == 10
    assert found.alarms(10)[0].statistic == "refusal rate"
    assert "look at the referred films" in " ".join(verdict(found).sentences)


def test_quiet_services_raise_few_alarms_and_a_shift_is_found_and_named() -> None:
    alarmed = 0
    for seed in range(10):
        reference, quiet = _stream(100 + seed, FORTNIGHT), _stream(200 + seed, [30] * 20)
        rng = np.random.default_rng(seed)
        found = watch(reference, rng=rng, runs=60, horizon=20).judge(quiet)
        alarmed += found.first is not None
    # Of 10 services with a chance of 5 % each, 4 or more raise one in 1 of 1,000 trials.
    assert alarmed <= 3
    later = made_lines(np.random.default_rng(1), [30] * 10)
    later += made_lines(np.random.default_rng(2), [30] * 5, first=10, shift=0.8)
    found = _watched(_stream(0, FORTNIGHT), stream_of(later, FINDINGS))
    assert found.first is not None
    assert 10 <= found.first <= 12
    assert found.alarms(found.first)[0].statistic == "KS of exposure"
    assert found.moved == "exposure"
    told = verdict(found)
    assert told.state == "drift"
    assert told.sentences[0].startswith(f"Drift since {found.days[found.first].day.first}")
    assert "exposure" in told.sentences[1]


def test_limits_are_passed_by_the_share_of_quiet_runs_that_was_asked_for() -> None:
    reference = _stream(0, FORTNIGHT)
    days = [day.row_n for day in days_of(reference, 20)[0]]
    rng = np.random.default_rng(0)
    coded = Yardstick.of(reference, rng).coded(reference)
    effect = day_effect(reference, days, rng)

    def limits(share: float) -> np.ndarray:
        found = limits_of(
            coded, days, effect, share=share, horizon=20, runs=200, rng=np.random.default_rng(1)
        )
        assert found.exceeded == pytest.approx(share, abs=0.011)
        assert found.limit_wj.shape == (len(WINDOWS), 9)
        return found.limit_wj

    assert (limits(0.02) > limits(0.2)).all()


def test_days_that_differ_are_known_and_widen_the_limits() -> None:
    rng = np.random.default_rng(0)
    alike, unlike = _stream(5, FORTNIGHT), _stream(5, FORTNIGHT, day_sd=0.7)
    effects = []
    for reference in (alike, unlike):
        days = [day.row_n for day in days_of(reference, 20)[0]]
        effects.append(day_effect(reference, days, rng))
    assert effects[0].share == 0
    assert not effects[0].lean_dn.any()
    assert effects[1].p < 0.01
    # Of the variance of day means, 0.49 + 1 / 30, the days' own share is 0.94.
    assert effects[1].share == pytest.approx(0.94, abs=0.1)
    # Films that weigh as the brightest day asks for have that day's mean, for the most part.
    exposure_n = unlike.attribute_na[:, 0]
    rows = [day.row_n for day in days_of(unlike, 20)[0]]
    brightest = int(np.argmax([exposure_n[row_n].mean() for row_n in rows]))
    leant = np.average(exposure_n, weights=np.exp(effects[1].lean_dn[brightest]))
    moved = (leant - exposure_n.mean()) / (exposure_n[rows[brightest]].mean() - exposure_n.mean())
    assert 0.6 < moved < 1.2
    # A day with a mean of its own, as the reference had: no alarm where days differ.
    quiet = _stream(6, [30] * 20, day_sd=0.7)
    assert _watched(unlike, quiet).first is None
    assert _watched(alike, quiet).first is not None


def test_limits_do_not_move_as_the_record_grows() -> None:
    reference, later = _stream(0, FORTNIGHT), _stream(1, [30] * 9, shift=0.5)
    limits = watch(reference, rng=np.random.default_rng(0), runs=50)
    early, late = limits.judge(first_days(later, 4)[0]), limits.judge(later)
    np.testing.assert_allclose(early.times_twj, late.times_twj[:4])


def test_films_too_few_to_judge_are_told() -> None:
    with pytest.raises(DataError, match="0 films on 0 days of 20 films or more"):
        _watched(_stream(0, [10]), _stream(1, [30]))
    limits = watch(_stream(0, FORTNIGHT), rng=np.random.default_rng(0), runs=10)
    with pytest.raises(DataError, match="9 films after the reference"):
        limits.judge(_stream(1, [9]))
    found = limits.judge(_stream(1, [30, 4]))
    assert (len(found.days), found.waiting) == (1, 4)


def test_drift_that_ends_is_told_as_over() -> None:
    later = made_lines(np.random.default_rng(2), [30] * 5, shift=1.5)
    later += made_lines(np.random.default_rng(1), [30] * 12, first=5)
    told = verdict(_watched(_stream(0, FORTNIGHT), stream_of(later, FINDINGS)))
    assert told.state == "drift, over"
    assert "quiet since" in told.sentences[0]


def test_changed_scores_alone_send_one_to_ask_about_patients() -> None:
    reference, later = _stream(0, FORTNIGHT), _stream(1, [30] * 8)
    later = replace(later, logit_nf=later.logit_nf + 2.0)
    found = _watched(reference, later)
    assert found.moved is None
    assert "ask whether other patients are sent" in verdict(found).sentences[-1]
