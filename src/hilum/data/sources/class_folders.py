"""What the folders above a film say of it: its class, and its split where one stands above that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.columns import spelt
from hilum.data.findings import spelling
from hilum.data.sources.words import is_negative_class, split_in_words


@dataclass(frozen=True)
class Place:
    """split: train, val or test; None where they say nothing. class_name: None for a loose film."""

    split: str | None
    class_name: str | None


def places_of(name_n: Sequence[str]) -> list[Place]:
    """Split and class of each film, from `CLASS/film` or `SPLIT/CLASS/film`, however deep.

    The first folder is a split when every first folder is called like one.
    """
    parts_n = [name.split("/")[:-1] for name in name_n]
    tops = {parts[0] for parts in parts_n if parts}
    if not tops or any(split_in_words(top) is None for top in tops):
        return [Place(None, parts[0] if parts else None) for parts in parts_n]
    return [
        Place(split_in_words(parts[0]) if parts else None, parts[1] if len(parts) > 1 else None)
        for parts in parts_n
    ]


def has_classes(place_n: Sequence[Place]) -> bool:
    """True when the folders are classes, one of which is known to be the negative one."""
    names = {place.class_name for place in place_n if place.class_name is not None}
    negative = {name for name in names if is_negative_class(name)}
    return bool(negative) and names > negative


def class_labels(
    class_n: Sequence[str], asked: Sequence[str]
) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """Labels, shape (n,), and what a 1 means, by finding: one for each class that is not negative.

    asked: findings; a single class is taken for a single finding, whatever its name
    """
    positive = sorted({name for name in class_n if not is_negative_class(name)})
    if len(positive) == 1 and len(asked) == 1:
        finding_of = {positive[0]: spelling(asked[0]) or asked[0]}
    else:
        finding_of = {name: spelling(name) or spelt(name) for name in positive}
    labels, meanings = {}, {}
    for finding in dict.fromkeys(finding_of.values()):
        names = [name for name in positive if finding_of[name] == finding]
        labels[finding] = np.isin(np.array(class_n), names).astype(np.float64)
        meanings[finding] = f"the film lies in the folder {' or '.join(names)}"
    return labels, meanings
