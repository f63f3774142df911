"""Words: what a monitored service is told, and what to do about it.

Figures are `drift`'s and `sequential`'s; where the words stand, the report's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hilum.robustness.monitoring.drift import Alarm, Drift
from hilum.robustness.monitoring.sequential import SequentialTest

TO_DO: Mapping[str, str] = {
    "exposure": "ask for changes of dose, exposure control or look-up table, and for new units",
    "contrast": "ask for changes of voltage, grid, look-up table or processing, and for new units",
    "sharpness": "look for motion, another detector, another compression or processing",
    "field_of_view": "look for other collimation, black margins or another crop",
    "noise": "look for a lower dose, another detector, another compression or processing",
}
_REFUSALS = "look at the referred films: what reached the gate is not what reached it before"
_SCORES = (
    "the films look as before, yet scores do not: ask whether other patients are sent, and how "
    "many have the finding"
)
_FEATURES = "look at films of these days: views, ages, devices or sites that were not there before"
_LABELS = (
    "Then label a few hundred films of the new days, and run hilum evaluate on them: drift says "
    "that films have changed, not that answers are wrong."
)


@dataclass(frozen=True)
class Verdict:
    """state: quiet, drift, or drift that is over; sentences: the verdict first, what to do last."""

    state: str
    sentences: tuple[str, ...]


def verdict(drift: Drift, tests: Sequence[SequentialTest] = ()) -> Verdict:
    """What moved, since when, and what to do."""
    failed = [each for each in tests if each.rejected is not None]
    fallen = tuple(
        f"The {each.figure} for {each.finding} has fallen below the claimed {each.claimed:.3f}: "
        f"rejected on {each.rejected}, {each.found.in_words()} on {each.found.n:,} labelled films."
        for each in failed
    )
    about = f"{len(drift.days)} days, {drift.days[0].day.first} to {drift.days[-1].day.last}"
    chance = (
        f"{drift.limits.exceeded:.1%} of quiet services raise any alarm in "
        f"{drift.limits.horizon} days"
    )
    if drift.first is None:
        told = f"Quiet: in {about}, no statistic rose above its limit ({chance})."
        advice = ("Take the bundle out of use, or choose its point anew.",) if failed else ()
        return Verdict("quiet", (told, *fallen, *advice))
    first, alarms = drift.days[drift.first], drift.alarms(drift.first)
    since = int(drift.alarmed_t[drift.first :].sum())
    still = bool(drift.alarmed_t[-1])
    kept = f"on {since} of the {len(drift.days) - drift.first} days from then on"
    start = (
        f"Drift since {first.day}"
        if still
        else f"Drift from {first.day} to {_last_alarm(drift)}, quiet since"
    )
    more = len(alarms) - 1
    others = f", with {more} more statistic{'s' * (more > 1)}" if more else ""
    told = (
        f"{start}: first by {_in_words(alarms[0])}{others}; something was above its limit {kept} "
        f"({chance})."
    )
    return Verdict(
        "drift" if still else "drift, over", (told, *_moved(drift), *fallen, *_to_do(drift))
    )


def _last_alarm(drift: Drift) -> str:
    return str(drift.days[int(np.flatnonzero(drift.alarmed_t)[-1])].day)


def _in_words(alarm: Alarm) -> str:
    over = "a day" if alarm.window == 1 else f"{alarm.window} days together"
    return f"{alarm.statistic} over {over}, {alarm.value:.3g} against a limit of {alarm.limit:.3g}"


def _moved(drift: Drift) -> tuple[str, ...]:
    if drift.moved is None:
        return ("No attribute of how films look has moved beyond its limit.",)
    name = drift.moved
    before = np.average(
        [day.attribute[name] for day in drift.reference], weights=[d.n for d in drift.reference]
    )
    days = [day for day, on in zip(drift.days, drift.alarmed_t, strict=True) if on]
    now = np.average([day.attribute[name] for day in days], weights=[d.n for d in days])
    shift = np.average([day.shift[name] for day in days], weights=[d.n for d in days])
    return (
        f"Moved most: {name.replace('_', ' ')}, {before:.3g} in the reference and {now:.3g} on "
        f"days with an alarm ({shift:+.1f} standard deviations of a film).",
    )


def _to_do(drift: Drift) -> tuple[str, ...]:
    assert drift.first is not None
    names = [name for name, times_t in drift.furthest.items() if (times_t[drift.first :] > 1).any()]
    steps = []
    if drift.moved is not None:
        steps.append(TO_DO[drift.moved])
    if "refusal rate" in names:
        steps.append(_REFUSALS)
    if not steps:
        steps.append(_SCORES if any("score" in name for name in names) else _FEATURES)
    return (f"What to do: {'; '.join(steps)}. {_LABELS}",)
