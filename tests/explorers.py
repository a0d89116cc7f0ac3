"""What the tests of the Explorer look at, and how a browser speaks to it."""

import numpy as np

_RNG = np.random.default_rng(0)
Y = np.arange(150) % 3
Z = (_RNG.normal(size=(3, 6))[Y] * 3 + _RNG.normal(size=(150, 6))).astype(np.float32)


def in_browser(explorer, **changes):
    """A change as it arrives from the browser."""
    explorer.set_state(changes)
