"""Hilum beside the predecessor's recipe in Keras, in one run on one machine.

python benchmarks/keras_baseline/compare.py --out compared             all of it: hours
python benchmarks/keras_baseline/compare.py --out compared --quick     no whole trainings: minutes
python benchmarks/keras_baseline/compare.py --out compared --busy      other work on the machine:
    every process takes one thread; look at processor time
python benchmarks/keras_baseline/compare.py --out compared --limit-minutes 120     ends Keras there

Run in Hilum's environment with its `train` extra; Keras' own is made at the first run. HILUM_DATA
names the folder with pneumoniamnist.npz. Writes `compared.json` and `compared.md`.

Each side's weights are chosen by its own val or tune, as its recipe says. Test is looked at after
each epoch, to tell when a figure was first reached: nothing is chosen by that, and no clock counts
it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from processes import HERE, Runner, Told, Worker, keras_python
from table import markdown

from hilum.engines.running import processor

TEST_FILMS = 624


def turn_about(
    runner: Runner, script: tuple[str, ...], others: dict[str, tuple[str, ...]], turns: int
) -> Told:
    """Keras and each of the others by turns; the first call of each, which compiles, is left out.

    script: what Keras runs, with its arguments. Two processes at a time: each takes gigabytes.
    What the others tell has what Keras told in the same turn as `beside`.
    """
    keras = Worker(runner, *script)
    keras.work()
    told: Told = {"keras": {**keras.facts, "turns": []}}
    for side, command in others.items():
        worker = Worker(runner, *command)
        worker.work()
        told[side] = {**worker.facts, "turns": []}
        for _ in range(turns):
            beside = keras.work()
            told["keras"]["turns"].append(beside)
            told[side]["turns"].append({**worker.work(), "beside": beside})
        worker.close()
    keras.close()
    return told


def training(runner: Runner, films: dict[str, int], turns: int) -> Told:
    """Epochs of a few films of train, and as large a share of what each looks at after one."""
    keras = ("theirs.py", "train", "--films", str(films["keras"]))
    small, large = (("--films", str(films[side])) for side in ("hilum-64", "hilum-224"))
    others = {
        "keras-trained-norm": (*keras, "--batch-norm", "trained"),
        "hilum-64": ("ours.py", "train", "pneumoniamnist", *small),
        "hilum-224": ("ours.py", "train", "pneumoniamnist-224", *large),
    }
    return turn_about(runner, keras, others, turns)


def predicting(runner: Runner, bundles: dict[str, Path], turns: int) -> Told:
    """All of test, in processes that have a model open already."""
    keras = ("theirs.py", "predict", "--films", str(TEST_FILMS))
    others = {side: ("ours.py", "predict", str(bundle)) for side, bundle in bundles.items()}
    return turn_about(runner, keras, others, turns)


def from_cold(runner: Runner, bundles: dict[str, Path], turns: int) -> Told:
    """A process from its start to its end that opens a model and predicts test once."""
    commands = {"keras": ("theirs.py", ("predict", "--films", str(TEST_FILMS)))}
    commands |= {side: ("ours.py", ("predict", str(each))) for side, each in bundles.items()}
    told: dict[str, list[Told]] = {side: [] for side in commands}
    for _ in range(turns):
        for side, (script, arguments) in commands.items():
            used, _ = runner.once(runner.command(script, arguments), "go\n")
            beside = {} if side == "keras" else {"beside": told["keras"][-1]}
            told[side].append({"films": TEST_FILMS, **used._asdict(), **beside})
    return {side: {"turns": each} for side, each in told.items()}


def sizes(runner: Runner) -> dict[str, Told]:
    """Disk that each install takes."""
    ours, theirs = sys.executable, str(runner.keras)
    asked = ((ours, "hilum"), (ours, "hilum[train]"), (theirs, "tensorflow-cpu"))
    return {
        what: json.loads(runner.once([python, str(HERE / "sizes.py"), what])[1][-1])
        for python, what in asked
    }


def hilum(runner: Runner, *arguments: str) -> list[str]:
    return runner.once([sys.executable, "-m", "hilum", *arguments])[1]


def judged(runner: Runner, out: Path, *what: str) -> Told:
    """`hilum evaluate`, for theirs and ours alike; figures and the point at 0.5."""
    hilum(runner, "evaluate", *what, "--out", str(out))
    whole = json.loads((out / "evaluation.json").read_text())
    (finding,) = whole["figures"]
    at_half = whole["operating_points"][finding]["0.5"]
    return {
        "auroc": whole["figures"][finding]["auroc"],
        "log_loss": whole["figures"][finding]["log_loss"],
        "accuracy": at_half["accuracy"],
    }


def made_by(bundle: Path) -> str:
    recipe = json.loads((bundle / "bundle.json").read_text())["recipe"]
    epochs = recipe["train"]["epochs"]
    return f"{epochs} epochs" if epochs else "a head on frozen features (`--quick`)"


def run_of(folder: Path) -> Told:
    """A whole training, as its diary has it."""
    lines = (folder / "epochs.jsonl").read_text().splitlines()
    finished = folder / "result.json"
    result = json.loads(finished.read_text()) if finished.exists() else {}
    return {"epochs": [json.loads(line) for line in lines], "result": result}


def whole_trainings(runner: Runner, wanted: argparse.Namespace) -> dict[str, Told]:
    """Both from beginning to end, ours first; or what earlier runs of theirs or ours left."""
    ours, theirs = wanted.our_run, wanted.keras_run
    if ours is None and not wanted.quick:
        ours = wanted.out / "our-run"
        print("training by Hilum's default recipe", flush=True)
        runner.once(runner.command("ours.py", ("whole", "pneumoniamnist", "--out", str(ours))))
    if theirs is None and not wanted.quick:
        theirs = wanted.out / "keras-run"
        limits = ("--epochs", str(wanted.epochs), "--limit-minutes", str(wanted.limit_minutes))
        print("training by the predecessor's recipe", flush=True)
        runner.once(runner.command("train.py", ("--out", str(theirs), *limits)))
    runs = {"hilum-64": ours, "keras": theirs}
    return {side: run_of(folder) for side, folder in runs.items() if folder is not None}


def made_bundles(runner: Runner, wanted: argparse.Namespace) -> dict[str, Path]:
    """One at 64 pixels by the default recipe, one at 224 with a head on frozen features."""
    found = {"hilum-64": wanted.bundle, "hilum-224": wanted.bundle_224}
    for side, arguments in (
        ("hilum-64", ("pneumoniamnist", *(("--quick",) if wanted.quick else ()))),
        ("hilum-224", ("pneumoniamnist-224", "--quick")),
    ):
        if found[side] is None:
            found[side] = wanted.out / side
            print(f"making a bundle: hilum train {' '.join(arguments)}", flush=True)
            hilum(runner, "train", *arguments, "--out", str(found[side]))
    return found


def facts(runner: Runner, busy: bool) -> Told:
    commit = subprocess.run(
        ["git", "-C", HERE, "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return {
        "machine": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "commit": commit.stdout.strip() or "unknown",
        "threads": "one thread a process" if busy else "all threads",
        "load_before": os.getloadavg()[0],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--quick", action="store_true", help="few turns, no whole trainings")
    parser.add_argument("--busy", action="store_true", help="one thread for each process")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20, help="of Keras' first part, at most")
    parser.add_argument("--limit-minutes", type=float, default=24 * 60, help="of Keras' training")
    parser.add_argument("--keras-python", type=Path, help="one that has requirements.txt already")
    parser.add_argument("--keras-run", type=Path, help="what train.py wrote earlier")
    parser.add_argument("--our-run", type=Path, help="what `ours.py whole` wrote earlier")
    parser.add_argument("--times-from", type=Path, help="an earlier compared.json, for its times")
    parser.add_argument("--bundle", type=Path, help="of the default recipe, made earlier")
    parser.add_argument("--bundle-224", type=Path, help="of pneumoniamnist-224, made earlier")
    wanted = parser.parse_args()
    wanted.out.mkdir(parents=True, exist_ok=True)
    earlier = wanted.times_from and json.loads(wanted.times_from.read_text())
    python = wanted.keras_python or keras_python(HERE / ".venv")
    runner = Runner(wanted.out / "log", python, busy=wanted.busy)
    found: Told = facts(runner, wanted.busy)
    bundles = made_bundles(runner, wanted)
    turns = 2 if wanted.quick else wanted.turns
    films = {"keras": 64, "hilum-64": 256, "hilum-224": 64} if wanted.quick else {
        "keras": 160, "hilum-64": 640, "hilum-224": 320
    }  # fmt: skip
    if earlier:
        found = {key: each for key, each in earlier.items() if key not in ("runs", "judged")}
    else:
        print("films trained on, turn about", flush=True)
        found["training"] = training(runner, films, turns)
        print("films predicted, turn about", flush=True)
        found["predicting"] = predicting(runner, bundles, turns)
        found["cold"] = from_cold(runner, bundles, 1 if wanted.quick else 3)
        found["sizes"] = sizes(runner)
        found["load_after"] = os.getloadavg()[0]
    found["runs"] = whole_trainings(runner, wanted)
    found["judged"] = {
        side: judged(runner, wanted.out / f"judged-{side}", str(bundle), "--on", "pneumoniamnist")
        for side, bundle in bundles.items()
    }
    for side, bundle in bundles.items():
        found["judged"][side]["note"] = made_by(bundle)
    theirs = (wanted.keras_run or wanted.out / "keras-run") / "predictions.csv"
    if "keras" in found["runs"] and theirs.exists():
        arguments = ("--predictions", str(theirs))
        result = found["runs"]["keras"]["result"]
        note = f"{result['weights']} weights, batch norm {result['batch_norm']}"
        found["judged"]["keras"] = {"note": note} | judged(
            runner, wanted.out / "judged-keras", *arguments
        )
    (wanted.out / "compared.json").write_text(json.dumps(found, indent=1))
    page = markdown(found)
    (wanted.out / "compared.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
