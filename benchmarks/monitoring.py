"""How soon `hilum monitor` finds drift on the phantom, and how often it cries wolf.

    hilum train pneumoniamnist --set data.source=phantom@64 --quick --out models/phantom
    python benchmarks/monitoring.py models/phantom drift --runs 10
    python benchmarks/monitoring.py models/phantom quiet --runs 100
    python benchmarks/monitoring.py models/phantom uneven --runs 30

14 reference days of 40 films, then 60 days; in runs with drift every film is drifted from day 30
on. No film stands twice in a run: days are drawn without replacement from 6,000 films of the
phantom, drifted days from 500 others. Found in time is a first alarm on day 30, 31, 32 or 33.
"""

from __future__ import annotations

import argparse
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from hilum.bundle import Bundle, load_bundle
from hilum.data.cohort import Cohort
from hilum.data.faults import FaultyPixels
from hilum.data.phantom.sites import DEFAULT_SITES, Site
from hilum.data.sources.phantom import phantom_cohort
from hilum.observing import observe
from hilum.robustness.corruptions import CORRUPTIONS
from hilum.robustness.monitoring.days import Stream, stream_of
from hilum.robustness.monitoring.drift import Watch, watch
from hilum.robustness.monitoring.record import lines_of

REFERENCE, DAYS, BEGINS, FILMS = 14, 60, 30, 40
IN_TIME = 3  # days after the first drifted one
PREVALENCE = 0.6
UNEVEN = 0.1  # a day's mix of the four sites: a Dirichlet of 10 in sum, about their shares
SIDE = 64  # pixels of a phantom film
ELSEWHERE = (
    Site("E", ap_share=0.2, exposure=-0.12, contrast=0.85, noise=0.02, scatter=0.2, border=0.03),
)


@dataclass(frozen=True)
class Pool:
    """Films that days are drawn from, as a service would have recorded them."""

    stream: Stream
    label_n: NDArray[np.float64]
    site_n: NDArray[np.object_]


def films(
    n: int, seed: int, *, prevalence: float = PREVALENCE, sites: Sequence[Site] | None = None
) -> Cohort:
    return phantom_cohort(
        n, size=SIDE, seed=seed, sites=sites, prevalence=prevalence, test_prevalence=prevalence
    )


def faulty(cohort: Cohort, fault: str, severity: int) -> Cohort:
    return replace(cohort, pixels=FaultyPixels(cohort.pixels, CORRUPTIONS[fault], severity))


def pool_of(bundle: Bundle, cohort: Cohort, name: str) -> Pool:
    observed = observe(bundle, cohort)
    digests = [hashlib.sha256(f"{name} {i}".encode()).hexdigest() for i in range(len(cohort))]
    lines = lines_of(bundle, observed, digests, datetime(2026, 1, 1, tzinfo=UTC))
    table = cohort.table
    return Pool(
        stream_of(lines, bundle.findings),
        table["label_pneumonia"].to_numpy(dtype=np.float64),
        table["site"].to_numpy(dtype=object),
    )


DRIFTS: dict[str, Callable[[], Cohort]] = {
    "dose: 0.4 doublings too few": lambda: faulty(films(500, 201), "under_exposure", 1),
    "dose: 0.8 doublings too few": lambda: faulty(films(500, 202), "under_exposure", 2),
    "dose: 0.4 doublings too many": lambda: faulty(films(500, 203), "over_exposure", 1),
    "dose: 0.8 doublings too many": lambda: faulty(films(500, 204), "over_exposure", 2),
    "blur, severity 1": lambda: faulty(films(500, 205), "blur", 1),
    "blur, severity 3": lambda: faulty(films(500, 206), "blur", 3),
    "blur, severity 5": lambda: faulty(films(500, 207), "blur", 5),
    "quantum noise, severity 2": lambda: faulty(films(500, 213), "quantum_noise", 2),
    "another site": lambda: films(500, 208, sites=ELSEWHERE),
    "all films from site A": lambda: films(500, 209, sites=DEFAULT_SITES[:1]),
    "prevalence 0.60 to 0.75": lambda: films(500, 210, prevalence=0.75),
    "prevalence 0.60 to 0.90": lambda: films(500, 211, prevalence=0.90),
    "prevalence 0.60 to 0.30": lambda: films(500, 212, prevalence=0.30),
}


def drawn_days(
    pool: Pool, days: int, rng: np.random.Generator, *, uneven: float
) -> NDArray[np.intp]:
    """Films of `days` days, none twice, shape (days, FILMS).

    uneven: 0 draws by lot; above it, each day has its own mix of sites, from a Dirichlet
        distribution about the pool's with 1 / uneven as the sum of its parameters
    """
    if uneven == 0:
        return rng.permutation(len(pool.label_n))[: days * FILMS].reshape(days, FILMS)
    names, count_s = np.unique(pool.site_n, return_counts=True)
    waiting = {name: list(rng.permutation(np.flatnonzero(pool.site_n == name))) for name in names}
    rows = []
    for _ in range(days):
        mix_s = rng.dirichlet(count_s / count_s.sum() / uneven)
        for name in rng.choice(names, FILMS, p=mix_s):
            rows.append((waiting[name] or waiting[names[np.argmax(count_s)]]).pop())
    return np.array(rows).reshape(days, FILMS)


def dated(pool: Pool, row_df: NDArray[np.intp], first: int) -> Stream:
    stream = pool.stream.rows(row_df.ravel())
    day_n = np.repeat(np.arange(len(row_df)) + first, row_df.shape[1])
    date_n = np.datetime64("2026-01-01") + day_n.astype("timedelta64[D]")
    return replace(stream, date_n=date_n)


def joined(a: Stream, b: Stream) -> Stream:
    columns = {
        name: np.concatenate([getattr(a, name), getattr(b, name)])
        for name in vars(a)
        if name != "findings"
    }
    return Stream(a.findings, **columns)


def served(
    base: Pool, seed: int, days: int, *, uneven: float, simulations: int
) -> tuple[Watch, Stream]:
    """Limits from the reference days of a run, and its quiet days after them."""
    rng = np.random.default_rng(seed)
    row_df = drawn_days(base, REFERENCE + days, rng, uneven=uneven)
    limits = watch(dated(base, row_df[:REFERENCE], 0), rng=rng, runs=simulations)
    return limits, dated(base, row_df[REFERENCE:], REFERENCE)


def quiet_runs(base: Pool, options: argparse.Namespace, uneven: float) -> None:
    first, differ = [], 0
    for seed in range(options.runs):
        limits, later = served(base, seed, DAYS, uneven=uneven, simulations=options.simulations)
        found = limits.judge(later)
        differ += limits.limits.effect.share > 0
        if found.first is not None:
            first.append(f"{found.alarms(found.first)[0].statistic}, day {found.first}")
    print(
        f"{options.what}: {len(first)} of {options.runs} runs with any alarm in {DAYS} days "
        f"({'; '.join(first) or 'none'}); reference days taken to differ in {differ}"
    )


def drifting_runs(bundle: Bundle, base: Pool, options: argparse.Namespace) -> None:
    runs = [
        served(base, 1000 + seed, BEGINS, uneven=0.0, simulations=options.simulations)
        for seed in range(options.runs)
    ]
    for name, make in DRIFTS.items():
        pool, first, before, by, moved = pool_of(bundle, make(), name), [], 0, [], []
        for seed, (limits, quiet) in enumerate(runs):
            rng = np.random.default_rng((seed, 1))
            after = drawn_days(pool, IN_TIME + 1, rng, uneven=0.0)
            found = limits.judge(joined(quiet, dated(pool, after, REFERENCE + BEGINS)))
            if found.first is None:
                continue
            before += found.first < BEGINS
            if found.first >= BEGINS:
                first.append(found.first)
                by.append(found.alarms(found.first)[0].statistic)
                moved.append(str(found.moved))
        print(
            f"{name}: found in time in {len(first)} of {len(runs)}, on days {sorted(first)}; "
            f"alarm before in {before}; first by {in_counts(by)}; moved most: {in_counts(moved)}",
            flush=True,
        )


def in_counts(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {n}" for name, n in Counter(names).most_common()) or "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("what", choices=["drift", "quiet", "uneven"])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--simulations", type=int, default=300)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    base = pool_of(bundle, films(6000, 200), "base")
    if options.what == "drift":
        drifting_runs(bundle, base, options)
    else:
        quiet_runs(base, options, UNEVEN if options.what == "uneven" else 0.0)


if __name__ == "__main__":
    main()
