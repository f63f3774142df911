"""Days: the record as arrays, and the days that hold enough films to be judged.

What a day is held against is left to `measures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.data.appearance import ATTRIBUTES
from hilum.robustness.monitoring.record import Line


@dataclass(frozen=True)
class Stream:
    """Answered films by time, each once.

    date_n: UTC; digest_n: of the films; refer_n: why a film was referred, None where it was not
    feature_nk: summaries; attribute_na: columns as in ATTRIBUTES
    """

    findings: tuple[str, ...]
    date_n: NDArray[np.datetime64]
    digest_n: NDArray[np.object_]
    logit_nf: NDArray[np.float64]
    prob_nf: NDArray[np.float64]
    called_nf: NDArray[np.bool_]
    refer_n: NDArray[np.object_]
    attribute_na: NDArray[np.float64]
    feature_nk: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.date_n)

    @property
    def referred_n(self) -> NDArray[np.bool_]:
        return np.array([reason is not None for reason in self.refer_n], dtype=np.bool_)

    def rows(self, row_n: NDArray[np.intp]) -> Stream:
        """The films at these positions."""
        return Stream(
            self.findings,
            *(
                getattr(self, name)[row_n]
                for name in ("date_n", "digest_n", "logit_nf", "prob_nf", "called_nf", "refer_n",
                             "attribute_na", "feature_nk")
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class Day:
    """A day that can be judged: one of the calendar, or several that were pooled.

    row_n: positions of its films in the stream
    """

    first: np.datetime64
    last: np.datetime64
    row_n: NDArray[np.intp]

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


def stream_of(lines: Sequence[Line], findings: Sequence[str]) -> Stream:
    """Lines as arrays; a film that was answered again counts once, the first time."""
    first: dict[str, Line] = {}
    for line in sorted(lines, key=lambda line: line.time):
        first.setdefault(line.input, line)
    kept = list(first.values())
    answers = [[line.findings[f] for f in findings] for line in kept]

    def table(values: list[list[float]]) -> NDArray[np.float64]:
        return np.array(values, dtype=np.float64)

    return Stream(
        tuple(findings),
        np.array([line.time.replace(tzinfo=None) for line in kept], dtype="datetime64[D]"),
        np.array([line.input for line in kept], dtype=object),
        table([[each.logit for each in row] for row in answers]),
        table([[each.prob for each in row] for row in answers]),
        np.array([[each.decision == 1 for each in row] for row in answers], dtype=np.bool_),
        np.array([line.refer for line in kept], dtype=object),
        table([[line.appearance[name] for name in ATTRIBUTES] for line in kept]),
        table([list(line.feature) for line in kept]),
    )


def days_of(stream: Stream, least: int) -> tuple[list[Day], int]:
    """Days of `least` films or more, and how many films at the end wait for more of them.

    A day of the calendar with fewer is pooled with those that follow it until they are enough.
    """
    days: list[Day] = []
    waiting: list[int] = []
    dates, start_n = np.unique(stream.date_n, return_index=True)
    for rows in np.split(np.arange(len(stream)), start_n[1:]) if len(dates) else []:
        waiting += rows.tolist()
        if len(waiting) >= least:
            date_w = stream.date_n[waiting]
            days.append(Day(date_w[0], date_w[-1], np.array(waiting, dtype=np.intp)))
            waiting = []
    return days, len(waiting)
