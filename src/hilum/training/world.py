"""The processes that train together: how they join, what they share, how their answers meet.

One process is a world of size one. What the launcher says of each stands in `environment`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.data.reading import cores
from hilum.errors import TrainingError
from hilum.model.classifier import Classifier
from hilum.model.timm_runtime import timm
from hilum.recipe import TrainPart
from hilum.training.environment import Place, is_restart, main_process
from hilum.training.synced_norm import with_synced_norms

if TYPE_CHECKING:
    from lightning_fabric import Fabric

__all__ = [
    "as_first",
    "gathered",
    "heard",
    "is_restart",
    "launch",
    "main_process",
    "own_cores",
    "pooled",
    "synced",
]

# It greets every world with a banner.
logging.getLogger("lightning_fabric").setLevel(logging.WARNING)


def launch(settings: TrainPart) -> Fabric:
    """Join the world: this process alone, or all that torchrun has started, through DDP.

    Gradients are averaged over the processes, by gloo on CPUs and NCCL on GPUs, one process a GPU.
    `batch_size` counts the films of all processes, so the learning rate does not hang on how many
    there are. Raises TrainingError when the accelerator is absent or has too few devices.
    """
    # Fabric takes seconds to import, which a head on frozen features can do without.
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments.lightning import LightningEnvironment
    from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    place = Place.here()
    alone = place.world == 1
    try:
        fabric = Fabric(
            accelerator=settings.accelerator,
            strategy="auto" if alone else "ddp",
            devices=place.on_host,
            num_nodes=place.hosts,
            precision=settings.precision,
            # Named, for Fabric would else take a lone process in a SLURM job for one of many.
            plugins=[LightningEnvironment() if alone else TorchElasticEnvironment()],
        )
    except (RuntimeError, ValueError, MisconfigurationException) as error:
        raise TrainingError(
            f"train.accelerator = {settings.accelerator!r}",
            next(filter(str.strip, str(error).splitlines())).strip(),
            remedy="set 'auto' or 'cpu'" if alone else "start one process for each device",
        ) from error
    fabric.launch()
    return fabric


def synced(classifier: Classifier, fabric: Fabric) -> Classifier:
    """Let every batch norm see the films of all processes. State-dict names stay as they are.

    Changes the classifier itself. In evaluation mode nothing differs from an ordinary batch norm.
    """
    if fabric.world_size > 1:
        # torch's own is the quicker one, and refuses to work on a CPU.
        on_gpu = fabric.device.type == "cuda"
        (timm.layers.convert_sync_batchnorm if on_gpu else with_synced_norms)(classifier)
    return classifier


def own_cores() -> int:
    """Cores that are this process's to use: those of the host, shared among its processes."""
    return max(1, cores() // Place.here().on_host)


def heard(fabric: Fabric, *values: float) -> Tensor:
    """What every process has to say, shape (processes, values), on the CPU."""
    own = torch.tensor(values, dtype=torch.float64)
    if fabric.world_size == 1:
        return own[None]
    said = torch.zeros((fabric.world_size, len(values)), dtype=torch.float64, device=fabric.device)
    said[fabric.global_rank] = own.to(fabric.device)
    torch.distributed.all_reduce(said)
    return said.cpu()


def pooled(fabric: Fabric, own: list[str]) -> list[str]:
    """The words of all processes, one process after the other."""
    if fabric.world_size == 1:
        return own
    every: list[list[str]] = [[] for _ in range(fabric.world_size)]
    torch.distributed.all_gather_object(every, own)
    return [word for words in every for word in words]


def as_first(fabric: Fabric, tensors: Iterable[Tensor]) -> None:
    """Give every process the first one's values, in place; as many tensors in each."""
    if fabric.world_size > 1:
        for tensor in tensors:
            torch.distributed.broadcast(tensor, src=0)


def gathered(
    fabric: Fabric,
    positions: NDArray[np.intp],
    value_nf: NDArray[np.float64],
    n: int,
) -> NDArray[np.float64]:
    """What each process found, put together by row position; every process gets the whole.

    positions: the rows that this process looked at, shape (k,); value_nf: theirs, shape (k, f)
    Returns shape (n, f), NaN where nobody looked. Raises TrainingError when a row was looked at
    more than once, for then an image would count twice.
    """
    seen_n1 = np.zeros((n, 1))
    np.add.at(seen_n1, positions, 1.0)
    whole_nf = np.zeros((n, value_nf.shape[1]))
    whole_nf[positions] = value_nf
    both = np.concatenate([whole_nf, seen_n1], axis=1)
    if fabric.world_size > 1:
        there = torch.from_numpy(both).to(fabric.device)
        torch.distributed.all_reduce(there)  # a row of one process, and noughts of all others
        both = there.cpu().numpy()
    whole_nf, seen_n = both[:, :-1], both[:, -1]
    if (seen_n > 1).any():
        row = int(np.argmax(seen_n > 1))
        raise TrainingError(
            "the processes' answers",
            f"row {row:,} was looked at {int(seen_n[row])} times",
            expected="each image once",
        )
    whole_nf[seen_n == 0] = np.nan
    return whole_nf
