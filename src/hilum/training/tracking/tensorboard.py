"""A run as files that TensorBoard shows: `tensorboard --logdir MODELS/tensorboard`.

What a run's figures are is the package's business.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.utils.tensorboard import SummaryWriter

from hilum.bundle import CARD, MANIFEST, NOT_A_DEVICE
from hilum.card import without_front_matter
from hilum.training.tracking import epoch_figures, final_figures, flattened, step_figures
from hilum.training.watching import EpochReport, StepReport
from hilum.writing import replacing

if TYPE_CHECKING:
    from hilum.training.records import RunRecord

FOLDER = "tensorboard"
_KEPT = "tensorboard.json"


class TensorboardTracker:
    """Writes beside the bundle, in a folder for each run, which stays when the bundle stands."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._writer: SummaryWriter | None = None

    def on_start(self, run: RunRecord, work: Path) -> None:
        self._run, kept = run, work / _KEPT
        self._resumed = bool(run.resumed) and kept.is_file()
        if self._resumed:
            self._logs = Path(json.loads(kept.read_text(encoding="utf-8"))["logs"])
        else:
            when = run.started.replace(":", "").replace("+0000", "Z")
            self._logs = work.parent / FOLDER / f"{run.name}-{when}"
            with replacing(kept) as draft:
                draft.write_text(json.dumps({"logs": str(self._logs)}))
        self._say(f"TensorBoard: tensorboard --logdir {self._logs.parent}")

    def on_step(self, report: StepReport) -> None:
        self._add(report.step, step_figures(report))

    def on_epoch(self, report: EpochReport) -> None:
        self._add(report.step, epoch_figures(report))
        self._open(report.step).flush()

    def on_end(self, run: RunRecord, folder: Path) -> None:
        if self._writer is None and run.status != "done":
            return  # it has not come to a step
        writer = self._open(run.steps)
        settings = {key: _plain(value) for key, value in flattened(run.recipe)}
        figures: dict[str, float] = {}
        if (folder / MANIFEST).is_file():
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            figures = final_figures(manifest)
            card = (folder / CARD).read_text(encoding="utf-8")
            writer.add_text("card", without_front_matter(card), run.steps)
        # A name of its own would make every run two.
        writer.add_hparams(settings, figures, run_name=".", global_step=run.steps)
        writer.close()

    def _add(self, step: int, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._open(step).add_scalar(name, value, step)

    def _open(self, step: int) -> SummaryWriter:
        if self._writer is None:
            # What an interrupted run wrote from this step on is written again.
            purge = step if self._resumed else None
            self._writer = SummaryWriter(str(self._logs), purge_step=purge)
            self._writer.add_text("run", _about(self._run), 0)
        return self._writer


def _about(run: RunRecord) -> str:
    lines = {
        "source": run.source,
        "synthetic": "SYNTHETIC: no patient stands behind these images" if run.synthetic else "no",
        "data digest": run.data_digest,
        "commit": run.commit or "none",
        "command": run.command,
        "use": NOT_A_DEVICE,
    }
    return "\n".join(f"- {key}: {value}" for key, value in lines.items())


def _plain(value: Any) -> bool | int | float | str:
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)
