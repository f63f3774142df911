"""Sequential tests: whether sensitivity or specificity has fallen, looked at after every label.

Where labels come from is left to `labels`; what is claimed, to the bundle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from hilum.bundle import Bundle
from hilum.estimates import Estimate, wilson
from hilum.robustness.monitoring.days import Stream

ALPHA = 0.05  # for all tests of a record together
_BETS = 50
Figure = Literal["sensitivity", "specificity"]


@dataclass(frozen=True)
class SequentialTest:
    """A test of `figure >= claimed` against less, valid whenever one looks.

    claimed: the lower limit of what the bundle's deployed point showed on `calibrate`
    date_t: days with labels; evidence_t: against the claim at the end of each, as a factor
    limit: evidence from which the claim is rejected; rejected: the day on which it first was
    found: the figure on all labelled films; reason: why there is no test
    """

    finding: str
    figure: Figure
    claimed: float | None
    limit: float
    date_t: NDArray[np.datetime64]
    evidence_t: NDArray[np.float64]
    found: Estimate
    rejected: np.datetime64 | None
    reason: str | None = None


def evidence(right_m: NDArray[np.bool_], claimed: float) -> NDArray[np.float64]:
    """Evidence against `share >= claimed` after each film, as log of a factor, shape (m,).

    right_m: in the order of the films, whether each was answered rightly
    claimed: in (0, 1)
    The wealth of a bettor who starts with 1, and spreads it over 50 bets that the share is q,
    evenly below `claimed`: each film multiplies a bet by q / claimed when right and by
    (1 - q) / (1 - claimed) when wrong. While the claim holds no factor is above 1 on average, so
    the wealth ever reaches 1 / α with a chance of α at most, however often one looks.
    Source: Ville 1939; Wald 1945; Waudby-Smith & Ramdas 2024, section 4.
    """
    q_k = claimed * (np.arange(_BETS) + 0.5) / _BETS
    step_mk = np.where(right_m[:, None], np.log(q_k / claimed), np.log((1 - q_k) / (1 - claimed)))
    return np.asarray(logsumexp(np.cumsum(step_mk, axis=0), axis=1) - np.log(_BETS))


def judged_claims(
    bundle: Bundle, stream: Stream, label_nf: NDArray[np.float64]
) -> list[SequentialTest]:
    """Sensitivity and specificity of each finding, on the films that were answered and labelled.

    label_nf: 1 present, 0 absent, NaN not known yet, rows and findings as in the stream
    """
    count = 2 * len(stream.findings)
    tests = []
    for k, finding in enumerate(stream.findings):
        point = bundle.operating_points(finding)[bundle.manifest.deployed]
        for figure, side, claim in (
            ("sensitivity", 1, point.sensitivity),
            ("specificity", 0, point.specificity),
        ):
            of_side_n = (label_nf[:, k] == side) & ~stream.referred_n
            right_m = (stream.called_nf[:, k] == (side == 1))[of_side_n]
            tests.append(
                sequential_test(
                    finding, figure, claim, right_m, stream.date_n[of_side_n], limit=count / ALPHA  # type: ignore[arg-type]
                )
            )  # fmt: skip
    return tests


def sequential_test(
    finding: str,
    figure: Figure,
    claim: Estimate,
    right_m: NDArray[np.bool_],
    date_m: NDArray[np.datetime64],
    *,
    limit: float,
) -> SequentialTest:
    """One test. right_m, date_m: of films in the order of time."""
    found = wilson(int(right_m.sum()), len(right_m))
    claimed = claim.low
    reason = None
    if claimed is None or not 0 < claimed < 1:
        reason = f"the bundle claims no {figure}: {claim.reason or f'its lower limit is {claimed}'}"
    elif len(right_m) == 0:
        reason = "no labelled film " + ("with" if figure == "sensitivity" else "without") + " it"
    if reason is not None or claimed is None:
        empty = np.array([], dtype="datetime64[D]")
        return SequentialTest(
            finding, figure, claimed, limit, empty, np.array([]), found, None, reason
        )
    log_m = evidence(right_m, claimed)
    date_t, last_t = np.unique(date_m[::-1], return_index=True)
    over_m = log_m >= np.log(limit)
    return SequentialTest(
        finding,
        figure,
        claimed,
        limit,
        date_t,
        np.exp(log_m[len(date_m) - 1 - last_t].clip(max=700)),
        found,
        date_m[np.argmax(over_m)] if over_m.any() else None,
    )
