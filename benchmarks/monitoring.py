"""How soon `hilum monitor` finds drift on the phantom, and how often it cries wolf.

    hilum train pneumoniamnist --set data.source=phantom@64 --quick --out models/phantom
    python benchmarks/monitoring.py models/phantom --quiet 100 --runs 10

14 reference days of 40 films, then 60 days; in runs with drift every film is drifted from day 30
on. No film stands twice in a run: days are drawn without replacement from 6,000 films of the
phantom, drifted days from 800 others. Found in time is a first alarm on day 30, 31, 32 or 33.
"""

from __future__ import annotations

import argparse
import hashlib
import time
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
from hilum.robustness.monitoring.drift import Drift, drift
from hilum.robustness.monitoring.record import lines_of

REFERENCE, DAYS, BEGINS, FILMS = 14, 60, 30, 40
IN_TIME = 3  # days after the first drifted one
PREVALENCE = 0.6
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
    "dose: 0.4 doublings too few": lambda: faulty(films(800, 201), "under_exposure", 1),
    "dose: 0.8 doublings too few": lambda: faulty(films(800, 202), "under_exposure", 2),
    "dose: 0.4 doublings too many": lambda: faulty(films(800, 203), "over_exposure", 1),
    "dose: 0.8 doublings too many": lambda: faulty(films(800, 204), "over_exposure", 2),
    "blur, severity 1": lambda: faulty(films(800, 205), "blur", 1),
    "blur, severity 3": lambda: faulty(films(800, 206), "blur", 3),
    "blur, severity 5": lambda: faulty(films(800, 207), "blur", 5),
    "quantum noise, severity 2": lambda: faulty(films(800, 213), "quantum_noise", 2),
    "another site": lambda: films(800, 208, sites=ELSEWHERE),
    "all films from site A": lambda: films(800, 209, sites=DEFAULT_SITES[:1]),
    "prevalence 0.60 to 0.75": lambda: films(800, 210, prevalence=0.75),
    "prevalence 0.60 to 0.90": lambda: films(800, 211, prevalence=0.90),
    "prevalence 0.60 to 0.30": lambda: films(800, 212, prevalence=0.30),
}


def drawn_days(pool: Pool, days: int, rng: np.random.Generator, *, uneven: float) -> NDArray[np.intp]:
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


def one_run(
    base: Pool, drifted: Pool | None, seed: int, *, uneven: float = 0.0, simulations: int = 1000
) -> Drift:
    rng = np.random.default_rng(seed)
    quiet = DAYS if drifted is None else BEGINS
    row_df = drawn_days(base, REFERENCE + quiet, rng, uneven=uneven)
    reference = dated(base, row_df[:REFERENCE], 0)
    later = dated(base, row_df[REFERENCE:], REFERENCE)
    if drifted is not None:
        after = drawn_days(drifted, IN_TIME + 1, rng, uneven=0.0)
        later = joined(later, dated(drifted, after, REFERENCE + BEGINS))
    return drift(reference, later, rng=rng, runs=simulations)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle")
    parser.add_argument("--runs", type=int, default=10, help="of each kind of drift")
    parser.add_argument("--quiet", type=int, default=100, help="runs without drift")
    parser.add_argument("--films", type=int, default=6000, help="in the pool")
    parser.add_argument("--simulations", type=int, default=1000)
    options = parser.parse_args()
    bundle = load_bundle(options.bundle)
    base = pool_of(bundle, films(options.films, 200), "base")
    began = time.perf_counter()
    for name, uneven in (("quiet", 0.0), ("quiet, each day its own mix of sites", 0.5)):
        found = [
            one_run(base, None, seed, uneven=uneven, simulations=options.simulations)
            for seed in range(options.quiet)
        ]
        alarmed = sum(each.first is not None for each in found)
        by = [each.alarms(each.first)[0].statistic for each in found if each.first is not None]
        differ = np.mean([each.limits.effect.weight > 0 for each in found])
        print(
            f"{name}: {alarmed} of {len(found)} runs with any alarm in {DAYS} days; "
            f"days taken to differ in {differ:.0%}; by {', '.join(by) or 'none'}",
            flush=True,
        )
    print(f"{(time.perf_counter() - began) / max(1, 2 * options.quiet):.1f} s a run")
    for name, make in DRIFTS.items():
        drifted = pool_of(bundle, make(), name)
        found = [
            one_run(base, drifted, 1000 + seed, simulations=options.simulations)
            for seed in range(options.runs)
        ]
        early = sum(each.first is not None and each.first < BEGINS for each in found)
        first = [each.first for each in found if each.first is not None and each.first >= BEGINS]
        by = [each.alarms(each.first)[0].statistic for each in found if each.first is not None]
        moved = sorted({str(each.moved) for each in found if each.first is not None})
        print(
            f"{name}: found in time {len(first)} of {len(found)}, on days {sorted(first)}, "
            f"false before {early}; first by {', '.join(sorted(set(by))) or '-'}; "
            f"moved most {', '.join(moved) or '-'}",
            flush=True,
        )


if __name__ == "__main__":
    main()
