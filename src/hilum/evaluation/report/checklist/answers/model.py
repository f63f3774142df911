"""Answers on the model: what it is, how it was made, how its output is to be read.

All of it is the bundle's record; of somebody else's predictions it says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.report.checklist.answers import (
    Answer,
    and_more,
    entries,
    in_bundle,
    in_evaluation,
    in_words,
    listed,
    many,
    spelt,
)
from hilum.evaluation.report.checklist.answers.data import with_openings
from hilum.evaluation.report.facts import Facts, at


def intended_use(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What the bundle says it is for."""
    use = facts.known("intended_use")
    return None if use is None else Answer(str(use), (in_bundle("intended_use"),))


def findings(evaluation: Evaluation, facts: Facts) -> Answer:
    """What is predicted."""
    text = f"Predicted: presence of {', '.join(evaluation.findings)} on an image."
    return Answer(text, (in_evaluation("figures"),))


def preprocessing(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """The steps from a film to the network's input."""
    steps = entries(facts.known("preprocessing"))
    if not steps:
        return None
    parts = []
    for step in steps:
        rest = listed({key: value for key, value in step.items() if key != "step"})
        name = str(step.get("step", "step")).replace("_", " ")
        parts.append(f"{name} ({rest})" if rest else name)
    return Answer(f"Each film: {', then '.join(parts)}.", (in_bundle("preprocessing"),))


def normalisation(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What the network takes off its input, and divides it by."""
    mean, std = facts.known("backbone", "mean"), facts.known("backbone", "std")
    if not (isinstance(mean, Sequence) and isinstance(std, Sequence)):
        return None
    text = f"Normalised with mean {_numbers(mean)} and standard deviation {_numbers(std)}."
    if facts.foreign:
        black, white = facts.known("recipe", "foreign", "input", "range")
        text = f"Black is {black:g} and white {white:g}. {text}"
    return Answer(text, (in_bundle("backbone", "mean"), in_bundle("backbone", "std")))


def predictors(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What goes into a prediction."""
    size = facts.known("engine", "input_size")
    if size is None:
        return None
    return Answer(
        f"The image alone, as one grey channel of {size} × {size} pixels; no clinical variable "
        "enters and no reader measures anything.",
        (in_bundle("engine", "input_size"),),
    )


def network(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """The network, its input and its output."""
    name, size = facts.known("backbone", "name"), facts.known("engine", "input_size")
    if name is None:
        return None
    named = f"{name}, made elsewhere," if facts.foreign else f"{name} (as timm names it)"
    text = f"Network {named}"
    where = [in_bundle("backbone", "name")]
    if size is not None:
        text += f" on one grey channel of {size} × {size} pixels"
        where.append(in_bundle("engine", "input_size"))
    text += ", one logit for each finding."
    return Answer(text, tuple(where))


def one_network(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Whether several models are combined."""
    name = facts.known("backbone", "name")
    if name is None or facts.foreign:
        return None
    members = facts.known("recipe", "train", "members")
    if isinstance(members, int) and members > 1:
        combine = facts.known("recipe", "train", "combine")
        whose = "weights" if combine == "soup" else "logits"
        return Answer(
            f"{members} networks {name}, trained alike but for their random draws; the mean of "
            f"their {whose}.",
            (in_bundle("recipe", "train", "members"), in_bundle("recipe", "train", "combine")),
        )
    return Answer(f"None: one network, {name}.", (in_bundle("backbone", "name"),))


def first_weights(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Where training began."""
    weights = facts.known("backbone", "weights")
    if weights is None:
        return None
    known = {"imagenet": "ImageNet weights; the head at random", "none": "none: all at random"}
    text = f"First weights: {known.get(str(weights), weights)}."
    return Answer(text, (in_bundle("backbone", "weights"),))


def training(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Optimisation, augmentation, seed and machine."""
    found = {
        "Training": ("recipe", "train"),
        "Loss": ("recipe", "loss"),
        "Augmentation": ("recipe", "augmentation"),
        "Model": ("recipe", "model"),
    }
    parts, where = [], []
    for title, path in found.items():
        settings = facts.known(*path)
        if isinstance(settings, Mapping):
            parts.append(f"{title}: {listed(settings)}.")
            where.append(in_bundle(*path))
    if not parts:
        return None
    alone: dict[str, tuple[str, ...]] = {"Seed": ("recipe", "seed"), "Machine": ("machine",)}
    for title, key in alone.items():
        if (value := facts.known(*key)) is not None:
            parts.append(f"{title}: {value}.")
            where.append(in_bundle(*key))
    return Answer(" ".join(parts), tuple(where))


def stopping(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """How the weights that were kept were picked."""
    epochs = facts.known("recipe", "train", "epochs")
    patience = facts.known("recipe", "train", "patience")
    if epochs is None or patience is None:
        return None
    if epochs == 0:
        return Answer(
            "The backbone was not trained; of the head's penalties the one with the least log loss "
            "on tune.",
            (in_bundle("recipe", "train", "epochs"),),
        )
    return Answer(
        f"The weights with the least loss on tune, over at most {epochs} epochs, given up after "
        f"{patience} looks without a gain.",
        (in_bundle("recipe", "train", "epochs"), in_bundle("recipe", "train", "patience")),
    )


def imbalance(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What was done about rare findings."""
    # Bundles made before there was a [loss] have it under [train].
    key = ("recipe", "loss", "class_weights")
    if facts.known(*key) is None:
        key = ("recipe", "train", "class_weights")
    weights = facts.known(*key)
    if weights is None:
        return None
    parts = ["Classes were not weighted." if weights == "none" else f"Class weights: {weights}."]
    where = [in_bundle(*key)]
    told: dict[tuple[str, ...], str] = {
        ("recipe", "loss", "focal_gamma"): "Focal loss, gamma {}.",
        ("recipe", "loss", "logit_adjustment"): "Logit adjustment, tau {}.",
    }
    for path, text in told.items():
        if value := facts.known(*path):
            parts.append(text.format(value))
            where.append(in_bundle(*path))
    if facts.known("recipe", "train", "sampling") == "balanced":
        parts.append("Classes were drawn equally often.")
        where.append(in_bundle("recipe", "train", "sampling"))
    return Answer(" ".join(parts), tuple(where))


def calibration(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Which calibrator, and what it did to the log loss here."""
    if facts.foreign:
        return Answer(
            "None by Hilum: the probabilities are the model's own.",
            (in_bundle("calibrators"),),
            "whether its makers calibrated them",
        )
    parts, where = [], []
    for finding in spelt(evaluation.findings):
        calibrator = facts.known("calibrators", finding)
        if not isinstance(calibrator, Mapping):
            continue
        kind = str(calibrator.get("kind", "unnamed"))
        numbers = {k: v for k, v in calibrator.items() if k != "folds" and isinstance(v, float)}
        # A temperature needs no name beside its kind.
        fitted = listed(numbers) if [*numbers] == [kind] else f"{kind} ({listed(numbers)})"
        figures = evaluation.figures[finding]
        parts.append(
            f"{finding}: {fitted.removesuffix(' ()')}{_why(calibrator)}, log loss here "
            f"{in_words(figures.get('log_loss_uncalibrated'))} before and "
            f"{in_words(figures.get('log_loss'))} after."
        )
        where += [
            in_bundle("calibrators", finding),
            in_evaluation("figures", finding, "log_loss_uncalibrated"),
            in_evaluation("figures", finding, "log_loss"),
        ]
    if not parts:
        return None
    text = f"Calibrated on the calibrate role. {' '.join(parts)}{and_more(evaluation.findings)}"
    return Answer(text, tuple(where))


def _why(calibrator: Mapping[str, Any]) -> str:
    """Why this calibrator, where the bundle's record says so."""
    reason = calibrator.get("reason")
    return f" ({reason})" if isinstance(reason, str) and reason else ""


def thresholds(evaluation: Evaluation, facts: Facts) -> Answer:
    """Named thresholds, how each was chosen, and on how many images."""
    parts, where = [], []
    for finding in spelt(evaluation.findings):
        for name, point in evaluation.operating_points[finding].items():
            rule = f", {point.rule}" if point.rule else ""
            chosen = _chosen_on(facts, finding, name)
            parts.append(f"{finding}, {name}: probability >= {point.threshold:.4g}{rule}{chosen}")
        where.append(in_evaluation("operating_points", finding))
        if facts.known("operating_points", finding) is not None:
            where.append(in_bundle("operating_points", finding))
    return Answer(f"Thresholds: {'; '.join(parts)}.{and_more(evaluation.findings)}", tuple(where))


def _chosen_on(facts: Facts, finding: str, name: str) -> str:
    """On how many calibrate images the bundle chose the point, where its record says so."""
    wanted = facts.known("deployed") if name == "deployed" else name
    for point in entries(facts.known("operating_points", finding)):
        if point.get("name") == wanted and isinstance(point.get("n"), int) and point["n"]:
            return f", chosen on {many(point['n'], 'image')} of calibrate"
    return ""


def prediction_sets(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Whether sets are given beside the probability."""
    parts = [
        f"{finding} {sets.limits.coverage:g}"
        for finding, sets in evaluation.prediction_sets.items()
        if finding in spelt(evaluation.prediction_sets)
    ]
    if not parts:
        return None
    return Answer(
        f"Conformal prediction sets at coverage in each class of: {', '.join(parts)}."
        f"{and_more(evaluation.prediction_sets)}",
        (in_evaluation("prediction_sets"),),
    )


def how_predicted(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What turned images into probabilities."""
    engine = facts.known("engine")
    if not isinstance(engine, Mapping):
        if facts.predictions_file is None:
            return None
        return Answer(
            f"Taken as they stand from {facts.predictions_file}.",
            ("the command",),
            "how that file was made",
        )
    text = f"By the bundle's OpenVINO engine in {engine.get('precision', 'unknown precision')}."
    where = [in_bundle("engine")]
    largest = at(engine, "agreement", "largest_probability_difference")
    n, role = at(engine, "agreement", "n"), at(engine, "agreement", "role")
    if isinstance(largest, int | float) and isinstance(n, int):
        text += (
            f" Its probabilities lie within {largest:.1e} of the trained network's on "
            f"{many(n, 'image')} of {role}."
        )
    return Answer(text, tuple(where))


def not_updated(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Whether the evaluation changed the model: it never does."""
    if evaluation.bundle is None:
        return Answer(
            "None by this evaluation: predictions are judged as they stand.",
            (in_evaluation("bundle"),),
            "any that was made beforehand",
        )
    found = Answer(
        f"None: the bundle is evaluated as it stands, digest {evaluation.bundle}.",
        (in_evaluation("bundle"),),
    )
    if len(facts.openings) < 2:
        return found
    return replace(
        with_openings(found, facts), rest="whether anything was changed between these openings"
    )


def bundle_identity(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Which bundle, so that another can use the same."""
    name = facts.known("name")
    if name is None or evaluation.bundle is None:
        return None
    if facts.foreign:
        return Answer(
            f"Model file {facts.known('recipe', 'foreign', 'file')}, made elsewhere, with what is "
            f"stated of it: digest {evaluation.bundle}.",
            (in_bundle("recipe", "foreign"), in_evaluation("bundle")),
        )
    return Answer(
        f"Bundle {name}, digest {evaluation.bundle}: weights, preprocessing, calibrators and "
        "thresholds in one folder that runs on its own.",
        (in_bundle("name"), in_evaluation("bundle")),
    )


def software(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Versions that trained, and versions that evaluated."""
    parts, where = [], []
    trained = facts.known("versions")
    if isinstance(trained, Mapping):
        parts.append(f"Trained with {listed(trained)}.")
        where.append(in_bundle("versions"))
    if facts.versions:
        parts.append(f"Evaluated with {listed(facts.versions)}.")
        where.append("the evaluating process")
    if not parts:
        return None
    rest = "" if isinstance(trained, Mapping) else "what made the predictions"
    return Answer(" ".join(parts), tuple(where), rest)


def code(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """Which code, as far as it can be named."""
    parts, where = [], []
    if "hilum" in facts.versions:
        parts.append(f"Evaluated by Hilum {facts.versions['hilum']} (Apache-2.0).")
        where.append("the evaluating process")
    if (commit := facts.known("commit")) is not None:
        parts.append(f"Trained at commit {commit}.")
        where.append(in_bundle("commit"))
    return Answer(" ".join(parts), tuple(where)) if parts else None


def command(evaluation: Evaluation, facts: Facts) -> Answer | None:
    """What was typed."""
    if not facts.command:
        return None
    return Answer(f"What was run: {facts.command}.", ("the command",))


def _numbers(values: Sequence[Any]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
