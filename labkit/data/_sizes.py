"""The sizes of what was loaded, by the names that the catalogue uses."""

from typing import Any

from torch import Tensor

from labkit.data._image_set import ImageSet


def sizes(value: Any) -> dict[str, Any]:
    """{"nodes": 2708, ...} of a graph, {"images": [70000, 1, 28, 28], ...} of images, and so on."""
    if isinstance(value, ImageSet):
        found = {"images": list(value.images.shape)} | {name: len(rows) for name, rows in value.splits.items()}
        return found | ({} if value.labels is None else {"classes": len(value.labels.unique())})
    if isinstance(value, dict):
        return {"images": len(value)}
    kind = type(value).__name__
    if kind == "Data":
        return _graph_sizes(value)
    if kind == "HeteroData":
        labels = next(store.y for store in value.node_stores if "y" in store)
        return {"nodes": {name: value[name].num_nodes for name in value.node_types}, "classes": len(labels.unique())}
    if kind == "GraphSet":
        return {"graphs": len(value), "classes": len(value.y.unique()), "features": value[0].num_node_features}
    return {"molecules" if kind == "Molecules" else "images": len(value)}


def _graph_sizes(data) -> dict[str, Any]:
    found = {"nodes": data.num_nodes, "features": data.num_node_features}
    if data.edge_index is not None:
        found["edges"] = data.num_edges
    if "hyperedge_index" in data:
        found["hyperedges"] = data.num_hyperedges
    if "citations" in data:
        found["citations"] = data.citations
    if isinstance(data.y, Tensor):
        found["classes"] = len(data.y.unique())
    for part in ("train", "val", "test"):
        mask = data.get(f"{part}_mask")
        if mask is not None and mask.dim() == 1:
            found[part] = int(mask.sum())
    return found
