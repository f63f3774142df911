"""Words of hospitals' tables for views, sexes, ages, splits and labels → Hilum's own.

Each distinct value is looked at once, so a million rows cost no more than their variety.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

_UNKNOWN = frozenset(("", "unknown", "unk", "u", "nan", "na", "n/a", "null", "none", "-", "?"))
_VIEWS = {
    "PA": {"pa", "posteroanterior", "posterioranterior"},
    "AP": {"ap", "anteroposterior", "anteriorposterior"},
    # DICOM PS3.3 C.8.1.3: LL and RL are the left and right lateral.
    "LATERAL": {"lateral", "lat", "ll", "rl"},
}
_SEXES = {
    "M": {"m", "male", "man", "boy"},
    "F": {"f", "female", "woman", "girl", "w"},
    "O": {"o", "other", "diverse", "d"},
}
_SPLITS = {
    "train": {"train", "training"},
    "val": {"val", "valid", "validation", "dev"},
    "test": {"test", "testing"},
}
_PRESENT = frozenset(("1", "1.0", "true", "yes", "positive", "present"))
_ABSENT = frozenset(("0", "0.0", "false", "no", "negative", "absent"))
_NEGATIVE_CLASSES = frozenset(
    ("normal", "no finding", "no findings", "nofinding", "healthy", "control", "controls", "clear")
)
# An age as DICOM writes it, or plain years: 045Y, 6M, 63, 4.5.
_AGE = re.compile(r"(\d+(?:\.\d+)?)\s*([ymwd]?)", re.IGNORECASE)
_PER_YEAR = {"": 1.0, "y": 1.0, "m": 12.0, "w": 365.25 / 7, "d": 365.25}
_OLDEST = 120.0
_MOST_SHOWN = 8


def view_in_words(text: str) -> str | None:
    """PA, AP or LATERAL where the text names exactly one of them, else the text as it stands.

    `AP supine`, `a.p.` and `Antero-Posterior` are AP; `PA/LAT` stays.
    """
    plain = text.casefold().replace(".", "").replace("-", "")
    plain = plain.replace("antero posterior", "ap").replace("postero anterior", "pa")
    words = set(re.findall(r"[a-z]+", plain))
    named = [view for view, synonyms in _VIEWS.items() if words & synonyms]
    if len(named) == 1:
        return named[0]
    return None if plain.strip() in _UNKNOWN else text.strip()


def sex_in_words(text: str) -> str | None:
    """M, F or O; a word that is none of them as it stands."""
    plain = text.strip().casefold()
    for sex, synonyms in _SEXES.items():
        if plain in synonyms:
            return sex
    return None if plain in _UNKNOWN else text.strip()


def split_in_words(text: str) -> str | None:
    """train, val or test; None for any other word."""
    plain = text.strip().casefold()
    return next((split for split, synonyms in _SPLITS.items() if plain in synonyms), None)


def years(text: str) -> float | None:
    """An age in years; NaN where it is unknown, None where the text is no age."""
    plain = text.strip().casefold()
    if plain in _UNKNOWN:
        return np.nan
    match = _AGE.fullmatch(plain)
    if match is None:
        return None
    age = float(match[1]) / _PER_YEAR[match[2]]
    return age if age <= _OLDEST else None


def is_negative_class(text: str) -> bool:
    """True for a word by which a class of films without a finding is called."""
    plain = " ".join(re.split(r"[\s_-]+", text.strip().casefold()))
    return plain in _NEGATIVE_CLASSES or plain in _ABSENT


def labels_of(words: Sequence[str]) -> tuple[list[float | None], str | None]:
    """The labels that distinct words stand for, and the word of a class that is called by name.

    1 present, 0 absent, NaN unknown; None for a word that means none of these beside the others.
    `normal` and one other word are a negative class and a positive; 0 and 1 stand for themselves.
    """
    plain = [word.strip().casefold() for word in words]
    unknown = [word in _UNKNOWN for word in plain]
    absent = [word in _ABSENT for word in plain]
    negative = [is_negative_class(word) for word in plain]
    others = [
        i
        for i, word in enumerate(plain)
        if not (unknown[i] or negative[i] or word in _PRESENT or _is_number(word))
    ]
    # A class by name stands alone, or beside one called negative; never beside 0 and 1.
    one_class = len(others) == 1 and not any(word in _PRESENT for word in plain)
    positive = words[others[0]] if one_class else None
    labels: list[float | None] = []
    for i, word in enumerate(plain):
        if unknown[i]:
            labels.append(np.nan)
        elif absent[i] or negative[i]:
            labels.append(0.0)
        elif word in _PRESENT or (one_class and i == others[0]):
            labels.append(1.0)
        else:
            labels.append(None)
    return labels, positive.strip() if positive is not None else None


def shown(values: Sequence[object]) -> str:
    """Values for an error: of many it tells the number alone, for they may be names of persons."""
    if len(values) > _MOST_SHOWN:
        return f"{len(values):,} different values"
    return ", ".join(repr(str(value)[:40]) for value in values)


def by_value(column: pd.Series, meaning: Callable[[str], str | None]) -> pd.Series:
    """The column with each distinct value replaced by what it means, as text."""
    codes, values = pd.factorize(column)
    mapped = pd.Series([*(meaning(str(value)) for value in values), None], dtype="str")
    return pd.Series(mapped.array.take(codes), index=column.index)


def numbers_by_value(
    column: pd.Series, meaning: Callable[[str], float | None]
) -> tuple[NDArray[np.float64], list[str]]:
    """Numbers, NaN where a value is missing, shape (n,); and the values that mean none."""
    codes, values = pd.factorize(column)
    mapped = [meaning(str(value)) for value in values]
    wrong = [str(value) for value, number in zip(values, mapped, strict=True) if number is None]
    number_v = np.array([np.nan if number is None else number for number in [*mapped, None]])
    return number_v[codes], wrong


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
