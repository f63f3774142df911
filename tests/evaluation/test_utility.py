import numpy as np
import pytest

from hilum.evaluation import utility
from hilum.evaluation.utility import COVERAGE, Selection, confidence, net_benefits, treat_all


def ones(n: int) -> np.ndarray:
    return np.ones((1, n), dtype=np.int32)


def test_net_benefit_is_hits_less_false_alarms_at_the_stated_rate_of_exchange() -> None:
    found = net_benefits(np.array([[30]]), np.array([[20]]), np.array([200]), np.array([0.2]))
    assert found[0, 0] == pytest.approx(30 / 200 - 20 / 200 * 0.25)


def test_acting_on_all_is_the_model_that_calls_everything_positive() -> None:
    threshold_t = np.array(utility.ACTING)
    present, n = 37, 200
    tp, fp = np.full((1, 99), present), np.full((1, 99), n - present)
    model = net_benefits(tp, fp, np.array([n]), threshold_t)[0]
    np.testing.assert_allclose(treat_all(present, n, threshold_t), model)
    # It breaks even with acting on none where the threshold is the prevalence.
    assert treat_all(present, n, np.array([present / n]))[0] == pytest.approx(0)


@pytest.mark.parametrize(("tp", "n", "threshold"), [(1, 10, 1.0), (0, 0, 0.5)])
def test_net_benefit_is_missing_where_it_has_no_meaning(tp: int, n: int, threshold: float) -> None:
    found = net_benefits(np.array([[tp]]), np.array([[0]]), np.array([n]), np.array([threshold]))
    assert np.isnan(found[0, 0])


def test_confidence_is_the_distance_from_the_threshold_in_logits() -> None:
    found = confidence(np.array([0.0, 0.2, 0.5, 0.8, 1.0]), 0.5)
    assert found.tolist() == pytest.approx([np.inf, np.log(4), 0, np.log(4), np.inf])
    assert confidence(np.array([0.0, 0.3]), 0.0).tolist() == [0.0, np.inf]
    assert confidence(np.array([1.0, 0.3]), 1.0).tolist() == [0.0, np.inf]


def test_augrc_of_equal_confidence_is_half_the_error_rate() -> None:
    wrong_n = np.repeat([True, False], [3, 7])
    augrc_b, risk_bc = Selection(wrong_n, np.zeros(10)).statistics(ones(10))
    assert augrc_b[0] == pytest.approx(0.15)
    np.testing.assert_allclose(risk_bc[0], 0.3 * np.array(COVERAGE))


def test_errors_that_come_last_cost_little_and_errors_that_come_first_much() -> None:
    wrong_n = np.repeat([False, True], [80, 20])
    last, last_bc = Selection(wrong_n, np.arange(100.0)[::-1]).statistics(ones(100))
    first, _ = Selection(wrong_n, np.arange(100.0)).statistics(ones(100))
    assert last[0] == pytest.approx(0.2**2 / 2)
    assert first[0] == pytest.approx(0.2 - 0.2**2 / 2)
    assert last_bc[0, COVERAGE.index(0.8)] == 0
    assert last_bc[0, -1] == pytest.approx(0.2)


@pytest.mark.parametrize("digits", [0, 8])
def test_risk_at_each_coverage_is_that_of_the_repeated_images_counted_out(digits: int) -> None:
    rng = np.random.default_rng(2)
    wrong_n, confidence_n = rng.random(60) < 0.3, np.round(2 * rng.random(60), digits)
    count_n = rng.multinomial(60, np.ones(60) / 60)
    augrc_b, risk_bc = Selection(wrong_n, confidence_n).statistics(count_n[None].astype(np.int32))
    wrong, sure = np.repeat(wrong_n, count_n), np.repeat(confidence_n, count_n)
    pairs = (sure[:, None] > sure[None]) + (sure[:, None] == sure[None]) / 2
    assert augrc_b[0] == pytest.approx((wrong[:, None] * pairs).mean())
    for c, coverage in enumerate(COVERAGE):
        wanted, errors, taken = coverage * 60, 0.0, 0
        for level in np.unique(sure)[::-1]:
            block = sure == level
            share = min(1.0, (wanted - taken) / block.sum())
            if share <= 0:
                break
            errors, taken = errors + share * wrong[block].sum(), taken + block.sum()
        assert risk_bc[0, c] == pytest.approx(errors / 60)


def test_no_error_at_all_has_no_risk() -> None:
    augrc_b, risk_bc = Selection(np.zeros(5, dtype=bool), np.arange(5.0)).statistics(ones(5))
    assert augrc_b[0] == 0
    assert (risk_bc == 0).all()
