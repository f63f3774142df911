"""Galleries: the images of a finding worth looking at, as rows of films with what is known of each.

Which images those are is chosen in `failures` and `near_duplicates`; pixels are made small in
`films`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.failures import Failures, failures
from hilum.evaluation.near_duplicates import NearDuplicates, near_duplicates
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.report.blocks import Film, Films
from hilum.evaluation.report.films import data_address
from hilum.evaluation.report.phrases import fixed, in_sentence, plural, threshold_words

MOST = 8  # films a row; half as many pairs
BYTES = 1_500_000  # that the films of a page may weigh together
COMPARED = 5_000  # images that are read once more to look for pairs that are nearly the same

ImageOf = Callable[[int], NDArray[np.float32]]


def galleries(
    predictions: Predictions, evaluation: Evaluation, image_of: ImageOf | None
) -> dict[str, tuple[Films, ...]]:
    """Rows of films per finding.

    image_of: row of the predictions to its image; None where there are no pixels, and then ids and
        scores stand alone
    Films past what a page can carry are listed without pixels.
    """
    alike = _alike(image_of, len(predictions))
    room = BYTES // max(1, len(evaluation.findings))
    shelves = {}
    for finding in evaluation.findings:
        threshold = evaluation.operating_points[finding]["deployed"].threshold
        found = failures(predictions, finding, threshold, alike, MOST)
        shelf = _Shelf(predictions, found, image_of, room)
        shelves[finding] = tuple(_rows(shelf, evaluation, alike))
    return shelves


def _alike(image_of: ImageOf | None, n: int) -> NearDuplicates:
    if image_of is None:
        return NearDuplicates(0, 0, 0, (), "the report was made without pixels")
    if n > COMPARED:
        return NearDuplicates(0, 0, 0, (), f"there are more than {COMPARED:,} images")
    return near_duplicates(image_of, n)


class _Shelf:
    """One finding's films, and how many bytes are left for their pixels."""

    def __init__(
        self, predictions: Predictions, found: Failures, image_of: ImageOf | None, room: int
    ) -> None:
        self.found, self.image_of, self.room = found, image_of, room
        self.image_id_n = predictions.table["image_id"]
        self.prob_n = predictions.prob(found.finding)
        self.y_n = predictions.label(found.finding)

    def film(self, row: int, *more: str) -> Film:
        image_id, prob = str(self.image_id_n.iloc[row]), fixed(float(self.prob_n[row]), 3)
        label = {1.0: "present", 0.0: "absent"}.get(float(self.y_n[row]), "none")
        return Film(
            (image_id, f"P = {prob}", f"label: {label}", *more),
            f"Film {image_id}, probability {prob}, label {label}",
            self.pixels(row),
        )

    def pixels(self, row: int) -> str | None:
        if self.image_of is None or self.room <= 0:
            return None
        address = data_address(self.image_of(row))
        self.room -= len(address)
        return address


def _rows(shelf: _Shelf, evaluation: Evaluation, alike: NearDuplicates) -> Iterator[Films]:
    found, name = shelf.found, in_sentence(shelf.found.finding)
    at = threshold_words(found.threshold)
    counts = evaluation.operating_points[found.finding]["deployed"].confusion
    yield Films(
        "Missed",
        f"{plural(counts.fn, 'image')} with {name} below {at}, the lowest probability first"
        f"{_some(counts.fn)}.",
        tuple(map(shelf.film, found.false_negative)),
        "No image was missed.",
    )
    yield Films(
        "Falsely called",
        f"{plural(counts.fp, 'image')} without {name} at {at} or more, the highest first"
        f"{_some(counts.fp)}.",
        tuple(map(shelf.film, found.false_positive)),
        "No image was falsely called.",
    )
    yield Films(
        "Most uncertain",
        f"Nearest to the threshold of {at}, right or wrong.",
        tuple(map(shelf.film, found.uncertain)),
        "No image has a probability other than 0 or 1.",
    )
    yield Films(
        "Nearly the same image, another answer",
        "Pairs that differ in brightness, noise or encoding, and that the threshold parts."
        if alike.reason is None
        else f"Not looked for: {alike.reason}.",
        tuple(_pairs(shelf)),
        f"No such pair among {plural(alike.count, 'pair')} of nearly the same image."
        if alike.reason is None
        else "",
    )
    yield Films(
        "Labels that may be wrong",
        "Candidates by confident learning, the least likely label first; to be reviewed by a "
        "person, not errors.",
        tuple(map(shelf.film, found.label_errors)),
        "No label disagrees with the model strongly enough.",
    )


def _some(count: int) -> str:
    return f"; {MOST} are shown" if count > MOST else ""


def _pairs(shelf: _Shelf) -> Iterator[Film]:
    pairs = shelf.found.near_duplicates or ()
    for number, pair in enumerate(pairs[: MOST // 2], start=1):
        alike = "same pixels" if pair.exact else f"correlation {fixed(pair.similarity, 3)}"
        for row in (pair.first, pair.second):
            yield shelf.film(row, f"pair {number}: {alike}")
