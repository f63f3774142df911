"""Acquisition faults: what goes wrong at the X-ray unit, done to a film at severity 1 to 5.

A fault is drawn from a seed and the film's index, so that every model meets the same faulty film.
Lengths are shares of the film's side: a fault means the same on a thumbnail and on a full film.
What becomes of a classifier under them is left to those who train and judge it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import expit, logit

from hilum.data.cohort import Cohort
from hilum.data.grey import Grey, as_float
from hilum.data.pixels import Pixels, RememberedPixels

Film = NDArray[np.float32]
SEVERITIES = (1, 2, 3, 4, 5)

_DARKEST = 1 / 512  # half a grey step of eight bits: black and white have a finite log exposure
_LATITUDE = 3.0  # natural log of exposure from the whitest to the blackest of a film: 20 to 1
_STOPS = (0.4, 0.8, 1.2, 1.6, 2.0)  # doublings of the dose


@dataclass(frozen=True)
class Fault:
    """One fault: what is done to a film, and how much of it at severities 1 to 5.

    act: grey [h, w] in [0, 1], amount, generator → grey, which may leave [0, 1]
    amounts: in the unit that `act` says
    """

    name: str
    act: Callable[[Film, float, np.random.Generator], NDArray[np.floating]]
    amounts: tuple[float, float, float, float, float]

    def apply(self, grey_hw: Grey, severity: int, rng: np.random.Generator) -> Film:
        """The faulty film, float32 [h, w] in [0, 1]; the same generator state gives the same.

        grey_hw: air dark and bone bright, as floats in [0, 1] or as stored, of any size
        severity: 1 just seen, 3 plain, 5 as bad as is still read. Raises ValueError on another.
        """
        if severity not in SEVERITIES:
            raise ValueError(f"severity = {severity}; set 1 to 5")
        faulty_hw = self.act(as_float(grey_hw), self.amounts[severity - 1], rng)
        film_hw: Film = np.clip(faulty_hw, 0.0, 1.0).astype(np.float32)
        return film_hw


@dataclass(frozen=True)
class FaultyPixels:
    """Pixels of which every film has one fault, drawn from seed, fault and index alone."""

    pixels: Pixels
    fault: Fault
    severity: int
    seed: int = 0

    def read(self, index: int) -> Grey:
        key = (self.seed, zlib.crc32(self.fault.name.encode()), self.severity, index)
        return self.fault.apply(self.pixels.read(index), self.severity, np.random.default_rng(key))


def _under_exposed(grey_hw: Film, stops: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Too little dose for the patient: mAs or kV set too low, or the automatic exposure control
    cut off early. The film is too white, and the mediastinum loses its detail.

    stops: doublings of the dose that are missing
    """
    return _exposed(grey_hw, -stops)


def _over_exposed(grey_hw: Film, stops: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Too much dose for the patient: a child at an adult's setting. The film is too black, and
    the lungs burn out; an opacity that is not dense goes with them.

    stops: doublings of the dose that are too many
    """
    return _exposed(grey_hw, stops)


def _exposed(grey_hw: Film, stops: float) -> NDArray[np.floating]:
    """Another dose on the same film: blackening follows a sigmoid of the log exposure.

    A doubling shifts the logit of grey by 1: n · ln 2 with n = 4 · 2.5 / (3 · ln 10), for a film of
    maximal density 3 and average gradient 2.5. Source: Hurter & Driffield 1890.
    """
    inside_hw = np.clip(grey_hw, _DARKEST, 1 - _DARKEST)
    return np.asarray(expit(logit(inside_hw) - np.float32(stops)))


def _gamma(grey_hw: Film, power: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """The wrong look-up table: one made for another body part or another vendor's monitor. Black
    and white stay where they are, the greys between become darker (power > 1) or lighter (< 1).
    """
    return np.power(grey_hw, np.float32(power))


def _flattened(grey_hw: Film, kept: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Scatter: no grid, or a tube voltage too high for it. A veil lies over the film, and all
    differences shrink towards its mean.

    kept: share of the contrast that is left
    """
    mean = grey_hw.mean()
    return np.asarray(mean + np.float32(kept) * (grey_hw - mean))


def _mottled(grey_hw: Film, photons: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Quantum noise: too few photons, made up for by the detector's gain, so that the film has
    the right grey and mottle. The whitest parts got the fewest photons and are the noisiest.

    photons: Poisson mean in a pixel of the blackest grey; one of the whitest gets a twentieth.
        They are counted in the film's own pixels: a thumbnail has averaged a detector's noise
        away, so there it stands for a dose that is lower still.
    """
    expected_hw = photons * np.exp(-_LATITUDE * grey_hw)
    counted_hw = np.maximum(rng.poisson(expected_hw), 0.5)  # no photon at all still has a log
    return np.asarray(-np.log(counted_hw / photons) / _LATITUDE)


def _blurred(grey_hw: Film, share: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Motion: a child breathes or turns while a long exposure lasts; a large focal spot blurs
    likewise. Edges of vessels, ribs and fissures go first.

    share: standard deviation of the blur as a share of the shorter side; of a chest of 40 cm,
        0.01 is 4 mm
    """
    return np.asarray(ndimage.gaussian_filter(grey_hw, share * min(grey_hw.shape), mode="nearest"))


def _zoomed(grey_hw: Film, kept: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """Tighter collimation: the field is smaller, and the chest fills more of the film.

    kept: share of each side that is left
    """
    return _moved(grey_hw, kept * np.eye(2), np.zeros(2))


def _off_centre(grey_hw: Film, share: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """The patient stands off centre before the detector. What was beyond the film's edge is not
    known: the edge goes on.

    share: how far, as a share of each side; the direction is drawn
    """
    angle = rng.uniform(0, 2 * np.pi)
    away = share * np.array([np.sin(angle), np.cos(angle)]) * grey_hw.shape
    return _moved(grey_hw, np.eye(2), away)


def _turned(grey_hw: Film, degrees: float, rng: np.random.Generator) -> NDArray[np.floating]:
    """The patient leans, or a child is held askew. The edge goes on where the film ends.

    degrees: how far; left or right is drawn
    """
    angle = np.deg2rad(rng.choice([-degrees, degrees]))
    cos, sin = np.cos(angle), np.sin(angle)
    return _moved(grey_hw, np.array([[cos, -sin], [sin, cos]]), np.zeros(2))


def _moved(
    grey_hw: Film, matrix_22: NDArray[np.float64], away: NDArray[np.float64]
) -> NDArray[np.floating]:
    """Of each pixel (y, x) about the centre, the grey that the film has at matrix · (y, x) + away.

    Cubic: at 28 pixels a linear film would also be blurred.
    """
    centre = (np.array(grey_hw.shape) - 1) / 2
    offset = centre - matrix_22 @ centre + away
    return np.asarray(ndimage.affine_transform(grey_hw, matrix_22, offset, order=3, mode="nearest"))


def by_name(*faults: Fault) -> Mapping[str, Fault]:
    """Name -> fault, in this order."""
    return MappingProxyType({each.name: each for each in faults})


FAULTS = by_name(
    Fault("under_exposure", _under_exposed, _STOPS),
    Fault("over_exposure", _over_exposed, _STOPS),
    Fault("gamma_darker", _gamma, (1.2, 1.45, 1.75, 2.2, 2.8)),
    Fault("gamma_lighter", _gamma, (0.85, 0.7, 0.57, 0.46, 0.36)),
    Fault("low_contrast", _flattened, (0.8, 0.65, 0.5, 0.4, 0.3)),
    Fault("quantum_noise", _mottled, (5600.0, 1800.0, 740.0, 350.0, 155.0)),
    Fault("blur", _blurred, (0.003, 0.006, 0.010, 0.014, 0.019)),
    Fault("zoom", _zoomed, (0.95, 0.9, 0.84, 0.77, 0.7)),
    Fault("shift", _off_centre, (0.03, 0.06, 0.09, 0.13, 0.18)),
    Fault("rotation", _turned, (3.0, 6.0, 10.0, 15.0, 20.0)),
)


def under_faults(cohort: Cohort, severity: int, limit_bytes: int = 256 << 20) -> dict[str, Cohort]:
    """The same films under each of FAULTS, by its name.

    limit_bytes: of decoded films that are kept, so that they are read once for all faults
    """
    pixels = RememberedPixels(cohort.pixels, limit_bytes)
    return {
        name: replace(cohort, pixels=FaultyPixels(pixels, fault, severity))
        for name, fault in FAULTS.items()
    }
