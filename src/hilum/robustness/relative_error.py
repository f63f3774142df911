"""Relative error: a classifier's errors under corruptions, as multiples of a published one's.

The reference's errors are taken as given, without intervals of their own, as none are published.
Which films were wrongly called is left to `stress`.

Source: Di Salvo, Doerrich & Ledig 2024, "MedMNIST-C", arXiv 2406.17536, and its package's
`eval.py`; after Hendrycks & Dietterich 2019.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hilum.data.faults import SEVERITIES
from hilum.estimates import Estimate
from hilum.robustness.balanced_means import balanced_means
from hilum.units import Units


@dataclass(frozen=True)
class Reference:
    """A published classifier's balanced errors, 1 - balanced accuracy, in [0, 1].

    source: whose test films they are of
    clean: on the films as they are
    corrupted: corruption -> mean over the five severities
    unfit: why errors on the films at hand cannot be held against these; "" where they can
    """

    name: str
    source: str
    clean: float
    corrupted: Mapping[str, float]
    unfit: str = ""

    def beside(self, films: str, role: str) -> Reference:
        """The same, unfit unless these are the films that its errors are of.

        films: a cohort's name; an edition of the source, such as `source@224`, is of the same films
        """
        if (films.partition("@")[0], role) == (self.source, "test"):
            return self
        return replace(self, unfit=f"{self.name}'s errors are of the test films of {self.source}")

    @property
    def left_out(self) -> tuple[str, ...]:
        """Corruptions under which it errs no more than without: its rise there divides nothing."""
        return tuple(name for name, error in self.corrupted.items() if error <= self.clean)


@dataclass(frozen=True)
class CorruptionError:
    """One corruption, all severities together.

    balanced_error: mean over the severities of 1 - balanced accuracy
    relative: that, as a multiple of the reference's; below 1 is better than it
    relative_rise: its rise over the films as they are, as a multiple of the reference's rise
    """

    balanced_error: Estimate
    relative: Estimate
    relative_rise: Estimate


@dataclass(frozen=True)
class RelativeError:
    """Errors under all corruptions, as multiples of a reference's.

    relative: mean over corruptions of theirs; MedMNIST-C's BE
    relative_rise: mean over corruptions of theirs; MedMNIST-C's rBE but for those left out
    left_out: of `relative_rise`, see `Reference`
    """

    reference: Reference
    relative: Estimate
    relative_rise: Estimate
    left_out: tuple[str, ...]
    by_corruption: Mapping[str, CorruptionError]


def relative_error(
    wrong_sn: Mapping[str, NDArray[np.bool_]],
    wrong_n: NDArray[np.bool_],
    present_n: NDArray[np.bool_],
    units: Units,
    reference: Reference,
    *,
    rng: np.random.Generator,
    resamples: int,
) -> RelativeError:
    """Errors relative to the reference's, with intervals over patients.

    wrong_sn: corruption -> whether a film is wrongly called at each severity, shape (s, n)
    wrong_n: whether it is on the films as they are; present_n: whether it has the finding; (n,)
    units: of the same films
    What is relative is missing where the reference is unfit or not all five severities were run,
    and the means over corruptions unless all of the reference's were.
    """
    n = len(wrong_n)
    left_out = tuple(name for name in reference.left_out if name in wrong_sn)
    rising = [name for name in wrong_sn if name not in left_out]
    error_kn = {name: each_sn.mean(axis=0) for name, each_sn in wrong_sn.items()}
    relative_kn = {name: error_kn[name] / reference.corrupted[name] for name in wrong_sn}
    rise_kn = {
        name: (error_kn[name] - wrong_n) / (reference.corrupted[name] - reference.clean)
        for name in rising
    }
    scores = {
        **{("error", name): each_n for name, each_n in error_kn.items()},
        **{("relative", name): each_n for name, each_n in relative_kn.items()},
        **{("rise", name): each_n for name, each_n in rise_kn.items()},
        ("relative", ""): np.mean(list(relative_kn.values()), axis=0),
        ("rise", ""): np.mean(list(rise_kn.values()) or [np.zeros(n)], axis=0),
    }
    means = balanced_means(
        np.stack(list(scores.values()), axis=1), present_n, units, rng, resamples
    )
    found = dict(zip(scores, means, strict=True))
    for name in left_out:
        flat = (
            f"{reference.name}'s error does not rise: {reference.corrupted[name]:.4f}, and "
            f"{reference.clean:.4f} on the films as they are"
        )
        found["rise", name] = Estimate.missing(flat, n)
    why = reference.unfit
    if not why and any(len(each_sn) != len(SEVERITIES) for each_sn in wrong_sn.values()):
        why = f"{reference.name}'s errors are means over five severities"
    if why:
        relative = [key for key in found if key[0] != "error"]
        found |= dict.fromkeys(relative, Estimate.missing(why, n))
    elif set(wrong_sn) != set(reference.corrupted):
        part = f"{len(wrong_sn)} of {len(reference.corrupted)} corruptions were run"
        found["relative", ""] = found["rise", ""] = Estimate.missing(part, n)
    elif not rising:
        found["rise", ""] = Estimate.missing("every corruption is left out", n)
    return RelativeError(
        reference,
        found["relative", ""],
        found["rise", ""],
        left_out,
        {
            name: CorruptionError(
                found["error", name], found["relative", name], found["rise", name]
            )
            for name in wrong_sn
        },
    )
