"""How often each training film is drawn, so that classes are seen equally often.

The draw itself, and which process reads which film, is `data.shards.order`'s.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hilum.model.losses import class_counts


def balanced_weights(label_nf: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each film's share of the draws, shape (n,), adding up to 1.

    label_nf: training labels, shape (n, f); 1 present, 0 absent, NaN unknown

    Of one finding, present and absent films are drawn equally often. Of several, a film is drawn
    for the rarest of its classes: as often as a film of that class would be if no other finding
    were asked for. A film with a rare finding so brings its common ones along, and they need not
    come out even. A film without a known label is not drawn.
    The network then learns the probabilities of a set in which the classes are even: its logits
    lack the log odds of the prevalence, as with balanced class weights.
    Raises RecipeError when a finding has no known label of one class.
    """
    count_kf = class_counts(label_nf, "train.sampling = 'balanced'")
    absent_f, present_f = 1 / count_kf
    weight_nf = np.where(label_nf == 1, present_f, np.where(label_nf == 0, absent_f, 0.0))
    weight_n = weight_nf.max(axis=1)
    share_n: NDArray[np.float64] = weight_n / weight_n.sum()
    return share_n
