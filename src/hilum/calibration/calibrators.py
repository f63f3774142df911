"""Calibrators: which one a finding gets, by cross-validated log loss on the `calibrate` role.

What each of them is and how it is fitted is left to the modules of their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.calibration.isotonic import FEWEST, Isotonic, fit_isotonic
from hilum.calibration.labelled import Floats, labelled
from hilum.calibration.logistic import Beta, Platt, fit_beta, fit_platt
from hilum.calibration.temperature import Temperature, fit_temperature
from hilum.errors import EvaluationError
from hilum.units import Units

Calibrator = Temperature | Platt | Beta | Isotonic

# From the simplest on: among equals the first is taken.
_FITS: dict[str, Callable[[Floats, Floats], Calibrator]] = {
    "temperature": fit_temperature,
    "platt": fit_platt,
    "beta": fit_beta,
    "isotonic": fit_isotonic,
}
_FROM_DICT: dict[str, Callable[[Mapping[str, object]], Calibrator]] = {
    "temperature": Temperature.from_dict,
    "platt": Platt.from_dict,
    "beta": Beta.from_dict,
    "isotonic": Isotonic.from_dict,
}
FOLDS = 5
EPS = float(np.finfo(np.float64).eps)  # as in the log loss of an evaluation


def calibrator_from_dict(fields: Mapping[str, object]) -> Calibrator:
    """The calibrator of any kind that `to_dict` wrote; other keys are left aside.

    Raises EvaluationError on an unknown kind, or numbers that make no such calibrator.
    """
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in _FROM_DICT:
        raise EvaluationError("calibrator", f"kind {kind!r}", expected=", ".join(_FROM_DICT))
    return _FROM_DICT[kind](fields)


@dataclass(frozen=True)
class ChosenCalibrator:
    """A calibrator fitted on all the images, and why it is this one.

    log_loss: mean log loss in nats per kind on images it was not fitted on, and of "none", which
        is sigmoid(logit); empty when it was not cross-validated
    folds: how many; 0 when it was not cross-validated
    reason: why this kind, in words
    """

    calibrator: Calibrator
    log_loss: Mapping[str, float] = field(default_factory=dict)
    folds: int = 0
    reason: str = ""

    def to_dict(self) -> dict[str, object]:
        """The calibrator's own plain values, with the table beside them."""
        return {
            **self.calibrator.to_dict(),
            "log_loss": dict(self.log_loss),
            "folds": self.folds,
            "reason": self.reason,
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> ChosenCalibrator:
        """The inverse of `to_dict`; a calibrator alone has no table. Raises EvaluationError."""
        table, folds = fields.get("log_loss", {}), fields.get("folds", 0)
        if not isinstance(table, Mapping) or not all(
            isinstance(loss, int | float) and np.isfinite(loss) for loss in table.values()
        ):
            raise EvaluationError("calibrator", f"log_loss {table!r:.60}", expected="a table")
        if isinstance(folds, bool) or not isinstance(folds, int):
            raise EvaluationError("calibrator", f"folds {folds!r:.60}", expected="an integer")
        reason = str(fields.get("reason", ""))
        return cls(calibrator_from_dict(fields), dict(table), folds, reason)

    def table_in_words(self) -> str:
        """`none 0.4120, temperature 0.3910 nats in 5 folds`, or that there is no table."""
        if not self.log_loss:
            return "not cross-validated"
        losses = ", ".join(f"{kind} {loss:.4f}" for kind, loss in self.log_loss.items())
        return f"{losses} nats in {self.folds} folds"


def fit_calibrator(
    logit_n: NDArray[np.floating],
    y_n: NDArray[np.floating],
    kind: str = "auto",
    *,
    rng: np.random.Generator,
    units: Units | None = None,
    folds: int = FOLDS,
) -> ChosenCalibrator:
    """The calibrator of the kind asked for, or with "auto" of the kind that the images speak for.

    logit_n: raw logits of the `calibrate` role, shape (n,)
    y_n: 1 = finding present, 0 absent, NaN unknown (left out), shape (n,)
    kind: auto, temperature, platt, beta or isotonic
    rng: deals units to folds; the same generator gives the same choice
    units: patients, of the same images; None when each image stands for itself
    folds: stratified by class, whole units in one fold

    "auto" takes the simplest kind whose cross-validated log loss is within one standard error of
    the least: temperature before platt, beta and isotonic. With fewer than `folds` units of a class
    nothing can be cross-validated, and it is temperature, which needs the fewest images.
    Raises EvaluationError on an unknown kind, a missing class, a logit that is not finite, or a
    kind asked for that needs more images.
    Source of the rule: Breiman et al. 1984, section 3.4.3; the standard error is that of the
    difference, by unit.
    """
    if kind != "auto" and kind not in _FITS:
        raise EvaluationError(
            "calibrator", f"{kind!r}", expected=", ".join(["auto", *_FITS]), remedy="name one"
        )
    known_n = ~np.isnan(np.asarray(y_n, dtype=np.float64))
    logit_n, y_n = labelled(logit_n, y_n, "calibrator")
    units = _each_image(len(y_n)) if units is None else units.where(known_n)
    fold_n = deal_folds(y_n, units, folds, rng)
    if fold_n is None:
        chosen = "temperature" if kind == "auto" else kind
        why = "asked for" if kind != "auto" else "too few images of a class to compare calibrators"
        return ChosenCalibrator(_FITS[chosen](logit_n, y_n), reason=why)
    loss_n = held_out_losses(logit_n, y_n, fold_n, _possible(y_n, fold_n))
    chosen, why = simplest_good(loss_n, units) if kind == "auto" else (kind, "asked for")
    raw_n = np.logaddexp(0.0, np.where(y_n == 1, -logit_n, logit_n))
    return ChosenCalibrator(
        _FITS[chosen](logit_n, y_n),
        {name: float(loss.mean()) for name, loss in {"none": raw_n, **loss_n}.items()},
        folds,
        why,
    )


def deal_folds(
    y_n: Floats, units: Units, folds: int, rng: np.random.Generator
) -> NDArray[np.intp] | None:
    """A fold per image, or None where some fold would lack a class; shape (n,).

    y_n: 1 = finding present, 0 absent, shape (n,)
    """
    present_u = np.bincount(units.unit_n, weights=y_n, minlength=units.count)
    absent_u = np.bincount(units.unit_n, weights=1 - y_n, minlength=units.count)
    if min(int((present_u > 0).sum()), int((absent_u > 0).sum())) < folds:
        return None
    # Dealt in turn from units with the finding alone, over mixed ones, to those without: both
    # those that hold a present image and those that hold an absent one lie in a row, so that
    # every fold gets some.
    shuffled_u = rng.permutation(units.count)
    kind_u = np.where(absent_u == 0, 0, np.where(present_u > 0, 1, 2))
    dealt_u = shuffled_u[np.argsort(kind_u[shuffled_u], kind="stable")]
    fold_u = np.empty(units.count, dtype=np.intp)
    fold_u[dealt_u] = np.arange(units.count) % folds
    return fold_u[units.unit_n]


def held_out_losses(
    logit_n: Floats,
    y_n: Floats,
    fold_n: NDArray[np.intp],
    fits: Mapping[str, Callable[[Floats, Floats], Calibrator]],
) -> dict[str, Floats]:
    """Log loss per image, shape (n,), under calibrators of each kind fitted without its fold."""
    parts = [
        (fold_n == fold, logit_n[fold_n != fold], y_n[fold_n != fold]) for fold in np.unique(fold_n)
    ]
    losses = {}
    for kind, fit in fits.items():
        prob_n = np.empty(len(y_n))
        for out_n, logit_m, y_m in parts:
            prob_n[out_n] = fit(logit_m, y_m).prob(logit_n[out_n])
        prob_n = np.clip(prob_n, EPS, 1 - EPS)
        losses[kind] = -np.where(y_n == 1, np.log(prob_n), np.log1p(-prob_n))
    return losses


def simplest_good(loss_n: Mapping[str, Floats], units: Units) -> tuple[str, str]:
    """The first kind within one standard error of the least mean loss, and why.

    loss_n: per kind, the simplest first, the loss of each image, shape (n,)
    """
    kinds: Sequence[str] = [*loss_n]
    best = min(kinds, key=lambda kind: float(loss_n[kind].mean()))
    for kind in kinds:
        more_n = loss_n[kind] - loss_n[best]
        more = float(more_n.mean())
        excess_u = np.bincount(units.unit_n, weights=more_n - more, minlength=units.count)
        error = np.sqrt(units.count / (units.count - 1) * float(excess_u @ excess_u)) / len(more_n)
        if kind == best:
            break
        if more <= error:
            return kind, f"the simplest within one standard error of {best}, whose loss is least"
    return best, "the least cross-validated log loss"


def _possible(
    y_n: Floats, fold_n: NDArray[np.intp]
) -> dict[str, Callable[[Floats, Floats], Calibrator]]:
    """The kinds that every part of the images is enough for."""
    parts = [y_n[fold_n != fold] for fold in np.unique(fold_n)]
    fewest = min(min(y.sum(), len(y) - y.sum()) for y in parts)
    return {kind: fit for kind, fit in _FITS.items() if kind != "isotonic" or fewest >= FEWEST}


def _each_image(n: int) -> Units:
    return Units("image", np.arange(n), n)
