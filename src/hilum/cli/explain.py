"""`hilum explain`: where a bundle looks on known images, and how that meets the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.cli.options import (
    AllowSeen,
    BundleName,
    Data,
    Json,
    KeepIds,
    LeaveOutSeen,
    On,
    Option,
    Out,
    refuse_beside,
    what_of_seen,
)

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.data.reading import Quarantine
    from hilum.engines import Engine
    from hilum.explanation.evidence import Evidence
    from hilum.explanation.explaining import Explanation
    from hilum.explanation.report import Settings
    from hilum.explanation.saliency import Method


def explain(
    bundle: BundleName,
    on: On = None,
    out: Out = Path("explained"),
    method: Annotated[
        str | None,
        typer.Option(
            help="grad_cam, occlusion, hires_cam or integrated_gradients; the last two, and any "
            "--layer, need hilum\\[train]. Otherwise grad_cam, or occlusion where the network does "
            "not end in one layer on a pooled map."
        ),
    ] = None,
    layer: Annotated[
        str | None,
        typer.Option(
            help="A layer by its name in timm, such as blocks.4; several, blocks.2,blocks.4, are "
            "averaged; else the last map."
        ),
    ] = None,
    panels: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Panels of at most so many films, errors first."),
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Boxes: image_id, x, y, width, height [, finding]."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Masks of the finding, named as the films are."),
    ] = None,
    boxes_first: Annotated[
        bool,
        typer.Option("--boxes-first", help="Of a phantom's opacity take the box, not the outline."),
    ] = False,
    lungs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Masks of the lungs, named likewise.")
    ] = None,
    sanity: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=8,
            help="Ask N films with the finding whether the method is about what was learnt; the "
            "answer stays in the bundle. Needs hilum\\[train].",
        ),
    ] = None,
    shortcuts: Annotated[
        bool,
        typer.Option(
            "--shortcuts", help="Ask whether the answer comes from the lungs or from around them."
        ),
    ] = False,
    data: Data = None,
    option: Option = None,
    allow_seen: AllowSeen = False,
    leave_out_seen: LeaveOutSeen = False,
    keep_ids: KeepIds = False,
    as_json: Json = False,
) -> None:
    """Show what each place of a film adds to its answer, and hold that against the evidence.

    Example: hilum explain models/pneumoniamnist --out explained --panels 50

    Example: hilum explain models/mine --on rsna:rsna_sample --out explained
    """
    from hilum.cli.given import Given, films_to_calibrate_on
    from hilum.cli.images import asked_for, images_of_role
    from hilum.cli.judging import output_folder, record_opening, refuse_inside
    from hilum.cli.work import open_cohort, open_cohort_or_phantom, tell_broken
    from hilum.data.reading import Quarantine
    from hilum.errors import HilumError
    from hilum.explanation.explaining import WITHOUT_TORCH, default_method
    from hilum.explanation.report import clear
    from hilum.foreign import open_model

    seen = what_of_seen(allow_seen, leave_out_seen)
    loaded = open_model(bundle)
    chosen_method = default_method(loaded) if method is None else method_of(method)
    if chosen_method not in ("grad_cam", "hires_cam"):
        refuse_beside(f"--method {chosen_method}", {"--layer": layer})  # it works on pixels
    if loaded.foreign:
        refuse_beside("a model made elsewhere", {"--sanity": sanity, "--layer": layer})
    elif sanity is not None or layer is not None or chosen_method not in WITHOUT_TORCH:
        need_gradients()
    if masks is not None and len(loaded.findings) > 1:
        raise HilumError(
            "--masks",
            f"a mask does not say which of {len(loaded.findings)} findings it marks",
            expected="a bundle of one finding",
            remedy="give boxes with a column finding by --boxes",
        )
    refuse_inside(out, loaded)
    settings, role = asked_for(loaded, on or "", option or ())
    with output_folder(out):
        open_ = open_cohort if on else open_cohort_or_phantom
        cohort = open_(settings, loaded.manifest.reading, data)
        films, warnings = images_of_role(loaded, cohort, role, settings, seen=seen)
        given = Given(boxes, masks, lungs, boxes_first)
        evidence = given.of(films, loaded.findings[0])
        clear(out)
        if sanity is not None:
            from hilum.cli.sanity import check_sanity

            check_sanity(loaded, films, out, chosen_method, layer, sanity, data)
        known = (
            films_to_calibrate_on(loaded, cohort, settings, on, given) if role == "test" else None
        )
        quarantine = Quarantine(len(films), settings.broken_limit)
        _, result = explain_films(
            loaded,
            evidence,
            out,
            quarantine=quarantine,
            method=chosen_method,
            layer=layer,
            calibrate=known,
            panels=panels,
            keep_ids=keep_ids,
        )
        tell_broken(quarantine.broken)
        if shortcuts:
            from hilum.cli.shortcuts import look_for_shortcuts

            result["shortcuts"] = look_for_shortcuts(
                loaded, evidence.where(quarantine.readable_n), out
            )
        record_opening(loaded, role, films.name, len(films), {})
    show(result, out, warnings, as_json=as_json)


def method_of(name: str) -> Method:
    """A method by its name. Raises HilumError."""
    from hilum.errors import HilumError
    from hilum.explanation.saliency import METHODS

    for method in METHODS:
        if method == name:
            return method
    raise HilumError("--method", f"no method {name!r}", expected=", ".join(METHODS))


def need_gradients() -> None:
    """Raise MissingExtraError where what differentiates a network is not installed."""
    from importlib.util import find_spec

    from hilum.errors import MissingExtraError

    if any(find_spec(package) is None for package in ("torch", "timm", "captum")):
        raise MissingExtraError("explain", "train", "--method grad_cam or occlusion alone")


def caution_of(bundle: Bundle, method: Method, layer: str) -> str:
    """What must be said of a method wherever it is shown: how it stood its checks, if at all."""
    from hilum.explanation.saliency import same_maps
    from hilum.explanation.verdicts import standing

    if bundle.foreign:
        return "sanity of this method not checked: a model made elsewhere cannot be altered"
    verdicts = standing(bundle.checks(same_maps(method, layer)))
    if not verdicts:
        return "sanity of this method not checked: hilum explain BUNDLE --sanity"
    failed = [each for each in verdicts if each.passed is False]
    unsure = [each.question for each in verdicts if each.passed is None]
    alone = f" (asked for {verdicts[0].finding} alone)" if len(bundle.findings) > 1 else ""
    if failed:
        asked = {(each.n, each.source) for each in failed}
        on = " and ".join(f"{n:,} films of {source}" for n, source in sorted(asked))
        questions = ", ".join(each.question for each in failed)
        return f"this method FAILED on this classifier: {questions}, on {on}{alone}"
    told = f", undecided: {', '.join(unsure)}" if unsure else ""
    return f"stood its sanity checks{told}{alone}"


def settings_of(bundle: Bundle, found: Explanation) -> Settings:
    """What is said of a bundle beside its maps."""
    from hilum.explanation.report import Settings

    return Settings(
        bundle.manifest.preprocessing,
        {finding: points["deployed"] for finding, points in bundle.thresholds().items()},
        bundle.digest,
        found.cohort.name,
        found.predictions.synthetic,
        caution_of(bundle, found.saliency.method, found.saliency.layer),
    )


def explain_films(
    bundle: Bundle,
    evidence: Evidence,
    out: Path,
    *,
    quarantine: Quarantine,
    engine: Engine | None = None,
    method: Method | None = None,
    layer: str | None = None,
    calibrate: Evidence | None = None,
    panels: int | None = None,
    keep_ids: bool = True,
) -> tuple[Explanation, dict[str, Any]]:
    """Explain films and write all of it into `out`; also returns what stands in
    `explanation.json`.

    method: None takes the bundle's `default_method`
    evidence: with the films; calibrate: likewise, of those on which the threshold of maps is set
    """
    from hilum.cli.given import say_what_is_known
    from hilum.cli.show import counting
    from hilum.data.seen import pseudonymised
    from hilum.explanation.explaining import default_method
    from hilum.explanation.explaining import explain as run
    from hilum.explanation.report import write_explanation

    say_what_is_known(evidence)
    method = method or default_method(bundle)
    if not keep_ids and bundle.manifest.salt is not None:
        evidence = evidence.of_films(pseudonymised(evidence.cohort, bundle.manifest.salt))
    with counting("explaining", "films") as progress, layer_errors():
        found = run(
            bundle,
            evidence.cohort,
            method=method,
            layer=layer,
            engine=engine,
            quarantine=quarantine,
            progress=progress,
        )
    evidence = evidence.of_films(found.cohort)
    known = None
    if calibrate is not None:
        others = run(bundle, calibrate.cohort, method=method, layer=layer, engine=engine)
        known = (others, calibrate.of_films(others.cohort))
    with counting("drawing", "films") as progress:
        told = write_explanation(
            out,
            found,
            evidence,
            settings_of(bundle, found),
            calibrate=known,
            panels=panels,
            progress=progress,
        )
    return found, told


@contextmanager
def layer_errors() -> Iterator[None]:
    """A layer that is not there, as one line of the user's."""
    from hilum.errors import HilumError

    try:
        yield
    except ValueError as error:
        raise HilumError("--layer", str(error)) from error


def show(result: dict[str, Any], out: Path, warnings: list[str], *, as_json: bool) -> None:
    """The figures on stdout, as JSON or in words."""
    from hilum.cli.show import print_json, say
    from hilum.explanation.report import own_files

    if as_json:
        print_json({"out": str(out), "warnings": warnings, **result})
        return
    if result["synthetic"]:
        say("warning: SYNTHETIC: no patient stands behind these films or this bundle")
    print(f"{result['method']} at {result['layer']}; {result['caution']}")
    for finding, told in result["findings"].items():
        kinds = ", ".join(f"{n:,} {kind}" for kind, n in told["kinds"].items())
        print(f"{finding}: {kinds}")
        for line in _zones(told):
            print(f"  {line}")
        for group in told["localisation"]:
            for line in _localised(group):
                print(f"  {line}")
    for finding, probes in result.get("shortcuts", {}).items():
        for each in probes:
            verdict = {True: "FOUND", False: "not found", None: "undecided"}[each["found"]]
            print(
                f"{finding}, {each['question']}: {verdict}; {each['figure']} "
                f"{_brief(each['estimate'])}; found from {each['rule']}"
            )
    for warning in warnings:
        print(f"warning: {warning}")
    print(f"{out}: {', '.join(own_files(out))}")
    print(result["note"])


def _zones(told: dict[str, Any]) -> list[str]:
    by = {"lungs": "by the lungs' outline", "view": "by the view, for want of lung masks"}
    lines = []
    for label, zones in told["zones"].items():
        if label == "all":
            continue
        shares = ", ".join(f"{zone} {_brief(each)}" for zone, each in zones.items())
        n = next(iter(zones.values()))["n"]
        lines.append(f"attention where {label} ({n:,} films; {by[told['aligned_by']]}): {shares}")
    for label, lungs in (told["lungs"] or {}).items():
        shares = ", ".join(f"{name} {_brief(each)}" for name, each in lungs.items())
        lines.append(f"{label}: {shares}")
    return lines


def _localised(group: dict[str, Any]) -> list[str]:
    lines = [f"evidence, {group['group']}: {group['n']:,} films; threshold {group['threshold']}"]
    for name, each in group["figures"].items():
        beside = "; ".join(
            f"{baseline} {_brief(group['baselines'][baseline][name], limits=False)}"
            f", above by {_brief(group['above'][baseline][name])}"
            for baseline in group["baselines"]
        )
        lines.append(f"  {name.replace('_', ' '):18s} {_brief(each)}   [{beside}]")
    return lines


def _brief(estimate: dict[str, Any], *, limits: bool = True) -> str:
    if estimate["value"] is None:
        return f"not given ({estimate['reason']})"
    if not limits or estimate["low"] is None:
        return f"{estimate['value']:.3f}"
    return f"{estimate['value']:.3f} ({estimate['low']:.3f} to {estimate['high']:.3f})"
