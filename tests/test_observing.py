"""Predictions with features and appearance, from one pass."""

import numpy as np

from hilum.bundle import Bundle
from hilum.data.appearance import ATTRIBUTES
from hilum.data.cohort import Cohort
from hilum.data.reading import Quarantine
from hilum.observing import observe
from hilum.predict import predict


def test_features_and_appearance_stand_row_for_row_beside_the_answers(
    small_bundle: Bundle, small_cohort: Cohort
) -> None:
    found = observe(small_bundle, small_cohort)
    assert found.predictions.table.equals(predict(small_bundle, small_cohort).table)
    assert len(found.feature_nd) == len(found.appearance) == len(small_cohort)
    assert tuple(found.appearance) == tuple(ATTRIBUTES)
    part = observe(small_bundle, small_cohort.where(np.arange(len(small_cohort)) >= 5))
    np.testing.assert_allclose(part.feature_nd, found.feature_nd[5:], atol=1e-5)


def test_a_film_that_cannot_be_read_has_no_row(small_bundle: Bundle, small_cohort: Cohort) -> None:
    from dataclasses import replace

    from hilum.errors import RadiographError

    class Broken:
        def read(self, index: int):  # type: ignore[no-untyped-def]
            if index == 2:
                raise RadiographError("film 2", "broken", expected="a film")
            return small_cohort.pixels.read(index)

    films = replace(small_cohort, pixels=Broken())
    found = observe(small_bundle, films, quarantine=Quarantine(len(films), 0.5))
    assert len(found.predictions) == len(found.feature_nd) == len(films) - 1
