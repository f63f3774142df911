"""MedMNIST-C: the published corruptions of PneumoniaMNIST, applied by their authors' own package.

The package brings torch and is no part of Hilum; it is imported here when it is asked for, and
nowhere else. How a classifier is judged under the corruptions is left to `stress`.

Source: Di Salvo, Doerrich & Ledig 2024, "MedMNIST-C", arXiv 2406.17536.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.data.faults import SEVERITIES, Fault, Film, by_name
from hilum.errors import HilumError
from hilum.robustness.family import Family
from hilum.robustness.relative_error import Reference

NAME = "medmnist-c"
DATASET = "pneumoniamnist"
_LIBRARY = "apt-get install libmagickwand-6.q16-6 (Debian 12; elsewhere libmagickwand-dev)"
_WHERE = f"--family {NAME}"
_DRAWING = threading.Lock()  # films are read by threads, and NumPy's global generator is one


class Corruption(Protocol):
    """A corruption as the package has it; some draw from NumPy's global generator, one from `rng`.

    apply: an RGB image and severity - 1 → uint8 [h, w, 3]
    """

    def apply(self, image: Image.Image, severity: int) -> NDArray[np.uint8]: ...


def medmnist_c() -> Family:
    """PneumoniaMNIST's thirteen corruptions, and AlexNet's errors under them.

    Raises HilumError, which says what to install, where the package or what it needs is missing.
    """
    if find_spec("medmnistc") is None:
        raise HilumError(
            _WHERE,
            "needs the package medmnistc, which is not installed",
            remedy=f"pip install medmnistc and {_LIBRARY}, or less by docs/robustness.md; or stay "
            "with --family acquisition",
        )
    try:
        registry = import_module("medmnistc.corruptions.registry")
        baselines = import_module("medmnistc.utils.baselines")
    except ImportError as error:
        raise _lacking(error) from error
    corruptions: Mapping[str, Corruption] = registry.CORRUPTIONS_DS[DATASET]
    alexnet = baselines.BASELINES[DATASET]
    return Family(
        NAME,
        f"medmnistc {version('medmnistc')}",
        by_name(*(as_fault(name, each) for name, each in corruptions.items())),
        Reference("AlexNet", DATASET, alexnet["clean_score"], dict(alexnet["raw_scores"])),
    )


def _lacking(error: ImportError) -> HilumError:
    """In one line what the package cannot be imported without."""
    if "MagickWand" in str(error):
        return HilumError(
            _WHERE,
            "needs ImageMagick's library, which is not installed",
            remedy=_LIBRARY,
        )
    if error.name:
        found = f"the package medmnistc needs {error.name}, which is not installed"
        return HilumError(_WHERE, found, remedy="see docs/robustness.md for what to install")
    return HilumError(_WHERE, f"the package medmnistc cannot be imported ({error})")


def as_fault(name: str, corruption: Corruption) -> Fault:
    """A corruption as everything here takes one; its amount is the severity.

    It is given the film as RGB in eight bits, and made grey again, as its authors do it.
    """

    def act(grey_hw: Film, severity: float, rng: np.random.Generator) -> NDArray[np.floating]:
        stored_hw = (np.clip(grey_hw, 0, 1) * 255).round().astype(np.uint8)
        own = copy(corruption)
        own.rng = rng  # type: ignore[attr-defined]  # impulse noise alone draws from it
        image = Image.fromarray(stored_hw).convert("RGB")
        with drawing_from(rng):
            corrupted_hwc = own.apply(image, round(severity) - 1)
        return np.asarray(Image.fromarray(corrupted_hwc).convert("L"), dtype=np.float32) / 255

    one, two, three, four, five = (float(severity) for severity in SEVERITIES)
    return Fault(name, act, (one, two, three, four, five))


@contextmanager
def drawing_from(rng: np.random.Generator) -> Iterator[None]:
    """NumPy's global generator seeded from `rng`, and left afterwards as it was found.

    For code of others that knows no other; one thread at a time.
    """
    with _DRAWING:
        before = np.random.get_state()  # noqa: NPY002
        np.random.seed(rng.integers(2**32, size=4, dtype=np.uint32))  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(before)  # noqa: NPY002
