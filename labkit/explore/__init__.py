"""Look into any embedding, and not be fooled by the map."""

from labkit.explore._entry import compare, explore
from labkit.explore._explorer import Explorer, Neighbours
from labkit.explore._four_losses import four_losses, four_losses_one_spectrum, order_agreement
from labkit.explore._graph_view_lab import graph_view_lab
from labkit.explore._playground import Layer, Panel, Playground, Slider
from labkit.explore._stepwise_scrubber import digit_pairs, stepwise_scrubber
from labkit.explore._top_d_dial import closed_form_scores, top_d_dial

__all__ = [
    "Explorer",
    "Layer",
    "Neighbours",
    "Panel",
    "Playground",
    "Slider",
    "closed_form_scores",
    "compare",
    "digit_pairs",
    "explore",
    "four_losses",
    "four_losses_one_spectrum",
    "graph_view_lab",
    "order_agreement",
    "stepwise_scrubber",
    "top_d_dial",
]
