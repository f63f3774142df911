"""Records of a service that tests make for themselves: no film, only what is written of films."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from hilum.data.appearance import ATTRIBUTES
from hilum.robustness.monitoring.record import FindingAnswer, Line
from hilum.robustness.monitoring.summary import NUMBERS

START = datetime(2026, 3, 2, 8, tzinfo=UTC)
BUNDLE = "ab" * 32


def made_lines(
    rng: np.random.Generator,
    days: Sequence[int],
    *,
    first: int = 0,
    shift: float = 0.0,
    day_sd: float = 0.0,
    referred: float = 0.0,
    bundle: str = BUNDLE,
) -> list[Line]:
    """Lines of days of so many films, normal in everything.

    first: number of the first day; shift: of exposure, in standard deviations; day_sd: of a shift
    of exposure that each day has of its own
    """
    lines = []
    for day, n in enumerate(days):
        own = shift + day_sd * rng.standard_normal()
        for i in range(n):
            look = dict(zip(ATTRIBUTES, 0.5 + 0.1 * rng.standard_normal(5), strict=True))
            look["exposure"] += 0.1 * own
            logit = float(rng.normal(0, 2))
            seed = f"{rng.integers(1 << 60)} {day} {i}"
            lines.append(
                Line(
                    time=START + timedelta(days=first + day, minutes=i),
                    bundle=bundle,
                    input=hashlib.sha256(seed.encode()).hexdigest(),
                    findings={
                        "Pneumonia": FindingAnswer(
                            logit=logit, prob=1 / (1 + np.exp(-logit)), decision=int(logit > 0)
                        )
                    },
                    refer="gate" if rng.random() < referred else None,
                    appearance=look,
                    feature=tuple(rng.standard_normal(NUMBERS)),
                )
            )
    return lines
