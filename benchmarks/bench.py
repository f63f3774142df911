"""The quick benchmarks, one after another, beside the ratios that are on record: `make bench`.

python benchmarks/bench.py                  once each, beside recorded.json; into latest.json
python benchmarks/bench.py --busy           other work on the machine: one thread, processor time
python benchmarks/bench.py --runs 3 --busy --record     write recorded.json anew
python benchmarks/bench.py phantom shards   some of them

Ratios alone are compared: they travel from machine to machine, times do not. A ratio is marked
where it lies further from the recorded one than twice the recorded spread, and more than a fifth.
Each script is a benchmark of its own, and what it measures is its own. Films are those of
HILUM_DATA, where that is set.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LATEST, RECORDED = HERE / "latest.json", HERE / "recorded.json"
# About ten minutes of one core together. What else a script can do stands in its docstring.
QUICK: dict[str, tuple[str, ...]] = {
    "evaluation": ("evaluation.py", "--page"),
    "dicom_decoders": ("dicom_decoders.py",),
    "phantom": ("phantom.py",),
    "shards": ("shards.py", "--films", "32"),
    "reading": ("reading.py", "--rounds", "3"),
}
NEEDS_DATA = ("dicom_decoders",)
VERSIONS = ("numpy", "scipy", "scikit-learn", "pillow", "pydicom", "openvino", "torch")


def ratios(name: str, busy: bool, seen: Path) -> dict[str, float]:
    """Run one benchmark and return what it says, by name."""
    script, *flags = QUICK[name]
    command = [sys.executable, HERE / script, *flags, "--json", seen]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} if busy else {}
    if busy:
        command.append("--busy")
    print(f"\n## {' '.join([script, *flags])}", flush=True)
    subprocess.run(command, check=True, env=os.environ | threads)
    found: dict[str, float] = json.loads(seen.read_text(encoding="utf-8"))
    return found


def commit() -> str:
    """Commit of the tree, with a + where source or benchmarks differ from it."""
    asked = ["git", "rev-parse", "--short=7", "HEAD"]
    found = subprocess.run(asked, cwd=HERE, capture_output=True, text=True, check=False)
    of = ["git", "diff", "--quiet", "HEAD", "--", "../src", "*.py"]
    changed = subprocess.run(of, cwd=HERE, check=False).returncode
    return found.stdout.strip() + "+" * bool(changed) if found.returncode == 0 else "unknown"


def about(busy: bool, runs: int) -> dict[str, Any]:
    """Where and when: machine, commit, versions."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit(),
        "machine": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in VERSIONS},
        "clock": "processor time" if busy else "wall",
        "runs": runs,
    }


def summed(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Median, least and greatest of each ratio over the runs."""
    return {
        name: {
            "median": round(statistics.median(run[name] for run in runs), 4),
            "least": round(min(run[name] for run in runs), 4),
            "greatest": round(max(run[name] for run in runs), 4),
        }
        for name in runs[0]
    }


def differs(now: float, recorded: dict[str, float]) -> bool:
    """Further off than twice the recorded spread, and more than a fifth."""
    off = abs(now - recorded["median"])
    return off > max(0.2 * recorded["median"], 2 * (recorded["greatest"] - recorded["least"]))


def table(latest: dict[str, Any], recorded: dict[str, Any]) -> str:
    """The ratios side by side, in Markdown."""
    lines = [
        "",
        "| benchmark | ratio | now | recorded (least to greatest) | of | |",
        "|---" * 6 + "|",
    ]
    for name, now in latest.items():
        before = recorded.get(name, {"ratios": {}, "commit": "", "date": ""})
        for what, found in now["ratios"].items():
            old = before["ratios"].get(what)
            shown, mark = "–", ""
            if old is not None:
                shown = f"{old['median']:.3g} ({old['least']:.3g} to {old['greatest']:.3g})"
                mark = "differs" if differs(found["median"], old) else ""
            of = f"{before['date']}, {before['commit']}"
            lines.append(f"| {name} | {what} | {found['median']:.3g} | {shown} | {of} | {mark} |")
    return "\n".join(lines)


def read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help=f"of {', '.join(QUICK)}; all if unset")
    parser.add_argument("--busy", action="store_true", help="processor time, one thread")
    parser.add_argument("--runs", type=int, default=1, help="of each; 1 if unset")
    parser.add_argument("--record", action="store_true", help="write recorded.json")
    asked = parser.parse_args()
    names = asked.names or list(QUICK)
    if unknown := set(names) - set(QUICK):
        parser.error(
            f"no quick benchmark {', '.join(sorted(unknown))}; there are {', '.join(QUICK)}"
        )
    if not os.environ.get("HILUM_DATA"):
        print("HILUM_DATA is not set: no real films, and none of", ", ".join(NEEDS_DATA))
        names = [name for name in names if name not in NEEDS_DATA]
    target, recorded, latest = RECORDED if asked.record else LATEST, read(RECORDED), {}
    for name in names:
        where = about(asked.busy, asked.runs)
        with tempfile.TemporaryDirectory() as folder:
            runs = [ratios(name, asked.busy, Path(folder) / "seen") for _ in range(asked.runs)]
        latest[name] = {**where, "ratios": summed(runs)}
        kept = {**recorded, **latest} if asked.record else latest
        target.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(table(latest, recorded))
    print(f"\n{target.relative_to(HERE.parent)}")


if __name__ == "__main__":
    main()
