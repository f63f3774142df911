"""Validating: opens each side of a validation, answers its films once, and judges them.

What is computed of them is `robustness.external`'s; the verb is `validate`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hilum.cli.judging import SEED, record_opening
from hilum.cli.show import counting, say
from hilum.cli.work import left_out, open_cohort, tell_broken, tell_oddities

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hilum.bundle import Bundle
    from hilum.cli.images import Seen
    from hilum.data.cohort import Cohort
    from hilum.evaluation import Evaluation, Predictions
    from hilum.evaluation.report.blocks import Films
    from hilum.evaluation.subgroups import GroupBy
    from hilum.observing import Observed
    from hilum.recipe import DataPart, PointRule
    from hilum.robustness.external.page import Shown
    from hilum.robustness.external.validating import Inside, Site, Validation
    from hilum.robustness.shift import Shift


@dataclass(frozen=True)
class Source:
    """One --on. settings: how it is opened, once for each labelling where there are two"""

    text: str
    role: str
    settings: tuple[DataPart, ...]
    labellings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """What the verb was asked beside the bundle."""

    sources: tuple[Source, ...]
    internal: str | None
    data: Path | None
    seen: Seen
    keep_ids: bool
    by: tuple[GroupBy, ...] | None


@dataclass(frozen=True)
class _Judged:
    """One side: its films, what the bundle made of them, and what that is worth."""

    films: Cohort
    observed: Observed
    evaluation: Evaluation
    seen: tuple[str, ...]
    labels: Mapping[str, NDArray[np.float64]]


def asked(
    bundle: Bundle, on: Sequence[str], options: Sequence[str], labels: Sequence[str]
) -> tuple[Source, ...]:
    """What `--on`, `--option` and `--labels` mean together. Raises HilumError."""
    from hilum.cli.images import asked_for
    from hilum.errors import HilumError

    columns = _label_columns(labels)
    shared = [each for each in options if ":" not in each.partition("=")[0]]
    own = [each for each in options if each not in shared]
    sources = []
    used: set[str] = set()
    for text in on:
        mine = [each for each in own if _is_of(each, text)]
        used.update(mine)
        plain = [*shared, *(each[_colon(each) + 1 :] for each in mine)]
        settings, role = asked_for(bundle, text, plain)
        if settings == bundle.data:
            raise HilumError(
                f"--on {text}",
                "the bundle's own source is no other place",
                expected="another source",
                remedy="hilum evaluate judges a bundle on its own",
            )
        if columns and not settings.source.startswith("folder:"):
            raise HilumError(
                "--labels", f"{text} has no columns to choose from", expected="folder:TABLE"
            )
        each = tuple(
            asked_for(bundle, text, [*plain, f"columns.label={column}"])[0]
            for column in columns.values()
        )
        sources.append(Source(text, role, each or (settings,), tuple(columns)))
    for option in own:
        if option not in used:
            raise HilumError(
                "--option",
                f"{option!r} names no source that is asked for",
                expected=f"one of {', '.join(on)}, or KEY=VALUE for all",
            )
    return tuple(sources)


def _colon(option: str) -> int:
    """Where the name of a source ends, in `rsna:rsna_sample:negatives=normal`."""
    return option.partition("=")[0].rindex(":")


def _is_of(option: str, source: str) -> bool:
    """Whether the option is meant for the source, by its kind, its place, or both."""
    name = option[: _colon(option)]
    kind, _, place = source.partition(":")
    return name in (source, kind, place, f"{kind}:{place.rpartition(':')[0]}")


def _label_columns(labels: Sequence[str]) -> dict[str, str]:
    """Name -> column. Raises HilumError unless there are none or two."""
    from hilum.errors import HilumError

    columns = {}
    for each in labels:
        name, equals, column = each.partition("=")
        if not (equals and name and column):
            raise HilumError("--labels", repr(each), expected="NAME=COLUMN, such as reports=nlp")
        columns[name] = column
    if len(columns) not in (0, 2):
        raise HilumError(
            "--labels", f"{len(columns)} labelling", expected="two, each with a name of its own"
        )
    return columns


def validate_bundle(
    bundle: Bundle, what: Asked
) -> tuple[Validation, Shown, dict[str, Predictions]]:
    """Judge the bundle inside and on each source. Raises HilumError."""
    from hilum.robustness.external.files import folder_names
    from hilum.robustness.external.page import Shown
    from hilum.robustness.external.pooling import pool_auroc
    from hilum.robustness.external.validating import Validation

    inside, at_home = _inside(bundle, what)
    judged = {}
    for source in what.sources:
        each = _judged(bundle, source, what)
        name = each.films.name if each.films.name not in judged else source.text
        judged[name] = each
    sites: list[Site] = []
    shifts: dict[tuple[str, str], Shift] = {}
    films: dict[tuple[str, str], tuple[Films, ...]] = {}
    for name, each in judged.items():
        with counting(f"comparing {name}", "findings"):
            sites.append(_site(bundle, name, each, inside))
            shifts.update(_shifts(bundle, name, each, inside.source, at_home))
            films.update(_failures(name, each))
    found = Validation(
        bundle.digest,
        bundle.manifest.name,
        bundle.manifest.deployed,
        bundle.manifest.synthetic or any(each.films.synthetic for each in judged.values()),
        inside,
        tuple(sites),
        {
            finding: pool_auroc({s.name: s.evaluation.figures[finding]["auroc"] for s in sites})
            for finding in bundle.findings
        }
        if len(sites) > 1
        else {},
        tuple(_shared(judged)),
    )
    shown = Shown(films, shifts, folder_names([*judged]), _facts())
    return found, shown, {name: each.observed.predictions for name, each in judged.items()}


def _facts() -> tuple[tuple[str, str], ...]:
    from hilum.cli.judging import command
    from hilum.evaluation.report import installed_versions

    versions = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
    return (("Command", command()), ("Versions", versions), ("Seed", str(SEED)))


def _judged(bundle: Bundle, source: Source, what: Asked, label: str = "") -> _Judged:
    """Open one source, answer its films, and evaluate."""
    from hilum.cli.images import choose
    from hilum.data.reading import Quarantine
    from hilum.data.seen import pseudonymised
    from hilum.observing import observe

    settings = source.settings[0]
    cohort = open_cohort(settings, bundle.manifest.reading, what.data)
    chosen = choose(bundle, cohort, source.role, settings, seen=what.seen)
    labels = {
        name: _labels_by(bundle, each, what.data, chosen.films)
        for name, each in zip(source.labellings, source.settings, strict=False)
    }
    films, told = chosen.films, list(chosen.told)
    if not what.keep_ids and bundle.manifest.salt is not None:
        films = pseudonymised(films, bundle.manifest.salt)
    quarantine = Quarantine(len(films), settings.broken_limit)
    with counting(f"predicting {label or films.name}", "images") as progress:
        observed = observe(bundle, films, quarantine=quarantine, progress=progress)
    if quarantine.broken:
        tell_broken(quarantine.broken)
        told.append(left_out(len(quarantine.broken)))
        films = films.where(quarantine.readable_n)
        labels = {name: y_n[quarantine.readable_n] for name, y_n in labels.items()}
    tell_oddities(films)
    evaluation = _evaluated(bundle, observed.predictions, films.name, source.role, told, what.by)
    return _Judged(films, observed, evaluation, chosen.seen, labels)


def _evaluated(
    bundle: Bundle,
    predictions: Predictions,
    source: str,
    role: str,
    told: Sequence[str],
    by: Sequence[GroupBy] | None,
) -> Evaluation:
    import numpy as np

    from hilum.evaluation import evaluate

    return evaluate(
        predictions,
        bundle.deployments(),
        bundle=bundle.digest,
        source=source,
        role=role,
        synthetic=predictions.synthetic,
        rng=np.random.default_rng(SEED),
        by=by,
        warnings=told,
    )


def _labels_by(
    bundle: Bundle, settings: DataPart, data: Path | None, films: Cohort
) -> NDArray[np.float64]:
    """Another column's labels of the same films, NaN where it has none; shape (n,)."""
    import numpy as np

    from hilum.columns import column
    from hilum.data.sources import open_source
    from hilum.errors import HilumError

    if len(bundle.findings) > 1:
        raise HilumError(
            "--labels", f"the bundle has {len(bundle.findings)} findings", expected="one finding"
        )
    finding = bundle.findings[0]
    cohort = open_source(settings.source, settings, bundle.manifest.reading, data=data)
    label = cohort.table.set_index("image_id")[column("label", finding)]
    return np.asarray(label.reindex(films.table["image_id"]), dtype=np.float64)


def _inside(bundle: Bundle, what: Asked) -> tuple[Inside, _Judged | None]:
    """The bundle's own side: its test films, or what it says of calibrate where these cannot be
    had. What the user names must be had. Each look at test goes into the ledger."""
    from hilum.cli.images import asked_for
    from hilum.errors import HilumError
    from hilum.robustness.external.validating import Inside, figures_of

    try:
        settings, role = asked_for(bundle, what.internal or "", ())
        source = Source(what.internal or settings.source, role, (settings,))
        judged = _judged(bundle, source, replace(what, by=None), "inside")
    except HilumError as error:
        if what.internal is not None:
            raise
        say(f"note: inside cannot be judged: {error}")
        return _as_stated(bundle, str(error)), None
    evaluation = judged.evaluation
    auroc = {f: figures["auroc"].value for f, figures in evaluation.figures.items()}
    record_opening(bundle, role, evaluation.source, evaluation.n, auroc)
    figures = {finding: figures_of(evaluation, finding) for finding in bundle.findings}
    return Inside(evaluation.source, role, figures, evaluation), judged


def _as_stated(bundle: Bundle, why: str) -> Inside:
    """What the bundle itself says of its calibrate films."""
    from hilum.estimates import Estimate
    from hilum.robustness.external.validating import AT_POINT, FIGURES, Inside

    told = bundle.manifest.figures.get("calibrate", {})
    figures: dict[str, dict[str, Estimate]] = {}
    for finding in bundle.findings:
        known = {
            name: Estimate.from_dict(found)
            for name, found in told.get(finding, {}).items()
            if name in FIGURES
        }
        point = bundle.operating_points(finding)[bundle.manifest.deployed]
        known |= {"sensitivity": point.sensitivity, "specificity": point.specificity}
        missing = Estimate.missing("the bundle does not say", 0)
        figures[finding] = {
            name: known.get(name, missing) for name in FIGURES if name in known or name in AT_POINT
        }
        for name in FIGURES:
            figures[finding].setdefault(name, missing)
    if bundle.foreign:
        note = (
            f"Nothing is known of the model where it was made, so there is no drop to tell ({why})."
        )
        return Inside(bundle.manifest.source, "unknown", figures, None, note)
    note = (
        f"The bundle's own test films cannot be had ({why}). Inside is what it says of its "
        "calibrate films, on which calibrator and point were fitted: these figures flatter, and "
        "the drop looks greater than it is."
    )
    return Inside(bundle.manifest.source, "calibrate", figures, None, note)


def _site(bundle: Bundle, name: str, judged: _Judged, inside: Inside) -> Site:
    """Drop, remedies and labellings of one source."""
    import numpy as np

    from hilum.evaluation.referral import referral
    from hilum.robustness.external.labelling import compare_labellings
    from hilum.robustness.external.remedying import remedies
    from hilum.robustness.external.validating import Site, drops, figures_of
    from hilum.units import units_of

    evaluation, predictions = judged.evaluation, judged.observed.predictions
    units = units_of(predictions.patient_id_n)
    thresholds = bundle.thresholds()
    made, both = {}, {}
    for finding in bundle.findings:
        threshold = thresholds[finding]["deployed"]
        rng = np.random.default_rng(SEED)
        made[finding] = remedies(
            predictions.prob(finding),
            predictions.label(finding),
            threshold=threshold,
            rule=_rule(bundle),
            training=_prevalence(bundle, finding),
            units=units,
            rng=rng,
        )
        if judged.labels:
            first, second = judged.labels
            both[finding] = compare_labellings(
                (first, second),
                np.stack([*judged.labels.values()]),
                predictions.prob(finding),
                threshold,
                units=units,
                rng=rng,
            )
    each = {
        finding: drops(inside.figures[finding], figures_of(evaluation, finding))
        for finding in bundle.findings
    }
    handed_on = {
        finding: found
        for finding in bundle.findings
        if (
            found := referral(
                predictions,
                finding,
                thresholds[finding]["deployed"],
                np.random.default_rng(SEED),
            )
        )
        is not None
    }
    return Site(name, evaluation, judged.seen, each, made, both, handed_on)


def _rule(bundle: Bundle) -> PointRule:
    """How the deployed point was chosen; Youden's where a bundle of schema 1 does not say."""
    from hilum.recipe import CalibrationPart, YoudenRule

    part = CalibrationPart.model_validate(bundle.manifest.recipe["calibration"])
    return part.operating_points.get(bundle.manifest.deployed, YoudenRule())


def _prevalence(bundle: Bundle, finding: str) -> float | None:
    """Of the calibrate role, which the probabilities state; None where nobody knows."""
    counts = bundle.manifest.roles.get("roles", {}).get("calibrate", {}).get("n_by_label", {})
    of = counts.get(finding)
    if not of or not of["present"] + of["absent"]:
        return None
    return float(of["present"] / (of["present"] + of["absent"]))


def _shifts(
    bundle: Bundle, name: str, judged: _Judged, inside: str, at_home: _Judged | None
) -> dict[tuple[str, str], Shift]:
    """Why it dropped, for each finding; none where inside could not be opened."""
    import numpy as np

    from hilum.errors import EvaluationError
    from hilum.robustness.shift import Side, why

    shifts: dict[tuple[str, str], Shift] = {}
    if at_home is None:
        return shifts
    for finding in bundle.findings:
        threshold = bundle.thresholds()[finding]["deployed"]
        sides = [
            Side.of(each.observed, finding, threshold, name=called)
            for each, called in ((at_home, inside), (judged, name))
        ]
        try:
            shifts[name, finding] = why(*sides, rng=np.random.default_rng(SEED))
        except EvaluationError as error:
            say(f"note: why {finding} differs on {name} is not told: {error}")
    return shifts


def _failures(name: str, judged: _Judged) -> dict[tuple[str, str], tuple[Films, ...]]:
    """The worst answers as pictures, by finding."""
    from hilum.evaluation.report.galleries import galleries

    rows = galleries(judged.observed.predictions, judged.evaluation, judged.films.radiograph)
    return {(name, finding): films for finding, films in rows.items()}


def _shared(judged: Mapping[str, _Judged]) -> list[str]:
    """Patients that stand in two sources, which are then not independent."""
    told = []
    names = [*judged]
    ids = {
        name: {p for p in each.observed.predictions.patient_id_n if p is not None}
        for name, each in judged.items()
    }
    for k, first in enumerate(names):
        for second in names[k + 1 :]:
            both = ids[first] & ids[second]
            if both:
                told.append(
                    f"{len(both):,} patient id{'s' if len(both) > 1 else ''} stand in both {first} "
                    f"and {second}: where these are the same people the summary counts them twice"
                )
    return told
