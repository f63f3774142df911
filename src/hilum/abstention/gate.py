"""The input gate: is this a frontal chest radiograph, upright and with bones bright?

It looks at the outline alone, knows no finding, and leaves what is an unusual chest to `novelty`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.neural_network import MLPClassifier

from hilum.abstention.examples import not_frontal_chests, varied
from hilum.abstention.outline import outline

Arrays = Mapping[str, NDArray[np.float32]]
_NEURONS = 64
_DECAY = 0.1
_PASSES = 60
_SPREAD = 1e-3  # of a direction that is the same on every film


@dataclass(frozen=True)
class Gate:
    """One hidden layer on the outline.

    hidden_dk, hidden_k, answer_k, answer: weights on the outline as it is
    limit: refused below it; log odds of "frontal chest" where both are as frequent
    """

    hidden_dk: NDArray[np.float32]
    hidden_k: NDArray[np.float32]
    answer_k: NDArray[np.float32]
    answer: float
    limit: float

    def score(self, thumb_nhw: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log odds that thumbnails are frontal chest films, shape (n,)."""
        layer_nk = np.maximum(outline(thumb_nhw) @ self.hidden_dk + self.hidden_k, 0.0)
        return np.asarray(layer_nk @ self.answer_k + self.answer, dtype=np.float64)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        return {
            "gate.hidden_dk": self.hidden_dk,
            "gate.hidden_k": self.hidden_k,
            "gate.answer_k": self.answer_k,
            "gate.answer": np.array([self.answer], dtype=np.float32),
        }

    @classmethod
    def of(cls, arrays: Arrays, plain: Mapping[str, Any]) -> Self:
        """The inverse of `arrays`, with the limit. Raises KeyError or ValueError on others."""
        return cls(
            arrays["gate.hidden_dk"],
            arrays["gate.hidden_k"],
            arrays["gate.answer_k"],
            float(arrays["gate.answer"][0]),
            float(plain["limit"]),
        )


def fit_gate(
    train_nhw: NDArray[np.floating],
    synthetic_nhw: NDArray[np.floating],
    calibrate_nhw: NDArray[np.floating],
    *,
    examples: int,
    refusals: float,
    rng: np.random.Generator,
) -> Gate:
    """Learn what a frontal chest film looks like.

    train_nhw: thumbnails of the train role; synthetic_nhw: of phantoms, so that a chest need not
        look like one hospital's; calibrate_nhw: of films that set the limit
    examples: how many chest films to learn from, and as many of anything else
    refusals: the share of calibrate films that may be refused at most, in (0, 1)
    The limit is even odds, or lower where more of the calibrate films would be refused.
    """
    half = examples // 2
    chest_nhw = np.concatenate(
        [
            varied(source[rng.integers(len(source), size=size)], rng)
            for source, size in ((train_nhw, examples - half), (synthetic_nhw, half))
        ]
    )
    other_nhw = not_frontal_chests(chest_nhw, examples, rng)
    value_nd = np.concatenate([outline(chest_nhw), outline(other_nhw)]).astype(np.float64)
    mean_d, spread_d = value_nd.mean(axis=0), value_nd.std(axis=0) + _SPREAD
    network = MLPClassifier(
        (_NEURONS,),
        alpha=_DECAY,
        early_stopping=True,
        max_iter=_PASSES,
        random_state=int(rng.integers(2**31)),
    ).fit((value_nd - mean_d) / spread_d, np.repeat([1, 0], examples))
    (hidden_dk, answer_k1), (hidden_k, answer_1) = network.coefs_, network.intercepts_
    scaled_dk = hidden_dk / spread_d[:, None]
    gate = Gate(
        scaled_dk.astype(np.float32),
        (hidden_k - mean_d @ scaled_dk).astype(np.float32),
        answer_k1[:, 0].astype(np.float32),
        float(answer_1[0]),
        0.0,
    )
    lowest = float(np.quantile(gate.score(calibrate_nhw), refusals))
    return Gate(gate.hidden_dk, gate.hidden_k, gate.answer_k, gate.answer, min(0.0, lowest))
