"""What training minimises, finding by finding. Missing labels (NaN) count for nothing.

How often each film is drawn is `training.sampling`'s. Measured in docs/imbalance.md.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from hilum.errors import RecipeError
from hilum.recipe import LossPart


def binary_cross_entropy(logit_nf: Tensor, label_nf: Tensor) -> Tensor:
    """Mean binary cross-entropy over the labels that are known: a scalar, 0 when none is.

    logit_nf, label_nf: shape (n, f); labels 1 present, 0 absent, NaN unknown
    """
    known_nf = ~torch.isnan(label_nf)
    loss_nf = F.binary_cross_entropy_with_logits(
        logit_nf.float(), torch.nan_to_num(label_nf).float(), reduction="none"
    )
    return (loss_nf * known_nf).sum() / known_nf.sum().clamp(min=1)


class Objective(nn.Module):
    """The loss of a run, its weights and priors those of the training labels.

    A present finding costs w1 (1 - p)^gamma (-log p), an absent one w0 p^gamma (-log(1 - p)), with
    p = sigmoid(logit + tau log odds of the prior). What of these is asked for moves the
    probabilities that the network learns to give, so the logits it gives for a film whose true
    probability is P:

    class weights        log odds of P + log(w1 / w0); "balanced" takes off the log odds of the
                         prevalence, as if both classes were equally frequent. So does focal_alpha
                         with log(alpha / (1 - alpha)). A shift, which a temperature cannot undo
    logit adjustment     log odds of P - tau log odds of the prevalence: the same shift at tau = 1
    focal_gamma          log odds of P over nearly the same number for every P, 1.8 at gamma = 1,
                         2.7 at 2: too timid, and a temperature undoes it
    label smoothing      log odds of P (1 - 2 s) + s: too timid, never beyond log((1 - s) / s)

    present_weight_f, absent_weight_f: w1 and w0, both 1 on average over the training labels before
        focal_alpha, so that a rare finding neither drowns nor outshouts the others
    prior_logit_f: tau log odds of the prevalence
    """

    present_weight_f: Tensor
    absent_weight_f: Tensor
    prior_logit_f: Tensor

    def __init__(
        self,
        present_weight_f: NDArray[np.float64],
        absent_weight_f: NDArray[np.float64],
        prior_logit_f: NDArray[np.float64],
        *,
        focal_gamma: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__()
        for name, value_f in (
            ("present_weight_f", present_weight_f),
            ("absent_weight_f", absent_weight_f),
            ("prior_logit_f", prior_logit_f),
        ):
            self.register_buffer(name, torch.tensor(value_f, dtype=torch.float32))
        self.focal_gamma, self.label_smoothing = focal_gamma, label_smoothing

    @classmethod
    def of(cls, settings: LossPart, label_nf: NDArray[np.float64]) -> Self:
        """What the settings make of the training labels, shape (n, f): 1, 0, or NaN for unknown.

        Raises RecipeError when classes are to be weighed, or a prior taken off, and a finding has
        no known label of one class.
        """
        findings = label_nf.shape[1]
        present_f, absent_f = np.ones(findings), np.ones(findings)
        prior_logit_f = np.zeros(findings)
        if settings.class_weights != "none":
            count_kf = class_counts(label_nf, f"loss.class_weights = {settings.class_weights!r}")
            beta = settings.effective_beta if settings.class_weights == "effective" else None
            absent_f, present_f = _weights(count_kf, beta)
        if settings.focal_alpha is not None:
            present_f = present_f * settings.focal_alpha
            absent_f = absent_f * (1 - settings.focal_alpha)
        if settings.logit_adjustment:
            count_kf = class_counts(
                label_nf, f"loss.logit_adjustment = {settings.logit_adjustment:g}"
            )
            prior_logit_f = settings.logit_adjustment * np.log(count_kf[1] / count_kf[0])
        return cls(
            present_f,
            absent_f,
            prior_logit_f,
            focal_gamma=settings.focal_gamma,
            label_smoothing=settings.label_smoothing,
        )

    def sums(self, logit_nf: Tensor, label_nf: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the loss over the known labels, and how many these are: two scalars.

        label_nf: in [0, 1], a mixture of films something between; NaN unknown; shape (n, f)
        Sums, so that micro-batches and processes can be divided by the count of a whole step.
        """
        known_nf = ~torch.isnan(label_nf)
        share_nf = torch.nan_to_num(label_nf) * (1 - 2 * self.label_smoothing)
        share_nf = share_nf + self.label_smoothing
        logit_nf = logit_nf.float() + self.prior_logit_f
        present_nf = self.present_weight_f * _focal(logit_nf, self.focal_gamma)
        absent_nf = self.absent_weight_f * _focal(-logit_nf, self.focal_gamma)
        # What is partly present costs the like part of each: for a mixture, mixup's own loss.
        loss_nf = share_nf * present_nf + (1 - share_nf) * absent_nf
        # Not a product: nought times an infinite loss is not a number.
        return torch.where(known_nf, loss_nf, 0.0).sum(), known_nf.sum()


def class_counts(label_nf: NDArray[np.float64], where: str) -> NDArray[np.intp]:
    """How many labels are known to be absent, and present: shape (2, f).

    where: the setting that needs both, for the error
    Raises RecipeError when a finding lacks one of them.
    """
    count_kf = np.stack([(label_nf == 0).sum(axis=0), (label_nf == 1).sum(axis=0)])
    lacking = np.flatnonzero((count_kf == 0).any(axis=0))
    if len(lacking):
        f = int(lacking[0])
        absent, present = count_kf[:, f]
        raise RecipeError(
            where,
            f"of finding {f + 1} of {label_nf.shape[1]}, train has {present:,} present and "
            f"{absent:,} absent",
            expected="at least one of each",
            remedy="switch this setting off, or leave that finding out (data.findings)",
        )
    return count_kf


def _weights(count_kf: NDArray[np.intp], beta: float | None) -> NDArray[np.float64]:
    """Weight of each class, shape (2, f): 1 on average over the labels.

    beta: of the effective number (1 - beta^n) / (1 - beta) that n films count as (Cui et al. 2019,
        eq. 2); None: their own number, its limit for beta = 1; 0: all classes weigh the same
    """
    number_kf = count_kf.astype(np.float64)
    effective_kf = number_kf if beta is None else 1 - beta**number_kf
    mean_f = (number_kf / effective_kf).sum(axis=0) / number_kf.sum(axis=0)
    weight_kf: NDArray[np.float64] = 1 / (effective_kf * mean_f)
    return weight_kf


def _focal(logit_nf: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma (-log p), for p = sigmoid(logit) (Lin et al. 2017, eq. 4).

    The power is taken in the logarithm, where its slope is finite however sure the network is.
    """
    cost_nf = F.softplus(-logit_nf)
    return cost_nf if gamma == 0 else cost_nf * torch.exp(-gamma * F.softplus(logit_nf))
