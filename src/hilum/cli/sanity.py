"""What `hilum explain --sanity` does: ask a method whether it is about what was learnt."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hilum.bundle import Bundle
    from hilum.data.cohort import Cohort
    from hilum.explanation.saliency import Method
    from hilum.recipe import Recipe


def check_sanity(
    bundle: Bundle,
    films: Cohort,
    out: Path,
    method: Method,
    layer: str | None,
    most: int,
    data: Path | None,
) -> list[dict[str, Any]]:
    """Check a method on films with the first finding, write `sanity.json` and `sanity.png`, and
    keep the verdicts in the bundle.

    most: films at most, drawn by lot; data: where the bundle's own source is looked for
    """
    import numpy as np

    from hilum.cli.explain import layer_errors
    from hilum.cli.show import counting, say
    from hilum.data.reading import Quarantine
    from hilum.engines import carried_engine
    from hilum.errors import BundleError, DataError
    from hilum.explanation.explaining import explain
    from hilum.explanation.saliency import same_maps
    from hilum.explanation.sanity import checks, label_check
    from hilum.explanation.sanity_picture import write_sanity
    from hilum.predict import engine_logits
    from hilum.rebuilding import classifier_of
    from hilum.units import units_of
    from hilum.writing import replacing

    if bundle.manifest.recipe["model"].get("views", "one") != "one":
        raise BundleError(
            bundle.folder,
            "it looks at each film several times",
            expected='a bundle with model.views = "one", whose maps and answers are of one look',
            remedy="leave --sanity out; what its maps are worth is not known",
        )
    finding = bundle.findings[0]
    rng = np.random.default_rng(0)
    present_n = np.flatnonzero(films.label_nf[:, films.findings.index(finding)] == 1)
    keep_n = np.zeros(len(films), dtype=np.bool_)
    keep_n[rng.permutation(present_n)[:most]] = True
    if not keep_n.any():
        raise DataError(films.name, f"no film with {finding}", expected="films with the finding")
    quarantine = Quarantine(int(keep_n.sum()), 0.5)
    with layer_errors():
        explained = explain(
            bundle, films.where(keep_n), method=method, layer=layer, quarantine=quarantine
        )
    some = explained.cohort
    taken: list[NDArray[np.float32]] = []
    engine_logits(
        carried_engine(bundle),
        bundle.manifest.preprocessing,
        some,
        look=lambda answer: taken.append(np.array(answer.image_nchw)),
    )
    units = units_of(explained.predictions.patient_id_n)
    saliency = explained.saliency
    with counting("asking the method", "parts") as progress:
        progress(0, 2)
        with layer_errors():
            found, cascade, curves = checks(
                classifier_of(bundle), np.concatenate(taken), saliency.grid, 0, method, units, rng,
                layer=layer,
            )  # fmt: skip
        progress(1, 2)
        trained, shuffled = _quick_maps(bundle, some, method, layer, data)
        found.append(label_check(trained, shuffled, units, rng))
        progress(2, 2)
    plain = [asdict(check) for check in found]
    synthetic = bundle.manifest.synthetic or films.synthetic
    write_sanity(out / "sanity.png", cascade, curves, found, method, synthetic=synthetic)
    told = {
        "method": method, "layer": saliency.layer, "finding": finding, "source": films.name,
        "films": len(some), "checks": plain,
    }  # fmt: skip
    with replacing(out / "sanity.json") as draft:
        draft.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    kept = bundle.record_checks(
        same_maps(method, saliency.layer), plain, finding=finding, source=films.name, n=len(some)
    )
    if not kept:
        say("note: nothing can be written beside the bundle's ledger: these checks are not kept")
    for check in found:
        verdict = {True: "stands", False: "FAILS", None: "undecided"}[check.passed]
        print(f"{check.question}: {verdict}; {check.figure.in_words(2)}; {check.rule}")
    return plain


def _quick_maps(
    bundle: Bundle, films: Cohort, method: Method, layer: str | None, data: Path | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The method's maps of two heads on frozen features, one from true labels and one from shuffled
    ones, shape (n, h, w) each.
    """
    import numpy as np

    from hilum.cli.work import open_cohort
    from hilum.columns import column
    from hilum.explanation.explaining import explain
    from hilum.recipe import Recipe
    from hilum.training.probe import quick
    from hilum.training.run import train

    recipe: Recipe = quick(Recipe.model_validate(bundle.manifest.recipe))
    cohort = open_cohort(bundle.data, bundle.manifest.reading, data)
    label = column("label", bundle.findings[0])
    order = np.random.default_rng(0).permutation(len(cohort))
    shuffled = cohort.with_column(label, cohort.table[label].to_numpy()[order])
    if method == "hires_cam" and layer is None:
        method = "grad_cam"  # at the map that the head pools the two are one
    maps = []
    with tempfile.TemporaryDirectory() as folder:
        for name, each in (("true", cohort), ("shuffled", shuffled)):
            made = train(recipe, each, Path(folder) / name)
            assert made is not None  # one process alone
            maps.append(explain(made, films, method=method, layer=layer).saliency.map_nfhw[:, 0])
    return maps[0], maps[1]
