"""Training state on disk: written whole or not at all, read back without pickle.

When to save, and what the state means, is the loop's business.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hilum.errors import TrainingError
from hilum.writing import replacing

NAME = "checkpoint.safetensors"


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

    model, best: state dicts of the network now and at its best on tune
    optimizer: AdamW's tensors, parameter index → name → tensor
    generator: torch's random state, which dropout draws from
    facts: plain values: recipe, data digest, step, best figure, epochs since
    """

    model: dict[str, Tensor]
    best: dict[str, Tensor]
    optimizer: dict[int, dict[str, Tensor]]
    generator: Tensor
    facts: dict[str, object]

    def write(self, path: Path) -> None:
        """Write to a temporary name and rename. Raises OutputError."""
        tensors = {"generator": self.generator}
        tensors |= {f"model/{name}": tensor for name, tensor in self.model.items()}
        tensors |= {f"best/{name}": tensor for name, tensor in self.best.items()}
        for index, state in self.optimizer.items():
            tensors |= {f"optimizer/{index}/{name}": tensor for name, tensor in state.items()}
        plain = {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
        with replacing(path) as draft:
            save_tensors(plain, draft, {"facts": json.dumps(self.facts)})

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """Raises TrainingError when the file is damaged."""
        model: dict[str, Tensor] = {}
        best: dict[str, Tensor] = {}
        optimizer: dict[int, dict[str, Tensor]] = {}
        generator = torch.empty(0, dtype=torch.uint8)
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads(file.metadata()["facts"])
                for name in file.keys():  # noqa: SIM118 - a safetensors file is no mapping
                    part, _, rest = name.partition("/")
                    tensor = file.get_tensor(name)
                    if part == "model":
                        model[rest] = tensor
                    elif part == "best":
                        best[rest] = tensor
                    elif part == "optimizer":
                        index, _, key = rest.partition("/")
                        optimizer.setdefault(int(index), {})[key] = tensor
                    else:
                        generator = tensor
        except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
            raise TrainingError(
                path,
                f"cannot be read ({error})",
                expected="a checkpoint",
                remedy="start again without --resume",
            ) from error
        return cls(model, best, optimizer, generator, facts)
