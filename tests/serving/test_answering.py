"""What is said of a film beyond its numbers: sentences with their intervals, and warnings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from data.radiograph.made_films import data_set, dicom
from hilum.abstention import REASONS
from hilum.bundle import Bundle
from hilum.calibration import OperatingPoint
from hilum.estimates import Estimate
from hilum.serving.answering import Answerer, ages_of, in_words
from hilum.serving.film import Film, prepare

POINT = OperatingPoint(
    "youden",
    "as it is",
    0.4,
    Estimate(0.969, 0.947, 0.982, 389, "Wilson"),
    Estimate(0.9, 0.84, 0.94, 135, "Wilson"),
    524,
)


def test_a_sentence_tells_how_far_the_point_is_known() -> None:
    assert in_words("Pneumonia", 0.123, False, POINT, None) == (
        "Pneumonia called absent: calibrated probability 0.123, below the operating point 0.400; "
        "on the films of calibrate, on which this point was chosen, it called absent 90.0 % "
        "(95 % interval 84.0 to 94.0) of those without Pneumonia."
    )
    assert in_words("Pneumonia", 0.8, True, POINT, None) == (
        "Pneumonia called present: calibrated probability 0.800, at or above the operating point "
        "0.400; on the films of calibrate, on which this point was chosen, it found 96.9 % "
        "(95 % interval 94.7 to 98.2) of those with Pneumonia."
    )
    assert in_words("Pneumonia", 0.8, True, POINT, "gate") == (
        f"No answer is given: {REASONS['gate']}."
    )
    unknown = replace(POINT, specificity=Estimate(None, None, None, 0, "Wilson", reason="none"))
    said = in_words("Pneumonia", 0.1, False, unknown, None)
    assert said.endswith("below the operating point 0.400.")


@pytest.mark.parametrize(
    ("prob", "said"),
    [(0.99996, ">0.999"), (0.0001, "<0.001"), (1.0, "1.000"), (0.0, "0.000"), (0.3996, "0.400")],
)
def test_a_sentence_says_no_certainty_that_is_not_there(prob: float, said: str) -> None:
    called = in_words("Pneumonia", prob, prob >= POINT.threshold, POINT, None)
    assert f"calibrated probability {said}," in called


def with_ages(bundle: Bundle, low: float, high: float) -> Bundle:
    roles = {"roles": {"train": {"ages": {"n": 9, "low": low, "high": high}}}}
    return replace(bundle, manifest=bundle.manifest.model_copy(update={"roles": roles}))


def film(bundle: Bundle, age: str) -> Film:
    manifest = bundle.manifest
    content = dicom(data_set(PatientAge=age))
    return prepare(content, manifest.reading, manifest.preprocessing)


def test_an_age_outside_that_of_the_training_films_is_warned_of(small_bundle: Bundle) -> None:
    of_children = Answerer(with_ages(small_bundle, 1, 5))
    (adult, child) = of_children.answer([film(small_bundle, "054Y"), film(small_bundle, "004Y")])
    assert "age 54, outside the 1 to 5 years of the films it was trained on" in adult.warnings
    assert not any("age" in warning for warning in child.warnings)
    assert ages_of(small_bundle) is None
    (unknown,) = Answerer(small_bundle).answer([film(small_bundle, "054Y")])
    assert not any("age" in warning for warning in unknown.warnings)


def test_a_probability_that_nobody_calibrated_is_not_called_so() -> None:
    said = in_words("Pneumonia", 0.8, True, POINT, None, calibrated=False)
    assert said.startswith("Pneumonia called present: probability 0.800,")
