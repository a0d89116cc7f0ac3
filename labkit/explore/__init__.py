"""Look into any embedding, and not be fooled by the map."""

from labkit.explore._augmentation_lab import augmentation_lab, graph_embedding
from labkit.explore._class_collision import class_collision_lab, class_mixture, collision_curve
from labkit.explore._entry import compare, explore
from labkit.explore._explorer import Explorer, Neighbours
from labkit.explore._four_losses import four_losses, four_losses_one_spectrum, order_agreement
from labkit.explore._graph_view_lab import graph_view_lab
from labkit.explore._homophily_lab import homophily_lab
from labkit.explore._image_view_lab import chosen_view, image_view_lab
from labkit.explore._masking_lab import masking_lab, risk_over_shares
from labkit.explore._pair_graph_labs import infonce_flow_lab, mode_growth, temperature_lab
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.explore._redundancy_lab import redundancy_lab
from labkit.explore._rotation_wheel import circle_embedding, rotation_wheel
from labkit.explore._shortcut_lab import shortcut_lab
from labkit.explore._sphere_lab import sphere_lab, two_views, uniformity_curve
from labkit.explore._stepwise_scrubber import digit_pairs, stepwise_scrubber
from labkit.explore._top_d_dial import closed_form_scores, top_d_dial
from labkit.explore._walk_lab import walk_lab
from labkit.explore._whole_graph_lab import whole_graph_lab

__all__ = [
    "Explorer",
    "Layer",
    "Neighbours",
    "Panel",
    "Playground",
    "Slider",
    "augmentation_lab",
    "chosen_view",
    "circle_embedding",
    "class_collision_lab",
    "class_mixture",
    "closed_form_scores",
    "collision_curve",
    "compare",
    "digit_pairs",
    "explore",
    "four_losses",
    "four_losses_one_spectrum",
    "graph_embedding",
    "graph_view_lab",
    "homophily_lab",
    "image_view_lab",
    "infonce_flow_lab",
    "masking_lab",
    "mode_growth",
    "order_agreement",
    "redundancy_lab",
    "risk_over_shares",
    "rotation_wheel",
    "shortcut_lab",
    "sphere_lab",
    "stepwise_scrubber",
    "temperature_lab",
    "top_d_dial",
    "two_views",
    "uniformity_curve",
    "walk_lab",
    "whole_graph_lab",
]
