"""Attention: where maps lie, on average, in the chest: mean maps, zones, share within the lungs.

Attention is what of a map speaks for the finding. Films are laid over one another by their lungs
where masks are at hand, else by what the network saw of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from hilum.data.preprocessing import Window
from hilum.estimates import Estimate
from hilum.evaluation.intervals import Resampling, percentile
from hilum.explanation.localisation import Bools
from hilum.units import Units

FILMS = 1000  # as many films, drawn by lot, tell where a classifier looks to a few percent
SIDE = 96  # of the frame that films are laid over one another in
MARGIN = 0.12  # around the lungs, as a share of their extent
ZONES = tuple(
    f"{height} {side}" for height in ("upper", "middle", "lower") for side in ("right", "left")
)
LUNGS = ("attention within the lungs", "share of the view that is lung")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Place:
    """One film and its map on the common grid, with the frame it is aligned by.

    grey_hw, map_hw: float32 [h, w]; map NaN where the network saw nothing
    frame: of the lungs, or of what the network saw; lungs_hw: None without a mask
    """

    grey_hw: NDArray[np.float32]
    map_hw: NDArray[np.float32]
    frame: Window
    lungs_hw: Bools | None = None


def drawn_by_lot(n: int) -> Bools:
    """Which of n films stand for all of them: FILMS at most, the same at every call."""
    chosen_n = np.zeros(n, dtype=np.bool_)
    chosen_n[np.random.default_rng(0).permutation(n)[:FILMS]] = True
    return chosen_n


def frame_of(lungs_hw: Bools) -> Window:
    """The rectangle around the lungs, of which the mask marks some, with a margin."""
    rows, columns = np.flatnonzero(lungs_hw.any(axis=1)), np.flatnonzero(lungs_hw.any(axis=0))
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    return Window(
        float(rows[0] - MARGIN * height),
        float(columns[0] - MARGIN * width),
        float(height * (1 + 2 * MARGIN)),
        float(width * (1 + 2 * MARGIN)),
    )


def aligned(values_hw: NDArray[np.floating], frame: Window) -> NDArray[np.float32]:
    """What lies in the frame, float32 [SIDE, SIDE]; NaN beyond the film and where it is NaN."""
    centre = (np.arange(SIDE) + 0.5) / SIDE
    down_h = frame.top + centre * frame.height - 0.5
    across_w = frame.left + centre * frame.width - 0.5
    places = np.meshgrid(down_h, across_w, indexing="ij")
    found = ndimage.map_coordinates(
        np.asarray(values_hw, dtype=np.float32), places, order=1, mode="nearest"
    )
    rows, columns = values_hw.shape
    found[(down_h < -0.5) | (down_h > rows - 0.5)] = np.nan
    found[:, (across_w < -0.5) | (across_w > columns - 0.5)] = np.nan
    return np.asarray(found, dtype=np.float32)


def mean_of(places: Sequence[Place]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean film and mean map in the frame, float32 [SIDE, SIDE] each; NaN where no film reaches."""
    films = np.stack([aligned(place.grey_hw, place.frame) for place in places])
    maps = np.stack([aligned(place.map_hw, place.frame) for place in places])
    return _mean(films), _mean(maps)


def zone_shares(place: Place) -> Floats:
    """The share of a film's attention in each of ZONES, shape (6,); NaN where it has none.

    The frame's thirds and halves; the patient's right lung is on the left of the film.
    """
    for_it_hw = np.clip(np.nan_to_num(aligned(place.map_hw, place.frame)), 0, None)
    third, half = SIDE // 3, SIDE // 2
    share_z = for_it_hw.reshape(3, third, 2, half).sum(axis=(1, 3)).ravel().astype(np.float64)
    total = float(share_z.sum())
    return share_z / total if total > 0 else np.full(len(ZONES), np.nan)


def lung_share(place: Place) -> tuple[float, float]:
    """The share of attention within the lungs, and of what the network saw that is lung."""
    if place.lungs_hw is None:
        raise ValueError("no lung mask")
    seen_hw = ~np.isnan(place.map_hw)
    for_it_hw = np.clip(np.where(seen_hw, place.map_hw, 0.0), 0, None)
    total = float(for_it_hw.sum())
    inside = float(for_it_hw[place.lungs_hw].sum()) / total if total > 0 else float("nan")
    return inside, float((place.lungs_hw & seen_hw).sum() / max(int(seen_hw.sum()), 1))


def resampled_means(
    value_nk: Floats, units: Units, rng: np.random.Generator, resamples: int
) -> Floats:
    """Means over films of each resample of patients, shape (resamples, k)."""
    return Resampling.of(units, rng, resamples).over(
        units.unit_n,
        lambda count_bn: {"mean": count_bn @ value_nk / count_bn.sum(axis=1, keepdims=True)},
    )["mean"]


def mean_estimates(
    value_nk: Floats, names: Sequence[str], units: Units, rng: np.random.Generator, resamples: int
) -> Mapping[str, Estimate]:
    """Means over films, each with its interval over patients; films without a value are left out.

    value_nk: shape (n, k), rows of NaN where a film has none
    """
    known_n = np.asarray(~np.isnan(value_nk).any(axis=1))
    n = int(known_n.sum())
    if not n:
        return {name: Estimate.missing("no film has attention", 0) for name in names}
    kept_nk, own = value_nk[known_n], units.where(known_n)
    drawn_bk = resampled_means(kept_nk, own, rng, resamples)
    return {
        name: percentile(float(value), value_b, n, own)
        for name, value, value_b in zip(names, kept_nk.mean(axis=0), drawn_bk.T, strict=True)
    }


@dataclass(frozen=True)
class Attention:
    """Where the maps of one finding lie over a group of films.

    aligned_by: "lungs" where every film has a mask of them, else "view"
    means: kind of answer -> films, mean film and mean map, float32 [SIDE, SIDE] each
    zones: "present", "absent" and "all" -> zone of ZONES -> its mean share of the attention
    lungs: the same by LUNGS; None without masks
    """

    aligned_by: str
    means: Mapping[str, tuple[int, NDArray[np.float32], NDArray[np.float32]]]
    zones: Mapping[str, Mapping[str, Estimate]]
    lungs: Mapping[str, Mapping[str, Estimate]] | None


def attention_over(
    places: Sequence[Place],
    kinds: Sequence[str],
    label_n: Floats,
    units: Units,
    rng: np.random.Generator,
    resamples: int = 2000,
) -> Attention:
    """The mean maps by kind of answer, and the zones by label, with intervals over patients.

    kinds, label_n (1, 0 or NaN), units: of the same films
    """
    by_lungs = all(place.lungs_hw is not None for place in places)
    rows = {
        kind: [n for n, each in enumerate(kinds) if each == kind] for kind in dict.fromkeys(kinds)
    }
    by_label = {
        "present": label_n == 1,
        "absent": label_n == 0,
        "all": np.ones(len(label_n), dtype=np.bool_),
    }

    def by_labels(value_nk: Floats, names: Sequence[str]) -> dict[str, Mapping[str, Estimate]]:
        return {
            name: mean_estimates(value_nk[keep_n], names, units.where(keep_n), rng, resamples)
            for name, keep_n in by_label.items()
            if keep_n.any()
        }

    zones = by_labels(np.array([zone_shares(place) for place in places]), ZONES)
    inside = np.array([lung_share(place) for place in places]) if by_lungs else None
    return Attention(
        "lungs" if by_lungs else "view",
        {kind: (len(some), *mean_of([places[n] for n in some])) for kind, some in rows.items()},
        zones,
        None if inside is None else by_labels(inside, LUNGS),
    )


def _mean(values_nhw: NDArray[np.float32]) -> NDArray[np.float32]:
    known_hw = (~np.isnan(values_nhw)).sum(axis=0)
    total_hw = np.nansum(values_nhw, axis=0)
    return np.where(known_hw > 0, total_hw / np.maximum(known_hw, 1), np.nan).astype(np.float32)
