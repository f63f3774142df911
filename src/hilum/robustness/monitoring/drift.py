"""Drift: each day of a service against its reference, by limits set before the first of them.

How days are measured is left to `measures`, and what is said of the result to `words`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hilum.data.appearance import ATTRIBUTES
from hilum.errors import DataError
from hilum.estimates import Estimate, wilson
from hilum.robustness.monitoring.days import Day, Stream, days_of
from hilum.robustness.monitoring.limits import Limits, day_effect, limits_of
from hilum.robustness.monitoring.measures import WINDOWS, Yardstick, distances, growth, tally

LEAST = 20  # films of a day that can be judged
LEAST_REFERENCE = (100, 5)  # films and days
HORIZON, SHARE, RUNS = 60, 0.05, 1000

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Alarm:
    """A statistic above its limit. times: of the limit; window: days pooled."""

    statistic: str
    window: int
    value: float
    limit: float
    times: float


@dataclass(frozen=True)
class DayFigures:
    """What is known of the films of a day, whatever they are held against.

    score: finding → 10th, 50th and 90th percentile of the probability
    attribute: name → mean; shift: the same less the reference's mean, in its standard deviations
    """

    day: Day
    n: int
    referred: Estimate
    called: Mapping[str, Estimate]
    score: Mapping[str, tuple[float, float, float]]
    attribute: Mapping[str, float]
    shift: Mapping[str, float]


@dataclass(frozen=True)
class Drift:
    """Days of a service against its reference.

    names: of the statistics; times_twj: each as a multiple of its limit, by day, window and name
    value_twj: each as it is; limit_twj: its limit for as many films as the window has
    waiting: films at the end that are too few to be judged
    """

    findings: tuple[str, ...]
    reference: tuple[DayFigures, ...]
    days: tuple[DayFigures, ...]
    names: tuple[str, ...]
    value_twj: NDArray[np.float64]
    limit_twj: NDArray[np.float64]
    times_twj: NDArray[np.float64]
    limits: Limits
    waiting: int

    @property
    def n_reference(self) -> int:
        return sum(day.n for day in self.reference)

    def alarms(self, t: int) -> tuple[Alarm, ...]:
        """What stood above its limit on day t, the furthest first; a statistic once."""
        found = []
        for j, name in enumerate(self.names):
            w = int(np.argmax(self.times_twj[t, :, j]))
            times = float(self.times_twj[t, w, j])
            if times > 1:
                value, limit = self.value_twj[t, w, j], self.limit_twj[t, w, j]
                found.append(Alarm(name, WINDOWS[w], float(value), float(limit), times))
        return tuple(sorted(found, key=lambda alarm: -alarm.times))

    @property
    def alarmed_t(self) -> NDArray[np.bool_]:
        """Days on which anything stood above its limit."""
        return np.asarray((self.times_twj > 1).any(axis=(1, 2)))

    @property
    def furthest(self) -> dict[str, NDArray[np.float64]]:
        """By statistic, the multiple of its limit on each day, of the window that is furthest;
        0 where a statistic is below 0."""
        most_tj = self.times_twj.max(axis=1).clip(min=0)
        return {name: most_tj[:, j] for j, name in enumerate(self.names)}

    @property
    def first(self) -> int | None:
        """The first day with an alarm."""
        return int(np.argmax(self.alarmed_t)) if self.alarmed_t.any() else None

    @property
    def moved(self) -> str | None:
        """The attribute that lies furthest beyond its limit since the first alarm; None where none
        does."""
        if self.first is None:
            return None
        start = len(self.findings)
        times_a = self.times_twj[self.first :, :, start : start + len(ATTRIBUTES)].max(axis=(0, 1))
        return tuple(ATTRIBUTES)[int(np.argmax(times_a))] if times_a.max() > 1 else None


@dataclass(frozen=True)
class Watch:
    """A reference, and limits that were set from it before any later day is judged.

    films: of the reference's days, in their order
    """

    films: Stream
    days: tuple[Day, ...]
    yardstick: Yardstick
    limits: Limits
    least: int

    def judge(self, later: Stream) -> Drift:
        """Hold every later day, and the last few together, against the reference.

        Raises DataError when no later day can be judged.
        """
        judged, waiting = judged_days(later, self.least)
        row_m = np.concatenate([day.row_n for day in judged])
        day_m = np.repeat(np.arange(len(judged)), [len(day.row_n) for day in judged])
        by_day = tally(self.yardstick.coded(later), row_m, day_m, len(judged))
        n = len(self.films)
        coded = self.yardstick.coded(self.films)
        reference = tally(coded, np.arange(n), np.zeros(n, dtype=np.intp), 1)
        times, values, allowed = [], [], []
        for limit_j, window in zip(self.limits.limit_wj, WINDOWS, strict=True):
            pooled = by_day.over(window)
            grown_tj = distances(reference, pooled)
            growth_tj = growth(n, pooled.n_t, len(coded.step_sn), len(coded.decile_fn))
            times.append(grown_tj / limit_j)
            values.append(grown_tj / growth_tj)
            allowed.append(limit_j / growth_tj)
        mean_a = self.films.attribute_na.mean(axis=0)
        sd_a = self.films.attribute_na.std(axis=0)
        return Drift(
            self.films.findings,
            tuple(_figures(self.films, day, mean_a, sd_a) for day in self.days),
            tuple(_figures(later, day, mean_a, sd_a) for day in judged),
            self.yardstick.names,
            np.stack(values, axis=1),
            np.stack(allowed, axis=1),
            np.stack(times, axis=1),
            self.limits,
            waiting,
        )


def watch(
    reference: Stream,
    *,
    rng: np.random.Generator,
    least: int = LEAST,
    share: float = SHARE,
    horizon: int = HORIZON,
    runs: int = RUNS,
    progress: Progress = lambda done, total: None,
) -> Watch:
    """Set limits from quiet days.

    least: films of a day that can be judged; fewer are pooled with the days that follow
    share: of quiet runs of `horizon` days that have any alarm; runs: how many are simulated
    Raises DataError when the reference is too small.
    """
    days, rest = days_of(reference, least)
    films = len(reference) - rest
    if films < LEAST_REFERENCE[0] or len(days) < LEAST_REFERENCE[1]:
        raise DataError(
            "the reference",
            f"{films:,} films on {len(days)} days of {least} films or more",
            expected=f"{LEAST_REFERENCE[0]} films on {LEAST_REFERENCE[1]} days, or more",
            remedy="take more days with --reference-days, or pool fewer films with --least",
        )
    reference = reference.rows(np.arange(films))
    yardstick = Yardstick.of(reference, rng)
    rows = [day.row_n for day in days]
    limits = limits_of(
        yardstick.coded(reference),
        rows,
        day_effect(reference, rows, rng),
        share=share,
        horizon=horizon,
        runs=runs,
        rng=rng,
        progress=progress,
    )
    return Watch(reference, tuple(days), yardstick, limits, least)


def judged_days(later: Stream, least: int) -> tuple[list[Day], int]:
    """`days_of` what is to be judged. Raises DataError when there is no day of it."""
    days, waiting = days_of(later, least)
    if not days:
        raise DataError(
            "the record",
            f"{waiting:,} films after the reference",
            expected=f"{least} or more",
            remedy="wait for more, or take fewer days with --reference-days",
        )
    return days, waiting


def first_days(stream: Stream, days: int) -> tuple[Stream, Stream]:
    """The films of the first so many days of the calendar, and those after."""
    early_n = stream.date_n < stream.date_n[0] + np.timedelta64(days, "D")
    return stream.rows(np.flatnonzero(early_n)), stream.rows(np.flatnonzero(~early_n))


def _figures(
    films: Stream, day: Day, mean_a: NDArray[np.float64], sd_a: NDArray[np.float64]
) -> DayFigures:
    of_day = films.rows(day.row_n)
    n = len(of_day)
    now_a = of_day.attribute_na.mean(axis=0)
    shift_a = np.divide(now_a - mean_a, sd_a, out=np.zeros_like(sd_a), where=sd_a > 0)
    return DayFigures(
        day,
        n,
        wilson(int(of_day.referred_n.sum()), n),
        {f: wilson(int(of_day.called_nf[:, k].sum()), n) for k, f in enumerate(films.findings)},
        {
            f: _three(np.quantile(of_day.prob_nf[:, k], (0.1, 0.5, 0.9)))
            for k, f in enumerate(films.findings)
        },
        dict(zip(ATTRIBUTES, now_a.tolist(), strict=True)),
        dict(zip(ATTRIBUTES, shift_a.tolist(), strict=True)),
    )


def _three(values: Sequence[float] | NDArray[np.floating]) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in values)
    return low, middle, high
