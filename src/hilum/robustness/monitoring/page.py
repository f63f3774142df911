"""Page: a monitored service as one HTML file that needs no network.

What it says is `words`'; its drawings are `pictures`'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from hilum.data.appearance import ATTRIBUTES
from hilum.estimates import Estimate
from hilum.evaluation.report.blocks import Picture, Table
from hilum.robustness.monitoring.drift import Drift
from hilum.robustness.monitoring.measures import WINDOWS
from hilum.robustness.monitoring.sequential import SequentialTest
from hilum.robustness.monitoring.words import Verdict

NOTE = "Research use only: not a medical device."


def page(
    drift: Drift,
    tests: Sequence[SequentialTest],
    told: Verdict,
    shown: Sequence[Picture],
    drawings: Mapping[str, str],
    *,
    title: str,
    warnings: Sequence[str],
    synthetic: bool,
) -> str:
    """The page as HTML. drawings: SVG elements by a picture's name."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    template = environment.from_string(
        (files(__package__) / "templates" / "monitor.html").read_text(encoding="utf-8")
    )
    style = files("hilum.evaluation.report") / "templates" / "page.css"
    html: str = template.render(
        title=title,
        about=_about(drift),
        verdict=told.sentences,
        figures=_key_figures(drift),
        warnings=warnings,
        pictures=shown,
        # matplotlib has escaped what it wrote; the style is a file of this package.
        drawings={name: Markup(svg) for name, svg in drawings.items()},  # nosec B704
        tables=[*_tables(drift), *_of_tests(tests)],
        how=tuple(how(drift, tests)),
        synthetic=synthetic,
        style=Markup(style.read_text(encoding="utf-8")),  # nosec B704
        note=NOTE,
    )
    return html


def _about(drift: Drift) -> tuple[str, ...]:
    first, last = drift.reference[0].day.first, drift.reference[-1].day.last
    return (
        f"reference: {drift.n_reference:,} films, {first} to {last}",
        f"judged: {sum(day.n for day in drift.days):,} films, "
        f"{drift.days[0].day.first} to {drift.days[-1].day.last}",
        *([f"waiting: {drift.waiting} films, too few for a day"] if drift.waiting else []),
    )


def _key_figures(drift: Drift) -> Iterator[tuple[str, str, str]]:
    yield "Days with an alarm", f"{int(drift.alarmed_t.sum())}", f"of {len(drift.days)} judged"
    first = drift.first
    when = (
        "none"
        if first is None
        else str(drift.days[first].day.first).replace("-", "\N{NON-BREAKING HYPHEN}")
    )
    by = "no statistic above its limit" if first is None else drift.alarms(first)[0].statistic
    yield "First alarm", when, by
    yield "Moved most", (drift.moved or "nothing").replace("_", " "), "of how films look"
    last = drift.days[-1]
    yield "Referred", f"{last.referred.value or 0:.0%}", f"on {last.day}, {last.n} films"


def _tables(drift: Drift) -> Iterator[Table]:
    rows = []
    for t, day in enumerate(drift.days):
        alarms = drift.alarms(t)
        if alarms:
            rows.append(
                (
                    str(day.day),
                    f"{day.n}",
                    ", ".join(f"{a.statistic} ({a.times:.1f}; {a.window} d)" for a in alarms),
                )
            )
    if rows:
        caption = "Alarms: statistics above their limits, as multiples of them, and days pooled"
        yield Table(caption, ("day", "films", "statistics"), tuple(rows), words=(0, 2))
    n = np.array([day.n for day in drift.days])
    largest_wj = drift.times_twj.max(axis=0)
    yield Table(
        "Each statistic: the most it ever was, as a multiple of its limit",
        ("statistic", *(f"{w} day{'s' * (w > 1)}" for w in WINDOWS), "limit for 3 typical days"),
        tuple(
            (
                name,
                *(f"{max(0.0, largest_wj[w, j]):.2f}" for w in range(len(WINDOWS))),
                f"{drift.limit_twj[int(np.argsort(n)[len(n) // 2]), 1, j]:.3g}",
            )
            for j, name in enumerate(drift.names)
        ),
    )
    yield Table(
        "Days: how films looked, and what became of them",
        ("day", "films", *(f"called: {f}" for f in drift.findings), "referred",
         *(name.replace("_", " ") for name in ATTRIBUTES)),
        tuple(
            (
                str(day.day),
                f"{day.n}",
                *(_share(day.called[f]) for f in drift.findings),
                _share(day.referred),
                *(f"{day.attribute[name]:.3f}" for name in ATTRIBUTES),
            )
            for day in drift.days
        ),
    )  # fmt: skip


def _of_tests(tests: Sequence[SequentialTest]) -> Iterator[Table]:
    if tests:
        yield Table(
            "Late labels: what was claimed, and what was found",
            ("figure", "claimed, at least", "found", "labelled", "evidence", "rejected"),
            tuple(
                (
                    f"{each.figure}, {each.finding}",
                    "–" if each.claimed is None else f"{each.claimed:.3f}",
                    each.found.in_brief(),
                    f"{each.found.n:,}",
                    f"{each.evidence_t[-1]:.3g}" if len(each.evidence_t) else each.reason or "–",
                    f"{each.rejected}" if each.rejected is not None else "no",
                )
                for each in tests
            ),
            words=(0, 2),
        )


def how(drift: Drift, tests: Sequence[SequentialTest]) -> Iterator[str]:
    """How alarms are raised, in sentences."""
    limits = drift.limits
    yield (
        "Every day, and the last 3 and 7 days together, are held against the reference: the "
        "Kolmogorov-Smirnov distance and the population stability index of each score, the "
        "Kolmogorov-Smirnov distance of each attribute of how films look, the maximum mean "
        "discrepancy of feature summaries, and the share of films referred."
    )
    yield (
        f"Limits are set before the first day is judged, by {limits.runs:,} simulated services of "
        f"{limits.horizon} days, drawn from the reference: in {limits.exceeded:.1%} of them any "
        "statistic of any window rises above its limit on any day. Correction for many "
        "statistics, many windows and many days is in that."
    )
    effect = limits.effect
    yield (
        f"The reference days differ from one another more than few films explain (p = "
        f"{effect.p:.3f}), so each simulated day leans its own way, as far as those do."
        if effect.share > 0
        else "The reference days differ no more than few films explain "
        f"(p = {effect.p:.2f}), so simulated days are drawn from all of them."
    )
    if tests:
        yield (
            "Late labels: a betting test of the lower limit that the bundle claims for its "
            f"deployed point; it may be looked at every day. A claim falls at evidence of "
            f"{tests[0].limit:.0f}; with all claims true, one falls with a chance of 5 % at most. "
            "Referred films are left out, and films of one patient are counted one by one."
        )


def _share(share: Estimate) -> str:
    return "–" if share.value is None else f"{share.value:.0%}"
