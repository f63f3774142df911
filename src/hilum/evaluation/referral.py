"""Referral: what a classifier is worth on the images that it answers, and what it hands on.

Why an image is referred is another's decision, which stands in the predictions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling, percentile
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.utility import confidence
from hilum.units import Units, proportion, units_of

RESAMPLES = 2000
KINDS = ("called, present", "missed", "cleared, absent", "false alarm")
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Part:
    """Figures of some images: how many are answered, and how well.

    n, labelled: images, and those of them with a label
    figures: "coverage" (the share of all that is answered), then "sensitivity", "specificity" and
        "error" at the deployed point, of the answered alone
    """

    n: int
    labelled: int
    figures: Mapping[str, Estimate]


@dataclass(frozen=True)
class Referral:
    """What referring does, for one finding.

    whole: as if all were answered; answered: with the referred left to others
    reasons: reason -> share of all images
    kinds: of KINDS -> reason, "" where answered -> images
    against: "random" and "confidence" -> error among as many images, chosen by lot and by distance
        from the threshold alone, less that of those answered here: above 0 this policy is better
    sites: site -> its part; empty where fewer than two are known
    """

    whole: Part
    answered: Part
    reasons: Mapping[str, Estimate]
    kinds: Mapping[str, Mapping[str, int]]
    against: Mapping[str, Estimate]
    sites: Mapping[str, Part]

    def to_dict(self) -> dict[str, Any]:
        """For strict JSON."""
        return asdict(self)


def referral(
    predictions: Predictions, finding: str, threshold: float, rng: np.random.Generator
) -> Referral | None:
    """What referring does to the figures of a finding; None where nothing is said of referring.

    threshold: the deployed one, on probability
    rng: draws the resamples, of patients where they are known
    """
    reason_n = predictions.referrals(finding)
    if reason_n is None:
        return None
    y_n, prob_n = predictions.label(finding), predictions.prob(finding)
    units = units_of(predictions.patient_id_n)
    called_n, answered_n = prob_n >= threshold, reason_n == ""
    known_n = ~np.isnan(y_n)
    return Referral(
        _part(np.ones_like(answered_n), called_n, y_n, units),
        _part(answered_n, called_n, y_n, units),
        {reason: proportion(reason_n == reason, units) for reason in sorted({*reason_n} - {""})},
        _kinds(reason_n[known_n], called_n[known_n], y_n[known_n]),
        _against(
            answered_n[known_n],
            (called_n != (y_n == 1))[known_n],
            confidence(prob_n, threshold)[known_n],
            Resampling.of(units.where(known_n), rng, RESAMPLES),
        ),
        _sites(predictions, answered_n, called_n, y_n, units),
    )


def _part(answered_n: Mask, called_n: Mask, y_n: NDArray[np.float64], units: Units) -> Part:
    def share(hit_n: Mask, of_n: Mask, empty: str) -> Estimate:
        return proportion(hit_n[of_n], units.where(of_n), empty)

    present_n, absent_n = answered_n & (y_n == 1), answered_n & (y_n == 0)
    known_n = present_n | absent_n
    return Part(
        len(y_n),
        int((~np.isnan(y_n)).sum()),
        {
            "coverage": proportion(answered_n, units),
            "sensitivity": share(called_n, present_n, "no answered image has the finding"),
            "specificity": share(~called_n, absent_n, "no answered image is without the finding"),
            "error": share(called_n != (y_n == 1), known_n, "no answered image has a label"),
        },
    )


def _kinds(
    reason_n: NDArray[np.object_], called_n: Mask, y_n: NDArray[np.float64]
) -> dict[str, dict[str, int]]:
    present_n = y_n == 1
    of = (called_n & present_n, ~called_n & present_n, ~called_n & ~present_n)
    masks = (*of, called_n & ~present_n)
    return {
        kind: {
            str(reason): int((mask_n & (reason_n == reason)).sum())
            for reason in sorted(set(reason_n))
        }
        for kind, mask_n in zip(KINDS, masks, strict=True)
    }


def _against(
    answered_n: Mask, wrong_n: Mask, confidence_n: NDArray[np.float64], resampling: Resampling
) -> dict[str, Estimate]:
    """Error among as many images chosen otherwise, less that among the answered."""
    kept, n = int(answered_n.sum()), len(answered_n)
    if n == 0:
        missing = Estimate.missing("no image has a label", 0)
        return {"random": missing, "confidence": missing}
    if kept in (0, n):
        why = "every image is answered" if kept else "no image is answered"
        return {name: Estimate.missing(why, n) for name in ("random", "confidence")}
    surest_n = np.zeros(n, dtype=bool)
    surest_n[np.argsort(-confidence_n, kind="stable")[:kept]] = True
    rivals = {"random": np.ones(n, dtype=bool), "confidence": surest_n}

    def errors(count_bn: NDArray[np.int32]) -> dict[str, NDArray[np.float64]]:
        with np.errstate(invalid="ignore", divide="ignore"):
            ours_b = (count_bn @ (wrong_n & answered_n)) / (count_bn @ answered_n)
            return {
                name: (count_bn @ (wrong_n & rival_n)) / (count_bn @ rival_n) - ours_b
                for name, rival_n in rivals.items()
            }

    units = resampling.units
    whole = errors(np.ones((1, n), dtype=np.int32))
    drawn = resampling.over(units.unit_n, errors)
    return {name: percentile(float(whole[name][0]), drawn[name], n, units) for name in rivals}


def _sites(
    predictions: Predictions,
    answered_n: Mask,
    called_n: Mask,
    y_n: NDArray[np.float64],
    units: Units,
) -> dict[str, Part]:
    if "site" not in predictions.table:
        return {}
    site_n = predictions.table["site"].to_numpy(dtype=object)
    names = sorted({str(site) for site in site_n if isinstance(site, str) and site})
    if len(names) < 2:
        return {}
    found = {}
    for name in names:
        at_n = site_n == name
        found[name] = _part(answered_n[at_n], called_n[at_n], y_n[at_n], units.where(at_n))
    return found
