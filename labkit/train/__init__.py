"""Training: one loop for every method, and the ``Run`` it leaves behind."""

from labkit.train._batches import Minibatches
from labkit.train._device import choose_device, has_bfloat16, seeded, to_device
from labkit.train._fit import fit
from labkit.train._memory import memory_kept
from labkit.train._parallel import joined
from labkit.train._run import Run, finished
from labkit.train._subgraphs import Subgraphs

__all__ = [
    "Minibatches",
    "Run",
    "Subgraphs",
    "choose_device",
    "finished",
    "fit",
    "has_bfloat16",
    "joined",
    "memory_kept",
    "seeded",
    "to_device",
]
