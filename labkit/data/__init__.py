"""What is looked at: a catalogue of graphs and images, read safely, and graphs drawn from a seed.

Graphs are PyG ``Data``, images are an ``ImageSet``. ``load(name)`` looks in ``$LABKIT_DATA``, then in ``data/``, then
on the network; every file is checked against its sha256 before it is read.

    import labkit
    graph = labkit.data.load("cora")               # Data(x=[2708, 1433], edge_index=[2, 10556], ...)
    images = labkit.data.load("fashion-mnist")     # ImageSet(fashion-mnist: 70000 images 1 × 28 × 28, ...)
    labkit.data.catalogue()                        # a table of everything there is
"""

from importlib import import_module
from typing import TYPE_CHECKING

from labkit._graph_batch import GraphBatch
from labkit.data import world
from labkit.data._catalogue import Catalogue, Entry, File, catalogue
from labkit.data._image_folder import read_images
from labkit.data._image_set import ImageSet
from labkit.data._load import available, load

# These need PyG, whose import takes seconds: they load when first asked for.
_GRAPH_NAMES = {
    "check_graph": "labkit.data._graph_files",
    "read_graph": "labkit.data._graph_files",
    "save_graph": "labkit.data._graph_files",
    "stochastic_block_model": "labkit.data._random_graphs",
    "GraphSet": "labkit.data._graph_collections",
}

__all__ = [
    "Catalogue",
    "Entry",
    "File",
    "GraphBatch",
    "GraphSet",
    "ImageSet",
    "available",
    "catalogue",
    "check_graph",
    "load",
    "read_graph",
    "read_images",
    "save_graph",
    "stochastic_block_model",
    "world",
]

if TYPE_CHECKING:
    from labkit.data._graph_collections import GraphSet
    from labkit.data._graph_files import check_graph, read_graph, save_graph
    from labkit.data._random_graphs import stochastic_block_model


def __getattr__(name: str):
    if name in _GRAPH_NAMES:
        return getattr(import_module(_GRAPH_NAMES[name]), name)
    raise AttributeError(f"module 'labkit.data' has no attribute {name!r}; it has: {', '.join(__all__)}")
