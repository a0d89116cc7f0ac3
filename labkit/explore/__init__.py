"""Look into any embedding, and not be fooled by the map."""

from labkit.explore._entry import compare, explore
from labkit.explore._explorer import Explorer, Neighbours
from labkit.explore._graph_view_lab import graph_view_lab
from labkit.explore._playground import Layer, Panel, Playground, Slider

__all__ = [
    "Explorer",
    "Layer",
    "Neighbours",
    "Panel",
    "Playground",
    "Slider",
    "compare",
    "explore",
    "graph_view_lab",
]
