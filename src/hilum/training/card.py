"""The model card that a bundle carries, made from the facts of its run."""

from __future__ import annotations

from hilum.bundle import NOT_A_DEVICE, Manifest
from hilum.calibration import ChosenCalibrator, ConformalLimits, OperatingPoint
from hilum.estimates import Estimate


def model_card(manifest: Manifest) -> str:
    """Markdown: what it is, what it was made from, how it did on the roles that training used."""
    lines = [f"# {manifest.name}", "", NOT_A_DEVICE, ""]
    if manifest.synthetic:
        lines += ["**SYNTHETIC: trained on images that no patient stands behind.**", ""]
    lines += [
        f"{manifest.backbone.name} on {manifest.engine.input_size} px grey films, "
        f"for {', '.join(manifest.findings)}. Trained on {manifest.source} "
        f"({manifest.licence or 'licence unknown'}) on {manifest.created[:10]}.",
        "",
        "| role | images | present | absent |",
        "|---|---|---|---|",
    ]
    for role, facts in manifest.roles["roles"].items():
        counts = facts["n_by_label"][manifest.findings[0]]
        lines.append(f"| {role} | {facts['n']:,} | {counts['present']:,} | {counts['absent']:,} |")
    lines += ["", "## On the roles that training used", ""]
    lines += [
        "Optimistic: `tune` stopped training, and `calibrate` fixed all that stands below.",
        "",
    ]
    for finding in manifest.findings:
        for role, figures in manifest.figures.items():
            auroc = Estimate.from_dict(figures[finding]["auroc"])
            lines.append(f"- {finding}, {role}: AUROC {auroc.in_words(4)}")
    for finding in manifest.findings:
        lines += ["", f"## Fixed on calibrate: {finding}", "", *_fixed(manifest, finding)]
    if manifest.warnings:
        lines += ["", "## Warnings", "", *(f"- {warning}" for warning in manifest.warnings)]
    lines += [
        "",
        "## Before it is used anywhere",
        "",
        "Evaluate it on films of that place and choose the operating point there. It knows nothing "
        f"of patients unlike those it was trained on{_when_it_meets_one(manifest)}.",
        "",
    ]
    return "\n".join(lines)


def _when_it_meets_one(manifest: Manifest) -> str:
    if manifest.abstention is None:
        return ", and it does not say when it meets one"
    return ": it refers many of their films to a reader, not all"


def _fixed(manifest: Manifest, finding: str) -> list[str]:
    """Calibrator, operating points and conformal limits of one finding."""
    chosen = ChosenCalibrator.from_dict(manifest.calibrators[finding])
    lines = [f"Calibrator: {chosen.calibrator.in_words()}, {chosen.reason}.", ""]
    if chosen.log_loss:
        lines += [f"| calibrator | log loss, {chosen.folds}-fold cross-validated |", "|---|---|"]
        lines += [f"| {kind} | {loss:.4f} |" for kind, loss in chosen.log_loss.items()]
        lines.append("")
    lines += ["| point | probability from | rule | sensitivity | specificity |", "|---" * 5 + "|"]
    for plain in manifest.operating_points[finding]:
        point = OperatingPoint.from_dict(plain)
        deployed = " (deployed)" if point.name == manifest.deployed else ""
        lines.append(
            f"| {point.name}{deployed} | {point.threshold:.4g} | {point.rule} "
            f"| {point.sensitivity.in_words()} | {point.specificity.in_words()} |"
        )
    if finding in manifest.conformal:
        limits = ConformalLimits.from_dict(manifest.conformal[finding])
        lines += ["", f"Prediction sets: {limits.in_words()}."]
    return lines
