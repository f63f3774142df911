"""Training state on disk: written whole or not at all, read back without pickle.

When to save, and what the state means, is the loop's business.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hilum.errors import TrainingError
from hilum.writing import replacing

PATTERN = "checkpoint-*.safetensors"
_PARTS = ("model", "best", "average")


def checkpoints(folder: Path) -> list[Path]:
    """What a run has saved in its folder, the newest last."""
    return sorted(folder.glob(PATTERN))


def save_tensors(
    tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None
) -> None:
    """Write a safetensors file. Raises OSError, also where safetensors has an error of its own."""
    try:
        save_file(tensors, path, metadata=metadata)
    except SafetensorError as error:
        raise OSError(str(error)) from error


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    model, best, average: state dicts of the network now, at its best on tune, and averaged along
        the path; without average it is empty
    optimizer: AdamW's tensors, parameter index → name → tensor
    facts: plain values: recipe, data digest, step, best figure, epochs since
    What a step draws at random hangs on the seed and the step alone, so there is nothing to keep.
    """

    model: dict[str, Tensor]
    best: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    facts: dict[str, object]

    def write(self, folder: Path, step: int, keep: int) -> None:
        """Write to a temporary name and rename; then only the newest `keep` stay.

        Raises OutputError; what was saved before is then still there.
        """
        tensors: dict[str, Tensor] = {}
        for part in _PARTS:
            state: dict[str, Tensor] = getattr(self, part)
            tensors |= {f"{part}/{name}": tensor for name, tensor in state.items()}
        for index, state in self.optimizer.items():
            tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in state.items()}
        plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        with replacing(folder / PATTERN.replace("*", f"{step:09d}")) as draft:
            save_tensors(plain, draft, {"facts": json.dumps(self.facts)})
        for older in checkpoints(folder)[:-keep]:
            older.unlink(missing_ok=True)

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Raises TrainingError when the file is damaged."""
        states: dict[str, dict[str, Tensor]] = {part: {} for part in _PARTS}
        optimizer: dict[int, dict[str, Tensor]] = {}
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                for name in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
                    part, _, rest = name.partition("/")
                    tensor = file.get_tensor(name)
                    if part == "optimizer":
                        index, _, key = rest.partition("/")
                        optimizer.setdefault(int(index), {})[key] = tensor
                    else:
                        states[part][rest] = tensor
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise TrainingError(
                path,
                f"cannot be read ({error})",
                expected="a checkpoint",
                remedy="remove it to go on from the one before, or start without --resume",
            ) from error
        return cls(**states, optimizer=optimizer, facts=facts)
