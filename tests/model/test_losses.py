"""What training minimises, and where its minimum lies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss

from hilum.errors import RecipeError
from hilum.model.losses import Objective, binary_cross_entropy
from hilum.recipe import LossPart

NAN = float("nan")
RNG = np.random.default_rng(0)
LOGIT_NF = torch.tensor(RNG.normal(0, 4, (60, 3)), dtype=torch.float32)
LABEL_NF = torch.tensor(RNG.integers(0, 2, (60, 3)), dtype=torch.float32)


def objective(label_nf: Tensor | np.ndarray = LABEL_NF, **settings: object) -> Objective:
    return Objective.of(LossPart(**settings), np.asarray(label_nf, dtype=np.float64))


def mean(loss: Objective, logit_nf: Tensor, label_nf: Tensor) -> float:
    total, known = loss.sums(logit_nf, label_nf)
    return float(total) / int(known)


def one_finding(absent: int, present: int) -> np.ndarray:
    return np.repeat([0.0, 1.0], [absent, present])[:, None]


def best_logit(loss: Objective, prob: float) -> float:
    """The logit that costs least where the finding is present with this probability."""

    def cost(z: float) -> float:
        at, present = torch.tensor([[z]]), torch.ones(1, 1)
        absent = 1 - present
        return float(prob * loss.sums(at, present)[0] + (1 - prob) * loss.sums(at, absent)[0])

    return float(minimize_scalar(cost, bounds=(-9, 9), method="bounded").x)


def test_cross_entropy_is_that_of_scikit_learn_over_known_labels() -> None:
    label_nf = LABEL_NF.clone()
    label_nf[::3, 1] = NAN
    known = ~torch.isnan(label_nf).numpy()
    expected = log_loss(label_nf.numpy()[known], expit(LOGIT_NF.numpy().astype(float))[known])
    assert binary_cross_entropy(LOGIT_NF, label_nf).item() == pytest.approx(expected, rel=1e-5)
    assert binary_cross_entropy(LOGIT_NF, torch.full_like(LABEL_NF, NAN)).item() == 0.0
    assert mean(objective(), LOGIT_NF, label_nf) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_torchvision_s(gamma: float, alpha: float | None) -> None:
    known = sigmoid_focal_loss(
        LOGIT_NF, LABEL_NF, alpha=-1 if alpha is None else alpha, gamma=gamma, reduction="sum"
    )
    ours, _ = objective(focal_gamma=gamma, focal_alpha=alpha).sums(LOGIT_NF, LABEL_NF)
    torch.testing.assert_close(ours, known)


def test_focal_loss_by_hand() -> None:
    # p = 3/4: present (1/4)^2 log(4/3), absent (3/4)^2 log 4.
    at = torch.tensor([[float(np.log(3))]])
    loss = objective(one_finding(1, 1), focal_gamma=2.0)
    assert float(loss.sums(at, torch.ones(1, 1))[0]) == pytest.approx(np.log(4 / 3) / 16)
    assert float(loss.sums(at, torch.zeros(1, 1))[0]) == pytest.approx(np.log(4) * 9 / 16)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_the_slope_is_finite_however_sure_the_network_is(gamma: float) -> None:
    logit_nf = torch.tensor([[-1e4], [-200.0], [200.0], [1e4]], requires_grad=True)
    for label in (0.0, 1.0):
        loss = objective(one_finding(1, 1), focal_gamma=gamma)
        total, _ = loss.sums(logit_nf, torch.full((4, 1), label))
        (slope_nf,) = torch.autograd.grad(total, logit_nf)
        assert torch.isfinite(total)
        assert torch.isfinite(slope_nf).all()


@given(st.integers(1, 500), st.integers(1, 500))
def test_balanced_weights_are_those_of_scikit_learn(absent: int, present: int) -> None:
    label_nf = one_finding(absent, present)
    loss = objective(label_nf, class_weights="balanced")
    expected = compute_class_weight("balanced", classes=np.array([0, 1]), y=label_nf[:, 0])
    found = [loss.absent_weight_f.item(), loss.present_weight_f.item()]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_effective_numbers_are_those_of_the_paper() -> None:
    loss = objective(one_finding(900, 30), class_weights="effective", effective_beta=0.99)
    # Cui et al. 2019, eq. 2: E = (1 - beta^n) / (1 - beta), and weights go as 1 / E.
    absent, present = ((1 - 0.99**n) / (1 - 0.99) for n in (900, 30))
    ratio = float(loss.present_weight_f / loss.absent_weight_f)
    assert ratio == pytest.approx(absent / present, rel=1e-5)
    assert 900 * float(loss.absent_weight_f) + 30 * float(loss.present_weight_f) == pytest.approx(
        930, rel=1e-5
    )


@pytest.mark.parametrize(("beta", "kind"), [(0.0, "none"), (1 - 1e-9, "balanced")])
def test_effective_numbers_lie_between_no_weights_and_balanced_ones(beta: float, kind: str) -> None:
    label_nf = one_finding(70, 20)
    ours = objective(label_nf, class_weights="effective", effective_beta=beta)
    limit = objective(label_nf, class_weights=kind)
    torch.testing.assert_close(ours.present_weight_f, limit.present_weight_f, rtol=1e-4, atol=0)
    torch.testing.assert_close(ours.absent_weight_f, limit.absent_weight_f, rtol=1e-4, atol=0)


def test_weights_scale_each_class_s_part_of_the_loss() -> None:
    loss = objective(one_finding(30, 10), class_weights="balanced")
    logit_nf = torch.tensor([[0.3], [0.3]])
    label_nf = torch.tensor([[1.0], [0.0]])
    present, absent = (
        binary_cross_entropy(logit_nf[i : i + 1], label_nf[i : i + 1]) for i in (0, 1)
    )
    # 40 / (2 * 10) and 40 / (2 * 30)
    torch.testing.assert_close(loss.sums(logit_nf, label_nf)[0], 2 * present + 2 / 3 * absent)


def test_each_finding_has_weights_and_priors_of_its_own_known_labels() -> None:
    label_nf = np.array([[1, 0], [1, NAN], [1, NAN], [0, 1]], dtype=np.float64)
    loss = objective(label_nf, class_weights="balanced", logit_adjustment=0.5)
    np.testing.assert_allclose(loss.present_weight_f, [4 / 6, 1.0], rtol=1e-6)
    np.testing.assert_allclose(loss.prior_logit_f, [0.5 * np.log(3), 0.0], atol=1e-6)


def test_logit_adjustment_adds_the_prior_in_training() -> None:
    loss = objective(one_finding(90, 10), logit_adjustment=2.0)
    expected = binary_cross_entropy(LOGIT_NF[:, :1] + 2 * np.log(1 / 9), LABEL_NF[:, :1])
    assert mean(loss, LOGIT_NF[:, :1], LABEL_NF[:, :1]) == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("prob", [0.05, 0.3, 0.8])
@pytest.mark.parametrize(
    "settings",
    [
        {"class_weights": "balanced"},
        {"class_weights": "effective", "effective_beta": 1 - 1e-9},
        {"logit_adjustment": 1.0},
    ],
)
def test_balancing_takes_the_log_odds_of_the_prevalence_off(
    settings: dict[str, object], prob: float
) -> None:
    loss = objective(one_finding(90, 10), **settings)
    assert best_logit(loss, prob) == pytest.approx(logit(prob) - logit(0.1), abs=0.02)


def test_what_the_docstring_says_of_focal_loss_and_smoothing_is_so() -> None:
    for gamma, factor in ((1.0, 1.8), (2.0, 2.7)):
        loss = objective(one_finding(1, 1), focal_gamma=gamma)
        for prob in (0.01, 0.2, 0.9, 0.99):
            assert logit(prob) / best_logit(loss, prob) == pytest.approx(factor, abs=0.06)
    smooth = objective(one_finding(1, 1), label_smoothing=0.1)
    for prob in (0.01, 0.5, 0.9):
        assert best_logit(smooth, prob) == pytest.approx(logit(prob * 0.8 + 0.1), abs=0.01)
    alpha = objective(one_finding(1, 1), focal_alpha=0.25)
    assert best_logit(alpha, 0.5) == pytest.approx(np.log(0.25 / 0.75), abs=0.01)


@pytest.mark.parametrize(
    "settings",
    [{}, {"focal_gamma": 2.0}, {"class_weights": "balanced", "label_smoothing": 0.1}],
)
def test_a_mixture_of_labels_costs_the_mixture_of_their_losses(settings: dict[str, object]) -> None:
    loss = objective(**settings)
    other_nf = LABEL_NF.flip(0)
    mixed, _ = loss.sums(LOGIT_NF, 0.7 * LABEL_NF + 0.3 * other_nf)
    each = [loss.sums(LOGIT_NF, label_nf)[0] for label_nf in (LABEL_NF, other_nf)]
    torch.testing.assert_close(mixed, 0.7 * each[0] + 0.3 * each[1])


def test_an_unknown_label_counts_for_nothing_in_loss_slope_and_number() -> None:
    logit_nf = LOGIT_NF.clone().requires_grad_()
    label_nf = LABEL_NF.clone()
    label_nf[:20, 0] = NAN
    total, known = objective(focal_gamma=1.0).sums(logit_nf, label_nf)
    assert int(known) == 160
    (slope_nf,) = torch.autograd.grad(total, logit_nf)
    assert (slope_nf[:20, 0] == 0).all()
    assert (slope_nf[20:] != 0).all()
    nothing, none = objective().sums(logit_nf, torch.full_like(label_nf, NAN))
    assert float(nothing.detach()) == 0.0
    assert int(none) == 0


def test_sums_of_parts_add_up_to_the_sum_of_the_whole() -> None:
    label_nf = LABEL_NF.clone()
    label_nf[5:30, 2] = NAN
    loss = objective(class_weights="balanced", focal_gamma=1.0)
    parts = [loss.sums(a, b) for a, b in zip(LOGIT_NF.split(13), label_nf.split(13), strict=True)]
    whole = loss.sums(LOGIT_NF, label_nf)
    torch.testing.assert_close(sum(each[0] for each in parts), whole[0])
    assert sum(int(each[1]) for each in parts) == int(whole[1])


def test_half_precision_logits_are_summed_in_single() -> None:
    total, _ = objective().sums(LOGIT_NF.bfloat16(), LABEL_NF)
    assert total.dtype == torch.float32


def test_weights_move_with_the_objective() -> None:
    loss = objective(class_weights="balanced", logit_adjustment=1.0).to("meta")
    assert {each.device.type for each in loss.buffers()} == {"meta"}


@pytest.mark.parametrize(
    "settings",
    [{"class_weights": "balanced"}, {"class_weights": "effective"}, {"logit_adjustment": 1.0}],
)
def test_a_finding_that_lacks_a_class_is_refused_where_classes_are_weighed(
    settings: dict[str, object],
) -> None:
    label_nf = np.array([[1, 0], [0, 0], [NAN, 0]], dtype=np.float64)
    with pytest.raises(RecipeError, match=r"loss\.\w+ = .*finding 2 of 2.* 0 present and 3 absent"):
        objective(label_nf, **settings)
    assert float(objective(label_nf).present_weight_f.sum()) == 2
