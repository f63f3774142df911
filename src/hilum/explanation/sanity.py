"""Sanity of a method: does its map hang on what the network has learnt, and does it hold still?

Four questions that a saliency map must stand before anybody reads it. Each ends in a figure with
its interval, a rule that was fixed beforehand, and whether the rule was met.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.stats import rankdata
from torch import nn

from hilum.data.preprocessing import Window
from hilum.estimates import Estimate
from hilum.evaluation.intervals import SAME, percentile
from hilum.explanation.attention import mean_estimates, resampled_means
from hilum.explanation.gradients import attribute
from hilum.explanation.grid import Grid
from hilum.explanation.network import as_films, members_of
from hilum.explanation.saliency import Method, on_film
from hilum.model.classifier import Classifier
from hilum.model.ensemble import Ensemble
from hilum.units import Units

Floats = NDArray[np.float64]

ALIKE = 0.5  # rank correlation: above it two maps tell a reader the same story
CASCADES = 5  # draws of random weights that are followed stage by stage
ENDS = 10  # further draws of which only the head, and then all, is random
NOISE = 0.02  # standard deviation, of full scale: less than a film's own
SHARES = tuple(round(k / 10, 1) for k in range(11))  # of the film that is taken away or put back
_BLUR = 0.1  # standard deviation, as a share of the side


@dataclass(frozen=True)
class Check:
    """One question to one method.

    question: its name; rule: in words, with the number that decides
    figure: what was measured; passed: whether its whole interval keeps the rule, None where the
        interval does not decide
    """

    question: str
    rule: str
    figure: Estimate
    passed: bool | None


@dataclass(frozen=True)
class Cascade:
    """How alike maps stay while weights are replaced by random ones, from the head downwards.

    stages: what is random so far, from nothing but the head to the whole network
    alike_sn: absolute rank correlation with the trained network's map, shape (stages, n films)

    Absolute, since a map upside down shows the same places, and since over several draws of random
    weights signs cancel where likeness does not.
    """

    stages: tuple[str, ...]
    alike_sn: Floats


def rank_correlation(map_a_nhw: NDArray[np.floating], map_b_nhw: NDArray[np.floating]) -> Floats:
    """Spearman's correlation of each pair of maps over their places, shape (n,).

    NaN where a map is even.
    """
    rank_n2p = [
        np.stack([rankdata(each.ravel()) for each in maps]) for maps in (map_a_nhw, map_b_nhw)
    ]
    a_np, b_np = (each - each.mean(axis=1, keepdims=True) for each in rank_n2p)
    norm_n = np.sqrt((a_np**2).sum(axis=1) * (b_np**2).sum(axis=1))
    with np.errstate(invalid="ignore"):
        return np.where(norm_n > 0, (a_np * b_np).sum(axis=1) / norm_n, np.nan)


def cascade(
    classifier: Classifier | Ensemble,
    image_nchw: NDArray[np.float32],
    finding: int,
    method: Method,
    *,
    layer: str | None = None,
    seed: int = 0,
    ends: bool = False,
) -> Cascade:
    """Replace the weights by random ones, the head first and the stem last, and compare the maps.

    Each tensor becomes a random permutation of itself: the scale of every layer stays as it was,
    what it had learnt is gone. The classifier itself is left as it is.
    ends: compare after the head and after all only
    Source: Adebayo et al. 2018, "Sanity checks for saliency maps", section 3 (cascading).
    """
    altered = copy.deepcopy(classifier)
    before = attribute(classifier, image_nchw, finding, method, layer=layer)
    generator = torch.Generator().manual_seed(seed)
    count = len(members_of(altered)[0].stages())
    stages, alike = [], []
    for depth in range(count + 1):
        for member in members_of(altered):
            parts = [member.head_parameters(), *reversed(member.stages())]
            _permute(parts[depth], generator)
        if ends and 0 < depth < count:
            continue
        stages.append("head" if depth == 0 else f"and stage {count - depth}")
        after = attribute(altered, image_nchw, finding, method, layer=layer)
        alike.append(np.abs(rank_correlation(before, after)))
    return Cascade(tuple(stages), np.stack(alike))


def stability(
    classifier: Classifier | Ensemble,
    image_nchw: NDArray[np.float32],
    finding: int,
    method: Method,
    *,
    layer: str | None = None,
    seed: int = 0,
) -> Floats:
    """Rank correlation of each film's map with that of the film with a little noise, shape (n,)."""
    rng = np.random.default_rng(seed)
    noisy = image_nchw + rng.normal(0, NOISE, image_nchw.shape).astype(np.float32)
    maps = [
        attribute(classifier, each, finding, method, layer=layer)
        for each in (image_nchw, np.clip(noisy, 0, 1))
    ]
    return rank_correlation(*maps)


@dataclass(frozen=True)
class Curves:
    """The logit as the film is taken away from its most salient place on, or put back.

    deletion_ns, insertion_ns: logit at each of SHARES, shape (n, 11); random_*: in random order
    """

    deletion_ns: Floats
    insertion_ns: Floats
    random_deletion_ns: Floats
    random_insertion_ns: Floats

    def gains(self) -> tuple[Floats, Floats]:
        """How much faster than in random order the logit falls and rises: mean over the curve,
        shape (n,) each, in logits."""
        fall_n = (self.random_deletion_ns - self.deletion_ns).mean(axis=1)
        rise_n = (self.insertion_ns - self.random_insertion_ns).mean(axis=1)
        return fall_n, rise_n


def curves(
    classifier: Classifier | Ensemble,
    image_nchw: NDArray[np.float32],
    map_nhw: NDArray[np.floating],
    grid: Grid,
    finding: int,
    *,
    cells: int = 14,
    seed: int = 0,
) -> Curves:
    """Deletion and insertion (Petsiuk et al. 2018), in `cells` x `cells` squares.

    What is taken away is blurred beyond recognition: flat grey would be taken for a white lung.
    Random order is the yardstick: a film falls apart in any order.
    """
    n, _, side, _ = image_nchw.shape
    window = Window(0.0, 0.0, float(cells), float(cells))
    rng = np.random.default_rng(seed)
    salient_nk = np.stack(
        [_order(on_film(each, grid, window, cells, cells), rng) for each in map_nhw]
    )
    random_nk = np.stack([rng.permutation(cells * cells) for _ in range(n)])
    blur = (0, 0, _BLUR * side, _BLUR * side)
    blank_nchw = ndimage.gaussian_filter(image_nchw, blur, mode="nearest")
    square = np.arange(side) * cells // side  # that each row and column of pixels lies in
    found = []
    for order_nk, kept in (
        (salient_nk, False), (salient_nk, True), (random_nk, False), (random_nk, True)
    ):  # fmt: skip
        logit_sn = []
        for share in SHARES:
            first_nk = np.argsort(order_nk, axis=1) < round(share * cells * cells)
            square_nhw = first_nk.reshape(n, 1, cells, cells)
            film = square_nhw[:, :, square[:, None], square] == kept
            logit_sn.append(_logits(classifier, np.where(film, image_nchw, blank_nchw), finding))
        found.append(np.stack(logit_sn, axis=1))
    return Curves(*found)


def checks(
    classifier: Classifier | Ensemble,
    image_nchw: NDArray[np.float32],
    grid: Grid,
    finding: int,
    method: Method,
    units: Units,
    rng: np.random.Generator,
    *,
    layer: str | None = None,
    resamples: int = 2000,
) -> tuple[list[Check], Cascade, Curves]:
    """All that can be asked of a method without training anew.

    image_nchw: films as the network takes them, best with the finding; units: of these films
    """

    def mean(value_n: Floats) -> Estimate:
        return mean_estimates(value_n[:, None], ("mean",), units, rng, resamples)["mean"]

    # Methods on pixels take long, and rest on fewer draws.
    more = ENDS if method in ("grad_cam", "hires_cam") else 0
    draws = [
        cascade(
            classifier, image_nchw, finding, method, layer=layer, seed=seed, ends=seed >= CASCADES
        )
        for seed in range(CASCADES + more)
    ]
    followed_dsn = np.stack([each.alike_sn for each in draws[:CASCADES]])
    random = Cascade(draws[0].stages, followed_dsn.mean(axis=0))
    head, everything = (
        over_draws(np.stack([each.alike_sn[end] for each in draws]), units, rng, resamples)
        for end in (0, -1)
    )
    still = mean(stability(classifier, image_nchw, finding, method, layer=layer))
    map_nhw = attribute(classifier, image_nchw, finding, method, layer=layer)
    taken = curves(classifier, image_nchw, map_nhw, grid, finding)
    fall, rise = (mean(gain_n) for gain_n in taken.gains())
    below, above = f"alike < {ALIKE:g}", f"alike > {ALIKE:g}"
    return (
        [
            _below("weights: head random", below, head, ALIKE),
            _below("weights: all random", below, everything, ALIKE),
            _above("noise on the film", above, still, ALIKE),
            _above("deletion", "falls faster than in random order", fall, 0.0),
            _above("insertion", "rises faster than in random order", rise, 0.0),
        ],
        random,
        taken,
    )


def over_draws(
    alike_dn: Floats, units: Units, rng: np.random.Generator, resamples: int
) -> Estimate:
    """The mean over draws of random weights and films, its interval over both.

    alike_dn: shape (draws, n films), NaN for a film whose map is even
    """
    known_n = np.asarray(~np.isnan(alike_dn).any(axis=0))
    n = int(known_n.sum())
    if not n:
        return Estimate.missing("the maps are even", 0)
    kept_nd, own = alike_dn[:, known_n].T, units.where(known_n)
    mean_bd = resampled_means(kept_nd, own, rng, resamples)
    drawn_bd = rng.integers(len(alike_dn), size=mean_bd.shape)
    mean_b = np.take_along_axis(mean_bd, drawn_bd, axis=1).mean(axis=1)
    return percentile(float(kept_nd.mean()), mean_b, n, own)


def failures(found: Sequence[Check]) -> list[str]:
    """The questions that a method did not stand."""
    return [check.question for check in found if check.passed is False]


def _below(question: str, rule: str, figure: Estimate, limit: float) -> Check:
    return Check(question, rule, figure, _decided(figure, lambda x: x < limit))


def _above(question: str, rule: str, figure: Estimate, limit: float) -> Check:
    return Check(question, rule, figure, _decided(figure, lambda x: x > limit))


def _decided(figure: Estimate, keeps: Callable[[float], bool]) -> bool | None:
    if figure.value is not None and figure.reason == SAME:
        return keeps(figure.value)  # every film says so
    if figure.low is None or figure.high is None:
        return None
    low, high = keeps(figure.low), keeps(figure.high)
    return low if low == high else None


def _order(map_hw: NDArray[np.floating], rng: np.random.Generator) -> NDArray[np.intp]:
    """Places from the most salient to the least, ties by lot."""
    flat_k = map_hw.ravel().astype(np.float64)
    return np.lexsort((rng.random(len(flat_k)), -flat_k))


def _permute(parameters: Sequence[nn.Parameter], generator: torch.Generator) -> None:
    with torch.no_grad():
        for parameter in parameters:
            order = torch.randperm(parameter.numel(), generator=generator)
            parameter.copy_(parameter.flatten()[order].view_as(parameter))


def _logits(
    classifier: Classifier | Ensemble, image_nchw: NDArray[np.float32], finding: int
) -> Floats:
    with torch.inference_mode():
        answered = classifier(as_films(image_nchw.astype(np.float32)))[:, finding]
    return np.asarray(answered.numpy(), dtype=np.float64)


def label_check(
    trained_nhw: NDArray[np.floating],
    shuffled_nhw: NDArray[np.floating],
    units: Units,
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
) -> Check:
    """Whether maps of a classifier trained on shuffled labels are other maps.

    trained_nhw, shuffled_nhw: of the same films, by the same recipe from true and shuffled labels
    Source: Adebayo et al. 2018, section 4 (data randomisation).
    """
    alike_n = np.abs(rank_correlation(trained_nhw, shuffled_nhw))
    figure = mean_estimates(alike_n[:, None], ("mean",), units, rng, resamples)["mean"]
    return _below("labels shuffled", f"alike < {ALIKE:g}", figure, ALIKE)
