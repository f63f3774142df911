"""Files: everything a report consists of, written into one folder, each file whole or not at all.

What stands in them is put together in the modules beside this.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import OutputError
from hilum.evaluation.evaluation import Evaluation
from hilum.evaluation.failures import label_error_table
from hilum.evaluation.predictions import Predictions
from hilum.evaluation.report.checklist import checklist
from hilum.evaluation.report.classic import write_classic_report
from hilum.evaluation.report.contents import REVIEW, contents
from hilum.evaluation.report.drawing import for_page, write_picture
from hilum.evaluation.report.facts import Facts
from hilum.evaluation.report.galleries import galleries
from hilum.evaluation.report.markdown import markdown
from hilum.evaluation.report.page import FULL, page
from hilum.evaluation.report.pictures import PLOTS, pictures_of
from hilum.evaluation.report.supplement import FILES as ADDED_FILES
from hilum.evaluation.report.supplement import PLOTS as ADDED_PLOTS
from hilum.evaluation.report.supplement import Supplement
from hilum.evaluation.report.verdict import NOT_A_DEVICE
from hilum.writing import replacing

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of one


def write_report(
    out: Path,
    predictions: Predictions,
    evaluation: Evaluation,
    *,
    image_of: Callable[[int], NDArray[np.float32]] | None,
    facts: Facts,
    supplement: Supplement | None = None,
) -> list[Path]:
    """Write the whole report into `out`; return the paths of its files.

    The classic files (`loss_acc_auc.txt`, `roc_curve.png`, `confusion_matrix.png`, with pixels
    `misclassified_examples.png`, `evaluation.json`, `predictions.parquet`); `plots/NAME.png` and
    `.svg` (in a folder per finding where there are several); `label_review.csv`, `checklist.md`,
    `report.md` and `report.html`. Files of these names that an earlier report left in `out`, and
    this one does not write, are removed; in `label_review.csv` a name that begins like a formula
    has a single quote before it.

    image_of: row of the predictions (0 … n-1) to its image, float32 [h, w] in [0, 1]; called for
        the few that are shown and, up to a few thousand images, once for each to find pairs that
        are nearly the same; None where there are no pixels
    supplement: sections and files that others add
    Raises OutputError when the folder cannot be written, EvaluationError when the evaluation is of
    other predictions.
    """
    written = write_classic_report(out, predictions, evaluation, image_of)
    supplement = supplement or Supplement()
    films = galleries(predictions, evaluation, image_of)
    parts = contents(evaluation, facts, films, supplement)
    folders = plot_folders(evaluation.findings)
    about = f"{evaluation.source}, role {evaluation.role}, n = {evaluation.n}. {NOT_A_DEVICE}"
    drawings, plots = {}, {}
    for k, (chapter, folder) in enumerate(zip(parts.chapters, folders, strict=True)):
        added = {picture.name: picture for picture in supplement.pictures(chapter.finding)}
        for name, picture in (pictures_of(evaluation, chapter.finding) | added).items():
            svg = write_picture(picture, out / folder, about, synthetic=evaluation.synthetic)
            plots[chapter.key, name] = f"{folder}/{name}"
            written += [out / folder / f"{name}.{suffix}" for suffix in ("png", "svg")]
            if k < FULL:
                drawings[chapter.key, name] = for_page(svg, f"{chapter.key}-{name}")
    with replacing(out / REVIEW) as draft:
        _review(predictions).to_csv(draft, index=False)
    texts = {
        "checklist.md": checklist(evaluation, facts),
        "report.md": markdown(parts, plots),
        "report.html": page(parts, drawings),
        **supplement.files,
    }
    for name, text in texts.items():
        with replacing(out / name) as draft:
            draft.write_text(text, encoding="utf-8")
    written += [out / REVIEW, *(out / name for name in texts)]
    _clear(out, {*written})
    return written


def _clear(out: Path, written: set[Path]) -> None:
    """Take away an earlier report's files that this one has none of: another model's pictures
    beside these figures would mislead. Nothing that a report does not write is touched."""
    folders = [f for f in (out / "plots", *(out / "plots").glob("*")) if _is_own(f)]
    stale = [out / name for name in ("misclassified_examples.png", *ADDED_FILES)]
    plots = (*PLOTS, *ADDED_PLOTS)
    stale += [f / f"{name}.{kind}" for f in folders for name in plots for kind in ("png", "svg")]
    try:
        for path in stale:
            if path not in written:
                path.unlink(missing_ok=True)
        for folder in reversed(folders):
            if not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise OutputError(
            Path(error.filename or out),
            f"of an earlier report cannot be removed ({error.strerror or error})",
            remedy="remove it, or name a new folder",
        ) from error


def _is_own(folder: Path) -> bool:
    return folder.is_dir() and not folder.is_symlink()


def _review(predictions: Predictions) -> pd.DataFrame:
    """Label-error candidates for a spreadsheet: what would run there as a formula is text, with a
    single quote before it."""
    table = label_error_table(predictions)
    for column in ("image_id", "patient_id", "finding"):
        table[column] = [
            f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
            for cell in table[column]
        ]
    return table


def plot_folders(findings: tuple[str, ...]) -> tuple[str, ...]:
    """Where each finding's plots lie, below the report's folder."""
    if len(findings) == 1:
        return ("plots",)
    names: list[str] = []
    for finding in findings:
        name = re.sub(r"[^a-z0-9]+", "_", finding.lower()).strip("_") or "finding"
        # Two names may differ in nothing but marks that a file's name had better not hold.
        while name in names:
            name += "_"
        names.append(name)
    return tuple(f"plots/{name}" for name in names)
