"""How a run is asked to stop, and what it leaves when it has to.

A signal is answered between two steps, so that no step is torn.
"""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hilum.errors import StoppedError, TrainingError
from hilum.writing import replacing

STOPPED = "stopped.json"
# Mean cross-entropy is 0.7 where nothing is known; a thousand times that, weights included, is no
# training any more.
EXPLODED = 1000.0
_SLOWER = "set a lower train.learning_rate and start again"


@dataclass
class StopFlag:
    asked: bool = False


@contextmanager
def stop_requested() -> Iterator[StopFlag]:
    """SIGINT and SIGTERM ask the loop to stop after the step in hand."""
    flag = StopFlag()

    def ask(signum: int, frame: object) -> None:
        flag.asked = True

    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        for each in before:
            signal.signal(each, ask)
    except ValueError:  # not the main thread: whoever owns the process answers its signals
        before = {}
    try:
        yield flag
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def interrupted(step: int, steps: int, folder: Path) -> StoppedError:
    return StoppedError(
        "training",
        f"interrupted after step {step} of {steps}; its state is kept in {folder}",
        remedy="run the same command with --resume to go on",
    )


def is_broken(loss: float) -> bool:
    """Not finite, or exploded."""
    return not (math.isfinite(loss) and loss <= EXPLODED)


def broken_loss(
    loss: float,
    step: int,
    rate: float,
    image_ids: Sequence[str],
    rows: Sequence[str],
    folder: Path,
) -> TrainingError:
    """The error for a step whose loss is broken.

    The ids of its films are written to `stopped.json` in the folder, for one of them may be why,
    and their numbers in the source, from 0: ids that are hashed lead nobody to a film.
    """
    facts = {
        "step": step,
        "loss": str(loss),
        "learning_rate": rate,
        "image_ids": list(image_ids),
        "rows": [int(row) for row in rows],
    }
    with replacing(folder / STOPPED) as draft:
        draft.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return TrainingError(
        "training",
        f"the loss is {loss:.3g} at step {step}, on a batch that begins with "
        f"{', '.join(image_ids[:3])}; all its ids are in {folder / STOPPED}",
        remedy=_SLOWER,
    )


def refuse_broken_tune(loss: float) -> None:
    """Raise TrainingError when the loss on tune is not finite."""
    if not math.isfinite(loss):
        raise TrainingError("training", f"the loss on tune is {loss}", remedy=_SLOWER)
