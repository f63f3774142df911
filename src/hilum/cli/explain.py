"""`hilum explain`: where a bundle looks on known images, and how that meets the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hilum.cli.options import Data, Json, KeepIds, Option, Out

if TYPE_CHECKING:
    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.data.reading import Quarantine
    from hilum.explanation.explaining import Explanation
    from hilum.explanation.report import Settings
    from hilum.explanation.saliency import Method
    from hilum.recipe import DataPart


def explain(
    bundle: Annotated[Path, typer.Argument(help="A bundle, or the folder that holds one.")],
    on: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE[:ROLE]",
            help="By default the bundle's own source, role test. SOURCE:all takes every image.",
        ),
    ] = None,
    out: Out = Path("explained"),
    method: Annotated[
        str,
        typer.Option(
            help="grad_cam, hires_cam, integrated_gradients or occlusion; all but grad_cam at the "
            "last layer need hilum\\[train]."
        ),
    ] = "grad_cam",
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
    allow_seen: Annotated[
        bool,
        typer.Option(
            "--allow-seen", help="Go on with images or patients that the bundle was made from."
        ),
    ] = False,
    leave_out_seen: Annotated[
        bool, typer.Option("--leave-out-seen", help="Leave these out, and go on with the others.")
    ] = False,
    keep_ids: KeepIds = False,
    as_json: Json = False,
) -> None:
    """Show what each place of a film adds to its answer, and hold that against the evidence.

    Example: hilum explain models/pneumoniamnist --out explained --panels 50

    Example: hilum explain models/mine --on rsna:rsna_sample --out explained
    """
    from hilum.bundle import load_bundle
    from hilum.cli.images import asked_for, images_of_role
    from hilum.cli.judging import output_folder
    from hilum.cli.options import refuse_beside
    from hilum.cli.show import say
    from hilum.cli.work import open_cohort, open_cohort_or_phantom, tell_broken
    from hilum.data.reading import Quarantine

    if allow_seen:
        refuse_beside("--allow-seen", {"--leave-out-seen": leave_out_seen or None})
    loaded = load_bundle(bundle)
    chosen_method = method_of(method)
    if sanity is not None or layer is not None or chosen_method != "grad_cam":
        need_gradients()
    settings, role = asked_for(loaded, on or "", option or ())
    with output_folder(out):
        open_ = open_cohort if on else open_cohort_or_phantom
        cohort = open_(settings, loaded.manifest.reading, data)
        films, warnings = images_of_role(
            loaded,
            cohort,
            role,
            settings,
            seen="allow" if allow_seen else "leave out" if leave_out_seen else "refuse",
        )
        if sanity is not None:
            from hilum.cli.sanity import check_sanity

            check_sanity(loaded, films, out, chosen_method, layer, sanity, data)
        known = films_to_calibrate_on(loaded, cohort, settings, on) if role == "test" else None
        quarantine = Quarantine(len(films), settings.broken_limit)
        _, result = explain_films(
            loaded,
            films,
            out,
            quarantine=quarantine,
            method=chosen_method,
            layer=layer,
            boxes=boxes,
            masks=masks,
            lungs=lungs,
            boxes_first=boxes_first,
            calibrate=known,
            panels=panels,
            keep_ids=keep_ids,
        )
        tell_broken(quarantine.broken)
        if shortcuts:
            from hilum.cli.shortcuts import look_for_shortcuts

            result["shortcuts"] = look_for_shortcuts(
                loaded, films.where(quarantine.readable_n), out, lungs
            )
        if role == "test" and not loaded.record_opening(role, films.name, len(films), {}):
            say(f"note: {loaded.folder} cannot be written; its ledger lacks this opening")
    show(result, out, warnings, as_json=as_json)


def films_to_calibrate_on(
    bundle: Bundle, cohort: Cohort, settings: DataPart, on: str | None
) -> Cohort | None:
    """The bundle's own calibrate films with a finding and evidence of it; None on other sources."""
    import numpy as np

    from hilum.cli.images import images_of_role
    from hilum.explanation.evidence import Evidence

    if on and (settings != bundle.data or cohort.name != bundle.manifest.source):
        return None
    films, _ = images_of_role(bundle, cohort, "calibrate", settings, seen="allow")
    evidence = Evidence(films)
    present_n = np.asarray((films.label_nf == 1).any(axis=1))
    keep_n = present_n & np.array([evidence.of_finding(n) for n in range(len(films))])
    return films.where(keep_n) if keep_n.any() else None


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
        raise MissingExtraError("explain", "train", "--method grad_cam alone")


def caution_of(bundle: Bundle, method: Method, layer: str) -> str:
    """What must be said of a method wherever it is shown: how it stood its checks, if at all."""
    checks = bundle.checks(method, layer)
    if checks is None:
        return "sanity of this method not checked: hilum explain BUNDLE --sanity"
    failed = [check["question"] for check in checks if check["passed"] is False]
    unsure = [check["question"] for check in checks if check["passed"] is None]
    if failed:
        return f"this method FAILED on this classifier: {', '.join(failed)}"
    return "stood its sanity checks" + (f", undecided: {', '.join(unsure)}" if unsure else "")


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
    films: Cohort,
    out: Path,
    *,
    quarantine: Quarantine,
    method: Method = "grad_cam",
    layer: str | None = None,
    boxes: Path | None = None,
    masks: Path | None = None,
    lungs: Path | None = None,
    boxes_first: bool = False,
    calibrate: Cohort | None = None,
    panels: int | None = None,
    keep_ids: bool = True,
) -> tuple[Explanation, dict[str, Any]]:
    """Explain films and write all of it into `out`; also returns what stands in
    `explanation.json`.

    calibrate: films on which the threshold of maps is set, if there is evidence on them
    """
    from dataclasses import replace

    from hilum.cli.show import counting
    from hilum.data.seen import pseudonymised
    from hilum.errors import HilumError
    from hilum.explanation.evidence import Evidence, boxes_in, masks_in
    from hilum.explanation.explaining import explain as run
    from hilum.explanation.report import write_explanation

    if boxes is not None:
        films = boxes_in(boxes, films, bundle.findings[0])
        calibrate = None  # the boxes are of these films
    evidence = Evidence(
        films,
        masks_in(masks, films) if masks else {},
        masks_in(lungs, films) if lungs else {},
        boxes_first,
    )
    if not keep_ids and bundle.manifest.salt is not None:
        films = pseudonymised(films, bundle.manifest.salt)
    with counting("explaining", "films") as progress:
        try:
            found = run(
                bundle, films, method=method, layer=layer, quarantine=quarantine, progress=progress
            )
        except ValueError as error:
            raise HilumError("--layer", str(error)) from error
    settings = settings_of(bundle, found)
    evidence = replace(evidence, cohort=found.cohort)
    known = None
    if calibrate is not None and len(calibrate):
        others = run(bundle, calibrate, method=method, layer=layer)
        known = (others, Evidence(others.cohort, boxes_first=boxes_first))
    with counting("drawing", "films") as progress:
        told = write_explanation(
            out, found, evidence, settings, calibrate=known, panels=panels, progress=progress
        )
    return found, told


def show(result: dict[str, Any], out: Path, warnings: list[str], *, as_json: bool) -> None:
    """The figures on stdout, as JSON or in words."""
    from hilum.cli.show import print_json, say

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
    print(f"{out}: panels/, maps/, contact_sheet.png, mean_maps.png, zones.png, explanation.json")
    print(result["note"])


def _zones(told: dict[str, Any]) -> list[str]:
    by = {"lungs": "by the lungs' outline", "view": "by the view, for want of lung masks"}
    lines = []
    for label, zones in told["zones"].items():
        if label == "all":
            continue
        shares = ", ".join(f"{zone} {_brief(each)}" for zone, each in zones.items())
        lines.append(f"attention where {label} ({by[told['aligned_by']]}): {shares}")
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
