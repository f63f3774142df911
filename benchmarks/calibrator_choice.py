"""What each way of choosing a calibrator costs on new images: `python calibrator_choice.py`.

Five kinds of miscalibration, several sizes of the calibrate role. Prints, per row, the excess log
loss on new images over that of the true probabilities, in thousandths of a nat: of each calibrator,
of the one with the least cross-validated loss, and of the one that `fit_calibrator` chooses.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from hilum.calibration import Calibrator, fit_calibrator

Floats = NDArray[np.float64]

KINDS = ("temperature", "platt", "beta", "isotonic")
TRUTHS: dict[str, Callable[[Floats], Floats]] = {
    "none needed": lambda z: z,
    "too bold": lambda z: z / 1.7,
    "too bold and shifted": lambda z: z / 1.5 + 0.8,
    "bent": lambda z: np.where(z < 0, 0.4 * z, 1.3 * z) + 0.3,
    "levelling off": lambda z: 3 * np.tanh(z),
}


def excess(calibrator: Calibrator, logit_n: Floats, true_n: Floats) -> float:
    """Expected log loss above that of the true probabilities, in nats."""
    prob_n = np.clip(calibrator.prob(logit_n), 1e-15, 1 - 1e-15)
    gain_n = true_n * np.log(true_n / prob_n) + (1 - true_n) * np.log((1 - true_n) / (1 - prob_n))
    return float(gain_n.mean())


def row(truth: Callable[[Floats], Floats], n: int, sets: int) -> tuple[dict[str, float], str]:
    rng = np.random.default_rng(0)
    new_n = rng.normal(1, 3, 20_000)
    true_n = expit(truth(new_n))
    lost: dict[str, list[float]] = {name: [] for name in (*KINDS, "least loss", "chosen")}
    chosen: Counter[str] = Counter()
    for _ in range(sets):
        logit_n = rng.normal(1, 3, n)
        y_n = (rng.random(n) < expit(truth(logit_n))).astype(float)
        found = fit_calibrator(logit_n, y_n, rng=rng)
        kinds = [kind for kind in KINDS if kind in found.log_loss]
        of_kind = {
            kind: excess(fit_calibrator(logit_n, y_n, kind, rng=rng).calibrator, new_n, true_n)
            for kind in kinds
        }
        for kind, value in of_kind.items():
            lost[kind].append(value)
        lost["least loss"].append(of_kind[min(kinds, key=lambda kind: found.log_loss[kind])])
        lost["chosen"].append(of_kind[found.calibrator.kind])
        chosen[found.calibrator.kind] += 1
    means = {name: 1000 * float(np.mean(values)) for name, values in lost.items() if values}
    return means, ", ".join(f"{kind} {count}" for kind, count in chosen.most_common())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=100, help="calibrate roles per row")
    sets = parser.parse_args().sets
    names = (*KINDS, "least loss", "chosen")
    print("| truth | n |" + "".join(f" {name} |" for name in names) + " what was chosen |")
    print("|---" * (len(names) + 3) + "|")
    for n in (120, 524, 3000):
        for title, truth in TRUTHS.items():
            means, kinds = row(truth, n, sets)
            cells = "".join(f" {means[name]:.1f} |" for name in names)
            print(f"| {title} | {n} |{cells} {kinds} |")
    rng = np.random.default_rng(0)
    y_n = (rng.random(112_120) < 0.05).astype(float)
    start = time.perf_counter()
    fit_calibrator(2 * y_n - 3 + rng.normal(size=len(y_n)), y_n, rng=rng)
    print(f"\nn = {len(y_n):,}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
