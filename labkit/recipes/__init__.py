"""A recipe: data, method, training, protocol and the paper's number. Run it over seeds and say what came out."""

from labkit.recipes._arms import over_seeds
from labkit.recipes._circumstances import circumstances
from labkit.recipes._figure import beside_floors, recorded
from labkit.recipes._kept import Kept, measured
from labkit.recipes._material import Material
from labkit.recipes._own_graph import for_own_graph
from labkit.recipes._recipe import PaperNumber, Recipe, Result, choose_protocol
from labkit.recipes._run import run, run_protocols, spread
from labkit.recipes._sweep import Trained, sweep, train

__all__ = [
    "Kept",
    "Material",
    "PaperNumber",
    "Recipe",
    "Result",
    "Trained",
    "beside_floors",
    "choose_protocol",
    "circumstances",
    "for_own_graph",
    "measured",
    "over_seeds",
    "recorded",
    "run",
    "run_protocols",
    "spread",
    "sweep",
    "train",
]
