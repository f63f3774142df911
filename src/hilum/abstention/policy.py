"""The policy: gate, then novelty, then the prediction set, and only then an answer.

It is fitted on the train and calibrate roles, kept in the bundle, and asked by `hilum.predict`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilum.abstention.gate import Gate
from hilum.abstention.novelty import LIMITED, MEASURES, PARTS, Arrays, Floats, Novelty
from hilum.abstention.outline import outline, thumbnails
from hilum.calibration import ConformalLimits
from hilum.errors import BundleError

# In the order in which they are asked.
REASONS: Mapping[str, str] = {
    "gate": "does not look like an upright frontal chest radiograph",
    "novelty": "unlike the films that the classifier was made from",
    "conformal": "too uncertain: its prediction set does not hold the decision alone",
}
ANSWERED = ""
_NONE = "none"
_TOO_FEW = "no limit: too few calibrate films"


@dataclass(frozen=True)
class Refused:
    """What films are refused for before any finding is looked at.

    gate_n: the gate's log odds of a frontal chest film; NaN without a gate
    novelty: measure that was asked -> score, above 1 is strange
    reason_n: of REASONS, or "", shape (n,)
    """

    gate_n: NDArray[np.float64]
    novelty: Mapping[str, NDArray[np.float64]]
    reason_n: NDArray[np.str_]

    @classmethod
    def joined(cls, parts: list[Refused]) -> Refused:
        """Batches as one."""
        return cls(
            np.concatenate([part.gate_n for part in parts]),
            {
                name: np.concatenate([part.novelty[name] for part in parts])
                for name in parts[0].novelty
            },
            np.concatenate([part.reason_n for part in parts]),
        )


@dataclass(frozen=True)
class Policy:
    """When a bundle refers.

    gate: None when the recipe wants none; novelty: every measure
    deciding: which of MEASURES refuses, or "none"
    refusals: the share of calibrate films that gate and novelty may each refuse
    films: how many calibrate films set the limits
    """

    gate: Gate | None
    novelty: Novelty
    deciding: str
    refusals: float
    films: int

    def look(
        self,
        image_nhw: Floats,
        feature_nd: Floats,
        logit_nf: Floats,
        measures: Sequence[str] = (),
    ) -> Refused:
        """What gate and novelty say of a batch.

        image_nhw: greys in [0, 1] as the network was given them; feature_nd: pooled features
        logit_nf: raw logits; measures: to tell beside the one that decides
        """
        n = len(image_nhw)
        reason_n = np.full(n, ANSWERED, dtype="<U9")
        gate_n = np.full(n, np.nan)
        decides = () if self.deciding == _NONE else (self.deciding,)
        asked = tuple(dict.fromkeys((*decides, *measures)))
        outline_nd = None
        if self.gate is not None or "film" in asked:
            outline_nd = outline(thumbnails(image_nhw))
        novelty = self.novelty.score(image_nhw, feature_nd, logit_nf, asked, outline_nd)
        if self.deciding != _NONE:
            reason_n[~(novelty[self.deciding] <= 1)] = "novelty"  # what is no number is strange
        if self.gate is not None and outline_nd is not None:
            gate_n = self.gate.score_outline(outline_nd)
            reason_n[~(gate_n >= self.gate.limit)] = "gate"
        return Refused(gate_n, novelty, reason_n)

    def in_words(self) -> str:
        """What is asked, in order, and at what cost of films that nothing is wrong with."""
        share = f"at most {100 * self.refusals:g} % of films like the {self.films:,} of calibrate"
        asked = []
        if self.gate is not None:
            asked.append(f"gate ({share if np.isfinite(self.gate.limit) else _TOO_FEW})")
        if self.deciding != _NONE:
            asked.append(f"novelty by {self.deciding} ({share if self._limited() else _TOO_FEW})")
        return ", then ".join([*asked, "prediction set"])

    def _limited(self) -> bool:
        """Whether what decides on novelty has a limit at all."""
        names = PARTS.get(self.deciding, (self.deciding,))
        return any(np.isfinite(self.novelty.limits[name]) for name in names)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """For a safetensors file."""
        gate = {} if self.gate is None else self.gate.arrays()
        return {**gate, **self.novelty.arrays()}

    def to_dict(self) -> dict[str, Any]:
        """Limits and settings, for strict JSON."""
        return {
            "gate": None if self.gate is None else {"limit": _plain(self.gate.limit)},
            "novelty": {
                "deciding": self.deciding,
                "limits": {name: _plain(limit) for name, limit in self.novelty.limits.items()},
            },
            "refusals": self.refusals,
            "films": self.films,
        }

    @classmethod
    def of(cls, arrays: Arrays, plain: Mapping[str, Any]) -> Self:
        """The inverse of `arrays` and `to_dict`. Raises BundleError on others."""
        try:
            gate, deciding = plain["gate"], str(plain["novelty"]["deciding"])
            if deciding not in (*MEASURES, _NONE):
                raise ValueError(f"no measure of novelty {deciding!r}")
            if {*plain["novelty"]["limits"]} != {*LIMITED}:
                raise ValueError("not a limit for every measure")
            return cls(
                None if gate is None else Gate.of(arrays, gate),
                Novelty.of(arrays, plain["novelty"]),
                deciding,
                float(plain["refusals"]),
                int(plain["films"]),
            )
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise BundleError("the policy of abstention", f"damaged ({error})") from error


def _plain(limit: float) -> float | None:
    return limit if np.isfinite(limit) else None


def refer(
    reason_n: NDArray[np.str_],
    prob_n: Floats,
    threshold: float,
    limits: ConformalLimits | None,
) -> NDArray[np.str_]:
    """Why a finding's answer is withheld, of REASONS, or "" where it is given, shape (n,).

    reason_n: what gate and novelty said; prob_n: calibrated probability; threshold: deployed
    limits: of prediction sets, None without them
    An answer is given when the set holds the decision's class and no other.
    """
    found_n = reason_n.copy()
    if limits is None:
        return found_n
    prob_n = np.asarray(prob_n, dtype=np.float64)
    present_n, absent_n = prob_n >= limits.present_from, prob_n <= limits.absent_to
    decided_n = np.where(prob_n >= threshold, present_n & ~absent_n, absent_n & ~present_n)
    found_n[(reason_n == ANSWERED) & ~decided_n] = "conformal"
    return found_n
