"""What a film looks like, in numbers."""

import numpy as np
import pytest

from hilum.data.appearance import ATTRIBUTES, appearance


def films(rng: np.random.Generator, n: int = 4) -> np.ndarray:
    across = np.linspace(0.1, 0.9, 32)
    return np.clip(np.outer(across, across)[None] + 0.01 * rng.normal(size=(n, 32, 32)), 0, 1)


def test_every_attribute_is_measured() -> None:
    found = appearance(films(np.random.default_rng(0)))
    assert tuple(found) == tuple(ATTRIBUTES)
    assert all(each.shape == (4,) and np.isfinite(each).all() for each in found.values())


def test_each_attribute_follows_what_it_is_named_after() -> None:
    rng = np.random.default_rng(1)
    plain = films(rng)
    before = appearance(plain)
    assert (appearance(plain * 0.5 + 0.5)["exposure"] > before["exposure"]).all()
    assert np.allclose(appearance(plain * 0.5)["contrast"], before["contrast"] / 2)
    noisy = appearance(plain + 0.1 * rng.normal(size=plain.shape))
    assert (noisy["noise"] > before["noise"]).all()
    assert (noisy["sharpness"] > before["sharpness"]).all()
    framed = plain.copy()
    framed[:, :4] = framed[:, -4:] = 0
    assert np.allclose(appearance(framed)["field_of_view"], (1 + 24 / 32) / 2)


def test_a_blank_film_has_no_contrast_and_nothing_measured_by_it() -> None:
    found = appearance(np.full((1, 16, 16), 0.5))
    assert found["exposure"] == 0.5
    assert all(found[name] == 0 for name in ATTRIBUTES if name != "exposure")


def test_too_small_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match="8 x 8"):
        appearance(np.zeros((1, 4, 9)))
