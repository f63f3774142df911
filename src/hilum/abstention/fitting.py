"""Fitting gate and novelty, when a bundle is made: what they learn from, and their limits.

scikit-learn fits them, and is needed here alone: a bundle in use needs none of it.
"""

from __future__ import annotations

from math import ceil

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf
from sklearn.neural_network import MLPClassifier
from sklearn.utils.extmath import randomized_svd

from hilum.abstention.examples import not_frontal_chests, varied
from hilum.abstention.gate import Gate
from hilum.abstention.novelty import Floats, Gaussian, Novelty
from hilum.abstention.outline import outline, thumbnails
from hilum.abstention.policy import Policy
from hilum.data.appearance import appearance

_COMPONENTS = 64
_REMEMBERED = 1000
_FLOOR = 1e-6  # of the variance of a value
_NEURONS = 64
_DECAY = 0.1
_PASSES = 60
_SPREAD = 1e-3  # of a direction that is the same on every film


def fit_policy(
    train: tuple[Floats, Floats, Floats],
    y_n: Floats,
    calibrate: tuple[Floats, Floats, Floats],
    synthetic_nhw: Floats,
    *,
    gate: bool,
    novelty: str,
    refusals: float,
    examples: int,
    rng: np.random.Generator,
) -> Policy:
    """Fit gate and novelty.

    train, calibrate: image_nhw, feature_nd and logit_nf of the roles' films; train may be a part
    y_n: train labels of the first finding; synthetic_nhw: thumbnails of phantoms for the gate
    novelty: of MEASURES, or "none"
    """
    fitted = fit_novelty(train, y_n, calibrate, refusals=refusals, rng=rng)
    opened = None
    if gate:
        opened = fit_gate(
            thumbnails(train[0]),
            synthetic_nhw,
            thumbnails(calibrate[0]),
            examples=examples,
            refusals=refusals,
            rng=rng,
        )
    return Policy(opened, fitted, novelty, refusals, len(calibrate[0]))


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
    The limit is even odds, or lower where more of such films would be refused; where calibrate
    films are too few to tell, nothing is.
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
    lowest = -_limit(-gate.score(calibrate_nhw), refusals)
    return Gate(gate.hidden_dk, gate.hidden_k, gate.answer_k, gate.answer, min(0.0, lowest))


def fit_novelty(
    train: tuple[Floats, Floats, Floats],
    y_n: Floats,
    calibrate: tuple[Floats, Floats, Floats],
    *,
    refusals: float,
    rng: np.random.Generator,
) -> Novelty:
    """Fit every measure on the train role, and its limit on the calibrate role.

    train, calibrate: image_nhw, feature_nd and logit_nf of their films
    y_n: train labels of the first finding, NaN where unknown
    refusals: the share of films like the calibrate role's that a measure may refuse; "film" asks
        two clouds and gives each half of it
    """
    image_nhw, feature_nd, _ = train
    feature_nd = np.asarray(feature_nd, dtype=np.float64)
    mean_d = feature_nd.mean(axis=0)
    _, _, axis_cd = randomized_svd(
        feature_nd - mean_d,
        min(_COMPONENTS, *feature_nd.shape),
        random_state=int(rng.integers(2**31)),
    )
    axis_nc = (feature_nd - mean_d) @ axis_cd.T
    cloud = fit_gaussian(axis_nc, y_n)
    kept_m = rng.permutation(len(axis_nc))[:_REMEMBERED]
    looks_na = np.stack(list(appearance(image_nhw).values()), axis=1)
    unlimited = Novelty(
        fit_gaussian(outline(thumbnails(image_nhw)), y_n),
        fit_gaussian(looks_na, y_n),
        mean_d.astype(np.float32),
        axis_cd.T.astype(np.float32),
        cloud,
        (axis_nc[kept_m] @ cloud.whiten_dd).astype(np.float32),
        {},
    )
    halved = ("outline", "looks")
    limits = {
        name: _limit(raw_n, refusals / 2 if name in halved else refusals)
        for name, raw_n in unlimited.raw(*calibrate).items()
    }
    return Novelty(**{**vars(unlimited), "limits": limits})


def fit_gaussian(value_nd: Floats, y_n: Floats) -> Gaussian:
    """A cloud a class, of one shape.

    y_n: 1, 0 or NaN, a class of its own; the covariance is Ledoit & Wolf's, tied
    """
    value_nd = np.asarray(value_nd, dtype=np.float64)
    group_n = np.where(np.isnan(y_n), 2, y_n).astype(int)
    centres = {k: value_nd[group_n == k].mean(axis=0) for k in np.unique(group_n)}
    # Scaled first, so that shrinkage towards a sphere is fair to every value.
    rest_nd = value_nd - np.stack([centres[k] for k in group_n])
    scale_d = rest_nd.std(axis=0) + 1e-6
    covariance_dd, _ = ledoit_wolf(rest_nd / scale_d)
    # Of films that are all alike nothing varies, and yet another film lies far from them.
    root_dd = np.linalg.cholesky(np.linalg.inv(covariance_dd + _FLOOR * np.eye(len(scale_d))))
    whiten_dd = root_dd / scale_d[:, None]
    centre_kd = np.stack(list(centres.values())) @ whiten_dd
    return Gaussian(centre_kd.astype(np.float32), whiten_dd.astype(np.float32))


def _limit(raw_n: Floats, refusals: float) -> float:
    """What a share of at most `refusals` of such films lies beyond, as split conformal does."""
    rank = ceil((len(raw_n) + 1) * (1 - refusals) * (1 - 1e-12))
    return float(np.sort(raw_n)[rank - 1]) if rank <= len(raw_n) else np.inf
