"""Look into any embedding, and not be fooled by the map."""

from labkit.explore._entry import compare, explore
from labkit.explore._explorer import Explorer, Neighbours

__all__ = ["Explorer", "Neighbours", "compare", "explore"]
