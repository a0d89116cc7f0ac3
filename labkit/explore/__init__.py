"""Look into any embedding, and not be fooled by the map."""

from labkit.explore._augmentation_lab import augmentation_lab, graph_embedding
from labkit.explore._class_collision import class_collision_lab, class_mixture, collision_curve
from labkit.explore._entry import compare, explore
from labkit.explore._explorer import Explorer, Neighbours
from labkit.explore._graph_view_lab import graph_view_lab
from labkit.explore._masking_lab import masking_lab, risk_over_shares
from labkit.explore._pair_graph_labs import infonce_flow_lab, mode_growth, temperature_lab
from labkit.explore._playground import Layer, Panel, Playground, Slider
from labkit.explore._rotation_wheel import circle_embedding, rotation_wheel
from labkit.explore._sphere_lab import sphere_lab, two_views, uniformity_curve

__all__ = [
    "Explorer",
    "Layer",
    "Neighbours",
    "Panel",
    "Playground",
    "Slider",
    "augmentation_lab",
    "circle_embedding",
    "class_collision_lab",
    "class_mixture",
    "collision_curve",
    "compare",
    "explore",
    "graph_embedding",
    "graph_view_lab",
    "infonce_flow_lab",
    "masking_lab",
    "mode_growth",
    "risk_over_shares",
    "rotation_wheel",
    "sphere_lab",
    "temperature_lab",
    "two_views",
    "uniformity_curve",
]
