"""What was made of a tensor, kept for as long as the tensor lives and stays unchanged."""

from collections.abc import Callable, Hashable
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

Made = TypeVar("Made")


class Remembered:
    """Lets a training loop ask for the same thing in every step, and have it made once.

    What is made must not hold the tensor it is made of: both would then live for ever. A change made through
    ``tensor.numpy()`` or ``tensor.data`` is one that torch does not count: what was made before it is given again.
    """

    def __init__(self):
        self._known = WeakIdKeyDictionary()

    def of(self, tensor: Tensor, make: Callable[[], Made], *key: Hashable) -> Made:
        """``make()``, or what it gave for this very tensor and ``key`` before, under the same default type of torch."""
        if tensor.is_inference():  # such a tensor does not say when it changes
            return make()
        key += (torch.get_default_dtype(),)  # in which what is made may be
        version, made = self._known.get(tensor, (None, {}))
        if version != tensor._version:
            made = {}
            self._known[tensor] = tensor._version, made
        if key not in made:
            with torch.inference_mode(False), torch.no_grad():  # a training may ask for it after an inference has
                made[key] = make()
        return made[key]
