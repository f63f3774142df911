"""Summary: a film's pooled features as 16 numbers, enough to see that films have changed.

Why features are kept at all, and for how long, is left to who keeps the record.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NUMBERS = 16


def feature_summary(feature_nd: NDArray[np.floating], digest: str) -> NDArray[np.float64]:
    """A random projection of each film's features, shape (n, NUMBERS).

    feature_nd: pooled features, shape (n, d)
    digest: of the bundle, in hex; it is the seed, so one bundle has one projection everywhere
    Normal weights over √d: a number is as large as a feature is. Distances between films are kept
    in expectation, each squared one within a relative standard deviation of √(2/16), which is what
    a two-sample distance needs. Of d dimensions all but 16 are gone, and averages over the map
    before that: no film can be drawn from the numbers again.
    Source: Johnson & Lindenstrauss 1984; Dasgupta & Gupta 2003.
    """
    d = feature_nd.shape[1]
    rng = np.random.default_rng(int(digest[:16], 16))
    weight_dk = rng.standard_normal((d, NUMBERS)) / np.sqrt(d)
    number_nk: NDArray[np.float64] = np.asarray(feature_nd, dtype=np.float64) @ weight_dk
    return number_nk
