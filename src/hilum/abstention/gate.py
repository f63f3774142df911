"""The input gate: is this a frontal chest radiograph, upright and with bones bright?

It looks at the outline alone, knows no finding, and leaves what is an unusual chest to `novelty`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hilum.abstention.outline import outline

Arrays = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Gate:
    """One hidden layer on the outline.

    hidden_dk, hidden_k, answer_k, answer: weights on the outline as it is
    limit: refused below it; log odds of "frontal chest" where both are as frequent;
        minus infinity where too few calibrate films were there to set one
    """

    hidden_dk: NDArray[np.float32]
    hidden_k: NDArray[np.float32]
    answer_k: NDArray[np.float32]
    answer: float
    limit: float

    def score(self, thumb_nhw: NDArray[np.floating]) -> NDArray[np.float64]:
        """Log odds that thumbnails are frontal chest films, shape (n,)."""
        return self.score_outline(outline(thumb_nhw))

    def score_outline(self, outline_nd: NDArray[np.floating]) -> NDArray[np.float64]:
        """The same, of thumbnails whose outline is at hand."""
        layer_nk = np.maximum(outline_nd @ self.hidden_dk + self.hidden_k, 0.0)
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
            -np.inf if plain["limit"] is None else float(plain["limit"]),
        )
