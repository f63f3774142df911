"""The phantom: synthetic chest radiographs with known opacities, of any size and number.

How anatomy, opacity and film become pixels is left to `hilum.data.phantom_rendering`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.data.cohort import Cohort
from hilum.data.phantom_rendering import (
    Anatomy,
    Film,
    Focus,
    Opacity,
    Pattern,
    draw,
    lung_mask,
    opacity_boxes,
    opacity_mask,
)
from hilum.errors import DataError

Shortcut = Literal["none", "site", "marker"]
OpacitySize = Literal["any", "small"]
AgeGroup = Literal["children", "adults", "all"]

FINDING = "Pneumonia"
WARNING = "synthetic radiographs: no patient stands behind the images, and no figure is clinical"
PATTERNS: tuple[Pattern, ...] = ("lobar", "segmental", "interstitial")
SHORTCUT_MARKER = "SUPINE"

# PneumoniaMNIST: 4,708 / 524 / 624 images, pneumonia in 74.2 % of train and val, 62.5 % of test.
PUBLISHED_SPLIT = {"train": 4708, "val": 524, "test": 624}
PUBLISHED_N = sum(PUBLISHED_SPLIT.values())

MIN_SIZE, MAX_SIZE = 16, 4096


@dataclass(frozen=True)
class Site:
    """How one hospital takes its films.

    share: its weight among all patients
    ap_share: share of AP views, in [0, 1]; the others are PA
    exposure, exposure_sd: mean and spread of the shift of the film curve, positive = darker
    contrast: slope of the film curve, 1 = the mean of the default sites
    noise: standard deviation of quantum noise at mid grey, in units of the image
    scatter: share of scattered radiation
    border: mean collimated margin, fraction of the side
    marker: lead letters; marker_x, marker_y, marker_height: their place and size
    """

    name: str
    share: float = 1.0
    ap_share: float = 0.7
    exposure: float = 0.0
    exposure_sd: float = 0.07
    contrast: float = 1.0
    noise: float = 0.012
    scatter: float = 0.10
    border: float = 0.0
    marker: str = "R"
    marker_x: float = 0.06
    marker_y: float = 0.25
    marker_height: float = 0.055

    def __post_init__(self) -> None:
        for name, low, high in (
            ("ap_share", 0.0, 1.0),
            ("exposure", -0.5, 0.5),
            ("exposure_sd", 0.0, 0.3),
            ("contrast", 0.3, 3.0),
            ("noise", 0.0, 0.3),
            ("scatter", 0.0, 0.9),
            ("border", 0.0, 0.2),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise DataError(
                    f"site {self.name!r}", f"{name} = {value:g}", expected=f"{low:g} to {high:g}"
                )
        if not self.share > 0:
            raise DataError(
                f"site {self.name!r}", f"share = {self.share:g}", expected="more than 0"
            )


DEFAULT_SITES = (
    Site("A", share=0.40, ap_share=0.8, exposure=0.02, contrast=1.05, noise=0.008, marker_y=0.30),
    Site(
        "B", share=0.25, ap_share=0.5, exposure=0.09, contrast=1.15, noise=0.014, border=0.01,
        marker="A-P", marker_x=0.09, marker_y=0.05, marker_height=0.045,
    ),
    Site(
        "C", share=0.20, ap_share=0.9, exposure=-0.08, contrast=0.88, noise=0.015, scatter=0.2,
        marker_x=0.05, marker_y=0.10, marker_height=0.09,
    ),
    Site(
        "D", share=0.15, ap_share=0.3, exposure=0.0, contrast=0.97, noise=0.011, border=0.035,
        marker="L", marker_x=0.91, marker_y=0.14, marker_height=0.06,
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PhantomPixels:
    """Draws image `index` when asked, the same in every process and in any order of reading.

    Arrays have one entry per image of the whole cohort, shape (n,); nothing else is kept.
    """

    size: int
    seed: int
    sites: tuple[Site, ...]
    opacity_size: OpacitySize
    patient_n: NDArray[np.int64]
    site_n: NDArray[np.int64]
    ap_n: NDArray[np.bool_]
    age_n: NDArray[np.float64]
    female_n: NDArray[np.bool_]
    pattern_n: NDArray[np.int64]  # place in PATTERNS, -1 = no opacity
    severity_n: NDArray[np.float64]
    extra_marker_n: NDArray[np.bool_]

    def read(self, index: int) -> NDArray[np.float32]:
        """Image `index` as float32 [size, size] in [0, 1], air dark and bone bright."""
        return draw(self._anatomy(index), self._film(index), self._opacity(index), self.size)

    def read_without_opacity(self, index: int) -> NDArray[np.float32]:
        """The same patient, film and noise without the pneumonia, float32 [size, size]."""
        return draw(self._anatomy(index), self._film(index), None, self.size)

    def opacity_mask(self, index: int) -> NDArray[np.bool_]:
        """Where the opacity of image `index` stands, bool [size, size]; all False when normal."""
        opacity = self._opacity(index)
        if opacity is None:
            return np.zeros((self.size, self.size), dtype=np.bool_)
        return opacity_mask(self._anatomy(index), opacity, self.size)

    def lung_mask(self, index: int) -> NDArray[np.bool_]:
        """Lung of image `index` clear of heart and diaphragm, bool [size, size]."""
        return lung_mask(self._anatomy(index), self.size)

    def boxes(self, index: int) -> list[tuple[float, float, float, float]]:
        """(x, y, width, height) in pixels, one for each lung with an opacity."""
        opacity = self._opacity(index)
        if opacity is None:
            return []
        found = opacity_boxes(self._anatomy(index), opacity)
        return [
            (x * self.size, y * self.size, w * self.size, h * self.size) for x, y, w, h in found
        ]

    def _anatomy(self, index: int) -> Anatomy:
        patient = int(self.patient_n[index])
        return _sample_anatomy(
            np.random.default_rng((self.seed, 1, patient)),
            np.random.default_rng((self.seed, 2, index)),
            outline_seed=(self.seed, 3, patient),
            age=float(self.age_n[index]),
            female=bool(self.female_n[index]),
            ap=bool(self.ap_n[index]),
        )

    def _film(self, index: int) -> Film:
        rng = np.random.default_rng((self.seed, 4, index))
        film_seed = (self.seed, 5, index)
        site = self.sites[int(self.site_n[index])]
        return _sample_film(rng, site, film_seed, extra=bool(self.extra_marker_n[index]))

    def _opacity(self, index: int) -> Opacity | None:
        kind = int(self.pattern_n[index])
        if kind < 0:
            return None
        return _sample_opacity(
            np.random.default_rng((self.seed, 6, index)),
            PATTERNS[kind],
            float(self.severity_n[index]),
            small=self.opacity_size == "small",
            texture_seed=(self.seed, 7, index),
        )


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
    image_id_n = [f"phantom-{i:0{width}d}" for i in range(n)]
    marker_n = [
        f"{sites[s].marker} {SHORTCUT_MARKER}".strip() if extra else sites[s].marker
        for s, extra in zip(site_n, extra_n, strict=True)
    ]
    table = pd.DataFrame(
        {
            "image_id": image_id_n,
            "patient_id": [f"phantom-patient-{p:0{width}d}" for p in patient_n],
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
        name="phantom",
        findings=(FINDING,),
        table=table,
        pixels=pixels,
        synthetic=True,
        warnings=(WARNING,),
        licence="Apache-2.0",
        boxes=boxes,
    )


# The name under which `hilum.data.sources` opens it, as it opens each source by its module's name.


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


def _sample_anatomy(
    of_patient: np.random.Generator,
    of_film: np.random.Generator,
    *,
    outline_seed: tuple[int, ...],
    age: float,
    female: bool,
    ap: bool,
) -> Anatomy:
    """A patient's build from `of_patient`, and the stance in one film from `of_film`."""
    child = age < 16
    infant = float(np.clip((5 - age) / 4, 0, 1)) if child else 0.0
    p, f = of_patient.standard_normal(8), of_film.standard_normal(8)
    chance = of_patient.random(4)
    still = 1.5 if child else 1.0  # small children turn and move
    overhead = child and of_film.random() < 0.55
    width = (0.440 if child else 0.435) + 0.018 * p[0] + 0.012 * f[0]
    height = (0.625 - 0.03 * infant if child else 0.66) + 0.022 * p[1] + 0.015 * f[1]
    return Anatomy(
        outline_seed=outline_seed,
        centre=0.5 + 0.018 * still * f[2],
        apex=(0.155 if child else 0.12) + 0.022 * f[3],
        half_width=width,
        height=height,
        tilt=0.018 * still * f[4],
        turn=0.022 * still * f[5],
        heart=(1.0 + 0.08 * infant) * (1.07 if ap else 0.98) * (1 + 0.05 * p[2]),
        flare=float(np.clip((0.55 + 0.3 * infant if child else 0.15) + 0.15 * p[3], 0, 1.2)),
        rib_drop=float(np.clip((0.34 if child else 0.44) + 0.035 * p[4], 0.24, 0.56)),
        bone=float(np.clip((0.92 if child else 1.02) + 0.1 * p[5], 0.65, 1.35)),
        fat=float(np.clip(1 + 0.12 * p[6], 0.75, 1.4)),
        arms=2.7 + 0.2 * f[6] if overhead else 0.25 + 0.15 * f[6],
        chin=float(of_film.uniform(0, 1)) if child and of_film.random() < 0.4 else 0.0,
        breast=float(0.4 + 0.6 * chance[0]) if female and not child and chance[1] < 0.8 else 0.0,
        scapula=float(of_film.uniform(0.5, 1.1) if ap else of_film.uniform(-0.2, 0.35)),
        stomach=float(of_film.uniform(0.2, 1)) if of_film.random() < 0.5 else 0.0,
        inspiration=(-0.03 if ap else 0.01) + 0.025 * f[7],
    )


def _sample_film(
    rng: np.random.Generator, site: Site, noise_seed: tuple[int, ...], *, extra: bool
) -> Film:
    """One exposure at a site; `extra` adds the marker of the shortcut."""
    border = (0.0, 0.0, 0.0, 0.0)
    if site.border > 0:
        left, top, right, bottom = rng.exponential(site.border, 4).clip(0, 0.12)
        border = (float(left), float(top), float(right), float(bottom))
    return Film(
        noise_seed=noise_seed,
        exposure=site.exposure + site.exposure_sd * rng.standard_normal(),
        contrast=site.contrast * float(np.exp(0.07 * rng.standard_normal())),
        noise=site.noise * float(np.exp(0.2 * rng.standard_normal())),
        scatter=site.scatter,
        border=border,
        marker=site.marker,
        marker_x=site.marker_x + 0.012 * rng.standard_normal(),
        marker_y=site.marker_y + 0.04 * rng.standard_normal(),
        marker_height=site.marker_height,
        extra_marker=SHORTCUT_MARKER if extra else "",
    )


# Where each lobe projects: side, v from … to, q from … to, softness above, below, across.
LOBES = (
    Focus(-1, -0.2, 0.43, -0.3, 1.3, 0.1, 0.035, 0.1),  # right upper, on the minor fissure
    Focus(-1, 0.45, 0.86, -0.3, 0.72, 0.035, 0.22, 0.3),  # right middle, beside the heart
    Focus(-1, 0.55, 1.4, 0.02, 1.3, 0.22, 0.1, 0.2),  # right lower
    Focus(1, -0.2, 0.50, -0.3, 1.3, 0.1, 0.25, 0.1),  # left upper
    Focus(1, 0.45, 0.90, -0.4, 0.60, 0.15, 0.15, 0.3),  # lingula
    Focus(1, 0.52, 1.4, -0.4, 1.3, 0.22, 0.1, 0.2),  # left lower
)


def _sample_opacity(
    rng: np.random.Generator,
    pattern: Pattern,
    severity: float,
    *,
    small: bool,
    texture_seed: tuple[int, ...],
) -> Opacity:
    """Foci and density of one pneumonia; severity in [0, 1] scales both extent and density."""
    foci: list[Focus] = []
    if pattern == "lobar":
        density = 0.30 + 0.64 * severity
        lobes = rng.permutation(len(LOBES))[: 2 if rng.random() < 0.35 * severity else 1]
        foci = [LOBES[k] for k in lobes]
    elif pattern == "segmental":
        density = 0.45 + 0.4 * severity if small else 0.33 + 0.54 * severity
        sides = rng.permutation([-1, 1])[: 2 if not small and rng.random() < 0.4 else 1]
        for side in sides:
            v, q = rng.uniform(0.2, 0.74), rng.uniform(0.3, 0.7)
            dv = 0.075 + 0.045 * severity if small else 0.15 + 0.13 * severity
            dq = 0.13 + 0.07 * severity if small else 0.26 + 0.24 * severity
            foci.append(
                Focus(int(side), v - dv, v + dv, q - dq, q + dq, 1.2 * dv, 1.2 * dv, 1.2 * dq)
            )
    else:
        density = 0.11 + 0.42 * severity
        sides = rng.permutation([-1, 1])[: 2 if rng.random() < 0.85 else 1]
        for side in sides:
            top, bottom = rng.uniform(-0.1, 0.2), rng.uniform(0.8, 1.2)
            reach = rng.uniform(0.55, 0.8) + 0.3 * severity
            foci.append(Focus(int(side), top, bottom, -0.5, reach, 0.3, 0.3, 0.5))
    return Opacity(pattern, density, tuple(foci), texture_seed)
