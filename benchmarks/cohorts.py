"""How long the cohorts of whole public data sets take to build, and how much memory.

Tables are those of torchxrayvision's wheel, films empty files in the published layouts. Each build
has a process to itself and is held against `pandas.read_csv` of the same table in another. Linux.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/cohorts.py
    .venv/bin/python benchmarks/cohorts.py --opacity

The second shows how often radiologists saw an airspace opacity (Majkowska et al. 2020, Radiology
294:421) in films of ChestX-ray14 with each mined finding: why `Lung Opacity` is made of which.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import published_layouts as layouts
from hilum.data.findings import NIH, NIH_OPACITIES, spelling

REPEATS = 3
LIMIT_S, LIMIT_MB = 5, 500
SETS = {
    "nih": (layouts.write_nih, layouts.NIH_TABLE),
    "rsna": (layouts.write_rsna, layouts.RSNA_TABLE),
    "chexpert": (layouts.write_chexpert, "train.csv"),
}

# VmHWM, for ru_maxrss would begin with the parent's. What imports take is measured before.
MEASURE = """
import json, re, time
from pathlib import Path
{setup}
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024
before, start = peak(), time.perf_counter()
rows = len({call})
print(json.dumps([rows, time.perf_counter() - start, peak(), peak() - before]))
"""
SETUP = """
from hilum.recipe import DataPart, ReadingPart
from hilum.data.sources.{kind} import {kind}_cohort
"""


def measured(setup: str, call: str) -> tuple[int, float, float, float]:
    """Rows, seconds, peak MiB and its growth: the fastest of fresh processes."""
    runs = []
    for _ in range(REPEATS):
        code = MEASURE.format(setup=setup, call=call)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        runs.append(json.loads(done.stdout))
    return tuple(min(runs, key=lambda run: run[1]))  # type: ignore[arg-type, return-value]


def show_builds(tables: Path) -> None:
    memory = Path("/dev/shm")  # a disk is slow to take 200,000 files
    print(f"load {os.getloadavg()[0]:.1f} before the run, fastest of {REPEATS}")
    print("source         rows  seconds  to read_csv  peak MiB  of it built")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as room:
        for kind, (write, table) in SETS.items():
            folder = write(tables, Path(room) / kind)
            build = f"{kind}_cohort(Path({str(folder)!r}), DataPart(), ReadingPart())"
            rows, seconds, peak, growth = measured(SETUP.format(kind=kind), build)
            path = str(folder / table)
            _, read_s, _, _ = measured("import pandas", f"pandas.read_csv({path!r})")
            kept = "" if seconds <= LIMIT_S and peak <= LIMIT_MB else "  over the limit"
            print(
                f"{kind:10s} {rows:8,} {seconds:8.2f} {seconds / read_s:12.1f} {peak:9.0f} "
                f"{growth:12.0f}{kept}"
            )


def show_opacity(tables: Path) -> None:
    films = pd.read_csv(tables / "google2019_nih-chest-xray-labels.csv.gz")
    seen_n = films["Airspace opacity"] == "YES"
    named_n = films["Finding Labels"].map(lambda text: {spelling(f) for f in text.split("|")})
    print(f"{len(films):,} films, an airspace opacity in {seen_n.mean():.0%} of them")
    for finding in (*NIH, "No Finding"):
        with_n = named_n.map(lambda names, finding=finding: finding in names)
        made = "  in Lung Opacity" if finding in NIH_OPACITIES else ""
        print(f"{finding:20s} {with_n.sum():6,} films {seen_n[with_n].mean():5.0%}{made}")
    derived_n = named_n.map(lambda names: bool(names & set(NIH_OPACITIES)))
    print(
        f"Lung Opacity, derived: PPV {seen_n[derived_n].mean():.2f}, sensitivity "
        f"{derived_n[seen_n].mean():.2f}, specificity {1 - derived_n[~seen_n].mean():.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--opacity", action="store_true", help="what Lung Opacity is made of")
    opacity = parser.parse_args().opacity
    tables = layouts.wheel_tables()
    if tables is None:
        sys.exit("torchxrayvision is not installed; its wheel holds the tables")
    (show_opacity if opacity else show_builds)(tables)


if __name__ == "__main__":
    main()
