"""The phantom: synthetic chest radiographs with known opacities, of any size and number.

How a patient, an opacity and a film become pixels is left to `hilum.data.phantom`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.phantom.parameters import PATTERNS
from hilum.data.phantom.pixels import OpacitySize, PhantomPixels
from hilum.data.phantom.sites import DEFAULT_SITES, SHORTCUT_MARKER, Site
from hilum.errors import DataError

Shortcut = Literal["none", "site", "marker"]
AgeGroup = Literal["children", "adults", "all"]

FINDING = "Pneumonia"
WARNING = "synthetic radiographs: no patient stands behind the images, and no figure is clinical"

# PneumoniaMNIST: 4,708 / 524 / 624 images, pneumonia in 74.2 % of train and val, 62.5 % of test.
PUBLISHED_SPLIT = {"train": 4708, "val": 524, "test": 624}
PUBLISHED_N = sum(PUBLISHED_SPLIT.values())

MIN_SIZE, MAX_SIZE = 16, 4096


def phantom_cohort(
    n: int = PUBLISHED_N,
    *,
    size: int = 28,
    seed: int = 0,
    sites: Sequence[Site] | None = None,
    shortcut: Shortcut = "none",
    shortcut_share: float = 0.9,
    opacity: OpacitySize = "any",
    age_group: AgeGroup = "children",
    prevalence: float = 0.7422,
    test_prevalence: float = 0.625,
) -> Cohort:
    """Frontal radiographs with and without pneumonia, drawn when read.

    n: images; train, val and test have the shares of PneumoniaMNIST and no patient in common
    size: pixels a side, 16 to 4,096; the same n and seed give the same patients at any size
    seed: 0 or more
    sites: hospitals that differ in exposure, contrast, noise and markers; None = DEFAULT_SITES
    shortcut: what betrays the label in `shortcut_share` of images besides the lungs: nothing, the
        site (positives come from the first half of `sites`), or an extra marker on positives
    opacity: "any" draws lobar, segmental and interstitial pneumonia from subtle to severe; "small"
        only single small segmental opacities
    age_group: children of 1 to 5 years, as in PneumoniaMNIST, adults of 18 to 90, or half and half
    prevalence, test_prevalence: share with pneumonia in train and val, and in test, in (0, 1)

    The table adds `pattern`, `severity` in [0, 1] (missing and 0 when normal) and `marker`. Boxes
    stand in pixels, one for each lung with an opacity. `cohort.pixels` is a PhantomPixels, which
    also gives masks. Raises DataError when an argument is out of range.
    """
    sites = DEFAULT_SITES if sites is None else tuple(sites)
    _check(n, size, seed, sites, shortcut, shortcut_share, opacity, age_group)
    for name, value in (("prevalence", prevalence), ("test_prevalence", test_prevalence)):
        if not 0 < value < 1:
            raise DataError(
                f"phantom {name}", f"{value:g}", expected="a share between 0 and 1, both excluded"
            )

    rng = np.random.default_rng((seed, 0))
    split_n, label_n, patient_n = _draw_patients(rng, n, prevalence, test_prevalence)
    patients = int(patient_n.max()) + 1
    label_p = np.zeros(patients, dtype=np.int64)
    label_p[patient_n] = label_n

    # All that belongs to a patient is drawn per patient, then spread over the images.
    site_n = _draw_sites(rng, label_p, sites, shortcut, shortcut_share)[patient_n]
    adult_p = rng.random(patients) < {"children": 0.0, "adults": 1.0, "all": 0.5}[age_group]
    child_years = 1 + 4 * rng.beta(1.2, 1.4, patients)
    age_p = np.where(adult_p, 18 + 72 * rng.beta(2.2, 1.8, patients), child_years)
    female_n = (rng.random(patients) < 0.45)[patient_n]
    age_n: NDArray[np.float64] = age_p.round(1)[patient_n]
    ap_n = rng.random(n) < np.array([site.ap_share for site in sites])[site_n]

    weight = [0.0, 1.0, 0.0] if opacity == "small" else [0.35, 0.35, 0.30]
    pattern_n = np.where(label_n == 1, rng.choice(len(PATTERNS), n, p=weight), -1)
    severity_n = np.where(label_n == 1, np.round(rng.beta(1.5, 1.5, n), 3), 0.0)
    tells = rng.random(n) < shortcut_share
    extra_n = (label_n == 1) == tells if shortcut == "marker" else np.zeros(n, dtype=np.bool_)

    pixels = PhantomPixels(
        size, seed, sites, opacity, patient_n, site_n, ap_n, age_n, female_n, pattern_n,
        severity_n, extra_n,
    )  # fmt: skip
    width = len(str(n - 1))
    prefix = f"phantom-s{seed}" if seed else "phantom"  # other seeds are other patients
    image_id_n = [f"{prefix}-{i:0{width}d}" for i in range(n)]
    marker_n = [
        f"{sites[s].marker} {SHORTCUT_MARKER}".strip() if extra else sites[s].marker
        for s, extra in zip(site_n, extra_n, strict=True)
    ]
    table = pd.DataFrame(
        {
            "image_id": image_id_n,
            "patient_id": [f"{prefix}-patient-{p:0{width}d}" for p in patient_n],
            "site": [sites[s].name for s in site_n],
            "view": np.where(ap_n, "AP", "PA"),
            "age": age_n,
            "sex": np.where(female_n, "F", "M"),
            "split": split_n,
            "role": pd.Series([None] * n, dtype=object),
            "label_pneumonia": label_n,
            "pattern": pd.Series(
                [PATTERNS[k] if k >= 0 else None for k in pattern_n], dtype=object
            ),
            "severity": severity_n,
            "marker": marker_n,
        }
    )
    boxes = pd.DataFrame(
        [
            (image_id_n[i], FINDING, *box)
            for i in np.flatnonzero(label_n == 1)
            for box in pixels.boxes(int(i))
        ],
        columns=["image_id", "finding", "x", "y", "width", "height"],
    )
    return Cohort(
        name="phantom" if size == 28 else f"phantom@{size}",
        findings=(FINDING,),
        table=table,
        pixels=pixels,
        synthetic=True,
        public_ids=True,
        warnings=(WARNING,),
        licence="Apache-2.0",
        boxes=boxes,
    )


def sites_named(names: Sequence[str]) -> tuple[Site, ...] | None:
    """Those of DEFAULT_SITES; None, which means all of them, for no name. Raises DataError."""
    site_of = {site.name: site for site in DEFAULT_SITES}
    unknown = [name for name in names if name not in site_of]
    if unknown:
        raise DataError("phantom.sites", f"no site {unknown[0]!r}", expected=", ".join(site_of))
    return tuple(site_of[name] for name in names) or None


def _check(
    n: int,
    size: int,
    seed: int,
    sites: tuple[Site, ...],
    shortcut: str,
    shortcut_share: float,
    opacity: str,
    age_group: str,
) -> None:
    if n < 1:
        raise DataError("phantom n", str(n), expected="1 image or more")
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise DataError("phantom size", f"{size} pixels", expected=f"{MIN_SIZE} to {MAX_SIZE}")
    if seed < 0:
        raise DataError("phantom seed", str(seed), expected="0 or more")
    if not 0.5 <= shortcut_share <= 1:
        raise DataError("phantom shortcut_share", f"{shortcut_share:g}", expected="0.5 to 1")
    for name, value, choices in (
        ("shortcut", shortcut, get_args(Shortcut)),
        ("opacity", opacity, get_args(OpacitySize)),
        ("age_group", age_group, get_args(AgeGroup)),
    ):
        if value not in choices:
            raise DataError(f"phantom {name}", repr(value), expected=" or ".join(choices))
    names = [site.name for site in sites]
    if len(names) == 0 or len(set(names)) < len(names):
        raise DataError("phantom sites", f"names {names}", expected="one or more, all different")
    if shortcut == "site" and len(sites) < 2:
        raise DataError(
            "phantom shortcut", "'site' with one site", expected="two sites or more to tell apart"
        )


def _draw_patients(
    rng: np.random.Generator, n: int, prevalence: float, test_prevalence: float
) -> tuple[NDArray[np.str_], NDArray[np.int64], NDArray[np.int64]]:
    """Split, label and patient of each image, shape (n,); a patient has one split and one label."""
    counts = {name: round(n * PUBLISHED_SPLIT[name] / PUBLISHED_N) for name in ("val", "test")}
    counts = {"train": n - sum(counts.values()), **counts}
    splits, labels, owners, patients = [], [], [], 0
    for split, count in counts.items():
        positives = round(count * (test_prevalence if split == "test" else prevalence))
        owner_parts, label_parts = [], []
        for label, images in ((1, positives), (0, count - positives)):
            films = rng.choice([1, 2, 3], max(images, 1), p=[0.72, 0.2, 0.08])
            owner = np.repeat(np.arange(len(films)), films)[:images] + patients
            patients += int(owner[-1]) + 1 - patients if images else 0
            owner_parts.append(owner)
            label_parts.append(np.full(images, label))
        order = rng.permutation(count)
        owners.append(np.concatenate(owner_parts)[order])
        labels.append(np.concatenate(label_parts)[order])
        splits.append(np.full(count, split))
    # Patient numbers are shuffled, for in order they would tell the label.
    number = rng.permutation(patients)
    return np.concatenate(splits), np.concatenate(labels), number[np.concatenate(owners)]


def _draw_sites(
    rng: np.random.Generator,
    label_p: NDArray[np.int64],
    sites: tuple[Site, ...],
    shortcut: Shortcut,
    shortcut_share: float,
) -> NDArray[np.int64]:
    """Place in `sites` of each patient, shape (patients,)."""
    share = np.array([site.share for site in sites])
    if shortcut != "site":
        return rng.choice(len(sites), len(label_p), p=share / share.sum())
    first = np.arange(len(sites)) < len(sites) // 2
    in_first = (label_p == 1) == (rng.random(len(label_p)) < shortcut_share)
    positive_site = rng.choice(len(sites), len(label_p), p=share * first / share[first].sum())
    negative_site = rng.choice(len(sites), len(label_p), p=share * ~first / share[~first].sum())
    return np.where(in_first, positive_site, negative_site)
