"""How often each training film is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hilum.errors import RecipeError
from hilum.training.sampling import balanced_weights

NAN = float("nan")


@given(st.integers(1, 400), st.integers(1, 400))
def test_both_classes_of_one_finding_are_drawn_equally_often(absent: int, present: int) -> None:
    label_nf = np.repeat([0.0, 1.0], [absent, present])[:, None]
    weight_n = balanced_weights(label_nf)
    assert weight_n[:absent].sum() == pytest.approx(0.5)
    assert weight_n[absent:].sum() == pytest.approx(0.5)
    assert len(set(weight_n[:absent])) == 1


def test_the_rarest_class_of_a_film_decides() -> None:
    #         of four     of two
    label_nf = np.array([[1, 0], [1, 0], [1, 1], [0, 0], [NAN, NAN], [NAN, 0]], dtype=np.float64)
    # Finding 1: 3 present, 1 absent; finding 2: 1 present, 4 absent.
    expected = np.array([1 / 3, 1 / 3, 1, 1, 0, 1 / 4])
    np.testing.assert_allclose(balanced_weights(label_nf), expected / expected.sum())


@given(arrays(np.float64, (30, 3), elements=st.sampled_from([0.0, 1.0, NAN])))
def test_each_film_weighs_as_its_rarest_known_class(label_nf: np.ndarray) -> None:
    label_nf[0], label_nf[1] = 0.0, 1.0
    slow = []
    for row in label_nf:
        known = [(f, value) for f, value in enumerate(row) if not np.isnan(value)]
        counts = [int((label_nf[:, f] == value).sum()) for f, value in known]
        slow.append(1 / min(counts) if counts else 0.0)
    found = balanced_weights(label_nf)
    np.testing.assert_allclose(found, np.array(slow) / sum(slow))
    assert found.sum() == pytest.approx(1)


def test_a_finding_without_films_of_one_class_is_refused() -> None:
    label_nf = np.array([[1, 0], [0, 0]], dtype=np.float64)
    with pytest.raises(RecipeError, match=r"train\.sampling = 'balanced': of finding 2 of 2"):
        balanced_weights(label_nf)
