"""`hilum bundle`: look into a bundle, or check that it is whole."""

from __future__ import annotations

import typer

from hilum.cli.options import BundleName, Json

bundle_app = typer.Typer(no_args_is_help=True, help="Look into a bundle, or check it.")


@bundle_app.command("list")
def list_(as_json: Json = False) -> None:
    """Print the bundles that ship with Hilum, which any verb takes by their names.

    Example: hilum bundle list
    """
    from hilum.bundle import read_manifest
    from hilum.cli.show import print_json
    from hilum.shipped import FOLDER, shipped_bundles

    folders = {name: FOLDER / name for name in shipped_bundles()}
    manifests = {name: read_manifest(folder) for name, folder in folders.items()}
    if as_json:
        print_json(
            {
                name: {
                    "folder": str(folders[name]),
                    "findings": manifest.findings,
                    "source": manifest.source,
                    "backbone": manifest.backbone.name,
                    "input_size": manifest.engine.input_size,
                    "created": manifest.created,
                    "licence": manifest.licence,
                }
                for name, manifest in manifests.items()
            }
        )
        return
    for name, manifest in manifests.items():
        print(
            f"{name}: {', '.join(manifest.findings)}; {manifest.backbone.name}, input "
            f"{manifest.engine.input_size} px, from {manifest.source}, {manifest.created[:10]}"
        )
    if not manifests:
        print("no bundle ships with this Hilum")


@bundle_app.command()
def show(bundle: BundleName, as_json: Json = False) -> None:
    """Print what a bundle is, how it was made, and how often test was opened.

    Example: hilum bundle show models/pneumoniamnist
    """
    from hilum.cli.export import in_words
    from hilum.cli.show import print_json
    from hilum.engines import CARRIED, exported_engines, fastest
    from hilum.estimates import Estimate
    from hilum.foreign import open_model

    loaded = open_model(bundle)
    manifest = loaded.manifest
    exported = exported_engines(loaded)
    if as_json:
        print_json(
            {
                "digest": loaded.digest,
                **manifest.model_dump(mode="json"),
                "openings": loaded.openings(),
                "engines": {name: each.record.model_dump() for name, each in exported.items()},
            }
        )
        return
    print(f"{manifest.name} ({loaded.folder}), digest {loaded.digest[:16]}")
    if manifest.synthetic:
        print("SYNTHETIC: trained on images that no patient stands behind")
    if loaded.foreign:
        told = manifest.recipe["foreign"]
        print(f"  made elsewhere, from {manifest.source}; licence {manifest.licence or 'unknown'}")
        print(f"  {told['file']}, read as {told['stated_in']} states: output {told['output']}")
        print("  not known: which images it was made from, and how it was trained")
    else:
        by = f"hilum {manifest.versions['hilum']}"
        print(f"  made {manifest.created} by {by} from {manifest.source}")
    kept = "" if loaded.foreign else f", weights kept as {loaded.stored}"
    print(f"  {manifest.backbone.name}, input {manifest.engine.input_size} px{kept}")
    for finding in manifest.findings:
        chosen = loaded.chosen_calibrator(finding)
        why = f", {chosen.reason}" if chosen.reason else ""
        calibrated = "not calibrated" if loaded.foreign else chosen.calibrator.in_words()
        print(f"  {finding}: {calibrated}{why}")
        if chosen.log_loss:
            print(f"    log loss {chosen.table_in_words()}")
        for point in loaded.operating_points(finding).values():
            deployed = " (deployed)" if point.name == manifest.deployed else ""
            yields = (
                f"; on calibrate sensitivity {point.sensitivity.in_words()}, "
                f"specificity {point.specificity.in_words()}"
            )
            print(
                f"    {point.name}{deployed}: probability >= {point.threshold:.4g}, {point.rule}"
                f"{'' if loaded.foreign else yields}"
            )
        limits = loaded.conformal_limits(finding)
        if limits is not None:
            print(f"    prediction sets: {limits.in_words()}")
    policy = loaded.policy()
    never = (
        "a model made elsewhere"
        if loaded.foreign
        else f"a bundle of schema {manifest.schema_version}"
    )
    print(f"  refers: {f'never: {never}' if policy is None else policy.in_words()}")
    agreement = manifest.engine.agreement
    if CARRIED not in exported and agreement is not None:
        print(
            f"  engine {CARRIED}: carried; against torch on {agreement.n:,} {agreement.role} films "
            f"a probability moves by up to {agreement.largest_probability_difference:.2g}"
        )
    for name, engine in exported.items():
        print(f"  engine {name}: {in_words(engine)}")
    if exported:
        print(f"  'hilum predict' runs {fastest(loaded)} on this machine")
    for role, facts in manifest.roles.get("roles", {}).items():
        print(f"  role {role}: {facts['n']:,} images")
    for role, findings in manifest.figures.items():
        for finding, figures in findings.items():
            auroc = Estimate.from_dict(figures["auroc"])
            print(f"  {role} AUROC {finding}: {auroc.in_words(4)}")
    whose = "any source" if loaded.foreign else manifest.source
    openings = [
        each for each in loaded.openings() if loaded.foreign or each["source"] == manifest.source
    ]
    last = f", last {openings[-1]['time']}" if openings else ""
    print(f"  test of {whose} was opened {len(openings)} times{last}")
    if loaded.shipped:
        print(f"  what is opened here is noted in {loaded.ledger}")
    for warning in manifest.warnings:
        print(f"  warning: {warning}")
    print(manifest.intended_use)


@bundle_app.command()
def verify(bundle: BundleName, as_json: Json = False) -> None:
    """Check schema and every file's digest, and those of engines exported beside them.

    Example: hilum bundle verify models/pneumoniamnist
    """
    from hilum.cli.show import print_json
    from hilum.engines import exported_engines
    from hilum.errors import HilumError
    from hilum.foreign import open_model

    loaded = open_model(bundle)
    if loaded.foreign:
        raise HilumError(
            loaded.folder,
            "a model made elsewhere holds no digests to verify",
            remedy="'hilum bundle show' tells its own digest",
        )
    engines = list(exported_engines(loaded))
    if as_json:
        print_json(
            {
                "bundle": str(loaded.folder),
                "digest": loaded.digest,
                "whole": True,
                "engines": engines,
            }
        )
    else:
        beside = f", and the engines {', '.join(engines)}" if engines else ""
        print(
            f"{loaded.folder}: whole, {len(loaded.manifest.files) + 1} files, "
            f"{loaded.digest}{beside}"
        )
