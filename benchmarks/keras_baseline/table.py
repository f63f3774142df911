"""What `compare.py` found, as Markdown: each time with its ratio, wall and processor.

The measuring is `compare.py`'s.
"""

from __future__ import annotations

from statistics import median
from typing import Any

NAMES = {
    "keras": "the recipe in Keras, B0 at 224",
    "keras-trained-norm": "the same, batch norm trained",
    "hilum-64": "Hilum's default, Lite0 at 64",
    "hilum-224": "Hilum, Lite0 at 224",
}
CLOCKS = {"wall_s": "wall", "processor_s": "processor"}
AUTHORS_EPOCHS = 17
AIMS = {"test_auroc": 0.9372, "test_accuracy": 0.8622}
AIM_NAMES = {"test_auroc": "AUC", "test_accuracy": "accuracy"}
AUTHORS = (
    "The predecessor's own run (12 and 5 epochs of about 300 s): AUC 0.9372, accuracy 0.8622, \
log loss 0.6404."
)
FROZEN = (
    "Batch norm is frozen in the recipe, which saves it work, and trained by Hilum. A step is 32 \
films there and 64 here. An epoch is 4,708 films there; Hilum sets a tenth of train aside."
)
NOT_CHOSEN = "Weights are chosen by val or tune, as each recipe says. Test is looked at after each \
epoch only to tell when a figure was first reached, outside the clocks."


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    return [row(*cells), "|" + "---|" * len(cells)]


def per_film(turns: list[dict[str, Any]], clock: str) -> list[float]:
    return [turn[clock] / turn["films"] for turn in turns]


def rates(found: dict[str, Any], clock: str) -> dict[str, tuple[float, float, str]]:
    """For each side: seconds a film, ratio to Keras, and its range; medians over the turns."""
    told = {}
    for side, each in found.items():
        own = per_film(each["turns"], clock)
        theirs = per_film([turn.get("beside", turn) for turn in each["turns"]], clock)
        ratios = [other / ours for other, ours in zip(theirs, own, strict=True)]
        spread = "" if side == "keras" else f" ({min(ratios):.1f} to {max(ratios):.1f})"
        told[side] = median(own), median(ratios), spread
    return told


def seconds(value: float) -> str:
    return f"{value:,.0f} s" if value >= 20 else f"{value:.2g} s"


def timed(found: dict[str, Any], what: str, *said: str) -> list[str]:
    """films/s, the time of all films, of an epoch where these are but some, and the ratio."""
    lines = [f"### {what}", "", *said]
    lines += head("", "clock", "films/s", "all of it", "times as fast, a film", "peak memory")
    for clock, name in CLOCKS.items():
        for side, (each_s, ratio, spread) in rates(found, clock).items():
            n = found[side].get("epoch_films", found[side]["turns"][0]["films"])
            peak = max(turn["peak_mib"] for turn in found[side]["turns"])
            lines.append(
                row(NAMES[side], name, f"{1 / each_s:,.1f}", seconds(each_s * n),
                    f"{ratio:.1f}{spread}", f"{peak:,.0f} MiB")
            )  # fmt: skip
    return [*lines, ""]


def reached(epochs: list[dict[str, Any]], key: str) -> dict[str, Any] | None:
    return next((each for each in epochs if each[key] >= AIMS[key]), None)


def counted(epochs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without those of a beginning that was given up, after which the clocks began again."""
    kinds = [each.get("batch_norm") for each in epochs if each.get("phase") == "whole"]
    if len(set(kinds)) > 1:
        return [each for each in epochs if not (each["phase"] == "whole" and
                                                each["batch_norm"] == kinds[0])]  # fmt: skip
    return epochs


def reaching(runs: dict[str, Any]) -> list[str]:
    """When each first reached what the predecessor's author came to."""
    lines = ["### Time to what the predecessor came to", "", NOT_CHOSEN, ""]
    lines += head("", "figure on test", "reached after", "wall", "processor", "times as fast")
    random = "random" in {
        each.get("weights") for each in runs.get("keras", {"epochs": ()})["epochs"]
    }
    for key, aim in AIMS.items():
        found = {side: reached(counted(run["epochs"]), key) for side, run in runs.items()}
        theirs = found.get("keras")
        for side, epoch in found.items():
            name = f"{AIM_NAMES[key]} {aim}"
            epochs = counted(runs[side]["epochs"])
            if epoch is None:
                best = max((each[key] for each in epochs), default=float("nan"))
                last = epochs[-1] if epochs else {}
                lines.append(
                    row(NAMES[side], name, f"not in {len(epochs)} epochs (best {best:.4f})",
                        f"over {seconds(last.get('wall_s_so_far', 0))}",
                        f"over {seconds(last.get('processor_s_so_far', 0))}", "")
                )  # fmt: skip
                continue
            own = epoch["processor_s_so_far"]
            ratio = f"{theirs['processor_s_so_far'] / own:.1f}" if theirs else ""
            if side != "keras" and theirs is None and "keras" in runs and not random:
                spent = counted(runs["keras"]["epochs"])[-1]["processor_s_so_far"]
                ratio = f"over {spent / own:.1f}"
            lines.append(
                row(NAMES[side], name, f"{epochs.index(epoch) + 1} epochs",
                    seconds(epoch["wall_s_so_far"]), seconds(own), ratio)
            )  # fmt: skip
    lines += ["", "Ratios are of processor time."]
    if random:
        lines[-1] += " Keras had no ImageNet weights here and Hilum had: this is no fair race."
    return [*lines, ""]


def authors_epochs(training: dict[str, Any], runs: dict[str, Any]) -> list[str]:
    """What its author's epochs would take here: their time does not hang on the weights."""
    if "hilum-64" not in runs:
        return []
    keras = rates(training, "processor_s")["keras"][0] * training["keras"]["epoch_films"]
    whole = AUTHORS_EPOCHS * keras
    ours = runs["hilum-64"]["epochs"]
    parts = [f"all {len(ours)} epochs, {whole / ours[-1]['processor_s_so_far']:.0f}"]
    for key, name in AIM_NAMES.items():
        if (epoch := reached(ours, key)) is not None:
            parts.append(
                f"until it reached {name} {AIMS[key]}, {whole / epoch['processor_s_so_far']:.0f}"
            )
    return [
        f"**Worked out, not run:** with ImageNet weights its author came to these figures by "
        f"{AUTHORS_EPOCHS} epochs, which at the rate measured here are {seconds(whole)} of "
        f"processor time (its last epochs, of 20 layers, taken for whole ones). That is so many "
        f"times what Hilum's default took: {'; '.join(parts)}.", "",
    ]  # fmt: skip


def said_of(keras: dict[str, Any]) -> str:
    if notes := keras["result"].get("notes"):
        return "; ".join(notes) + "."
    weights = {each["weights"] for each in keras["epochs"]}
    return f"starts from {' and '.join(sorted(weights))} weights; it did not come to its end."


def by_epoch(runs: dict[str, Any]) -> list[str]:
    lines = ["### Epoch by epoch", ""]
    lines += head("", "epoch", "batch norm", "val or tune AUC", "test AUC", "test accuracy",
                  "test log loss", "wall so far", "processor so far")  # fmt: skip
    for side, run in runs.items():
        for each in run["epochs"]:
            part = f", {each['phase']}" if "phase" in each else ""
            steps = f", {each['steps']} steps" if "steps" in each else ""
            lines.append(
                row(NAMES[side], f"{each['epoch']}{part}{steps}", each.get("batch_norm", "trained"),
                    f"{each.get('val_auc', each.get('tune_auc', float('nan'))):.4f}",
                    *(f"{each[f'test_{key}']:.4f}" for key in ("auroc", "accuracy", "log_loss")),
                    seconds(each["wall_s_so_far"]), seconds(each["processor_s_so_far"]))
            )  # fmt: skip
    return [*lines, ""]


def interval(estimate: dict[str, Any]) -> str:
    return f"{estimate['value']:.4f} ({estimate['low']:.4f} to {estimate['high']:.4f})"


def figures(found: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["### On test, 234 normal and 390 pneumonia, by `hilum evaluate`", ""]
    lines += head("", "AUC", "accuracy at 0.5", "log loss")
    lines += [
        row(NAMES[side] + (f": {each['note']}" if each.get("note") else ""),
            *(interval(each[key]) for key in ("auroc", "accuracy", "log_loss")))
        for side, each in found.items()
    ]  # fmt: skip
    return [*lines, "", AUTHORS, ""]


def disk(found: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["### Disk that an install takes, without bytecode", ""]
    lines += head("", "MB", "of Keras' environment", "packages", "largest, MB")
    theirs = found["tensorflow-cpu"]["mb"]
    for what, each in found.items():
        largest = ", ".join(f"{name} {mb:g}" for name, mb in list(each["largest_mb"].items())[:4])
        lines.append(row(what, f"{each['mb']:,.0f}", f"{each['mb'] / theirs:.2f}",
                         str(each["packages"]), largest))  # fmt: skip
        if each["cuda_mb"]:
            rest = each["mb"] - each["cuda_mb"]
            lines.append(row(f"{what}, without NVIDIA's packages and triton", f"{rest:,.0f}",
                             f"{rest / theirs:.2f}", "", ""))  # fmt: skip
    return [*lines, ""]


def markdown(found: dict[str, Any]) -> str:
    """The page. found: what compare.py writes as JSON."""
    keras = found["runs"].get("keras")
    lines = [
        "# Hilum beside the predecessor's recipe", "",
        f"{found['machine']}, {found['cores']} cores, {found['threads']}; load "
        f"{found['load_before']:.1f} before, {found['load_after']:.1f} after; {found['date']}, "
        f"commit {found['commit']}; {found['training']['keras']['versions']}. Wall time means "
        "something only where the load is below the number of cores.", "",
        *timed(found["training"], "An epoch of training, with its look at val or tune",
               FROZEN, ""),
        *timed(found["predicting"], "Predicting test from arrays, model open"),
        *timed(found["cold"], "The same, from the start of a process to its end"),
    ]  # fmt: skip
    if keras:
        lines += ["**The training in Keras:** " + said_of(keras), ""]
    if found["runs"]:
        lines += reaching(found["runs"]) + authors_epochs(found["training"], found["runs"])
        lines += by_epoch(found["runs"])
    return "\n".join([*lines, *figures(found["judged"]), *disk(found["sizes"])])
