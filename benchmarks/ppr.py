"""Personalised PageRank on Cora, α = 0.2: features diffused, and the whole matrix, against PyG's exact GDC."""

import torch
from torch_geometric.transforms import GDC

from benchmarks._bench import Row, alternate
from labkit.data import load
from labkit.models import PPR, diffuse, diffusion_matrix

NAME = "PPR diffusion"
ALPHA, DIM = 0.2, 128


def main(repeats: int = 5) -> list[Row]:
    data, gdc = load("cora"), GDC()
    n, edges = data.num_nodes, data.edge_index
    x = torch.randn(n, DIM, generator=torch.Generator().manual_seed(0))

    def theirs():
        loops = torch.cat([edges, torch.arange(n).expand(2, -1)], dim=1)
        found = gdc.transition_matrix(loops, torch.ones(loops.shape[1]), n, "sym")
        return gdc.diffusion_matrix_exact(*found, n, method="ppr", alpha=ALPHA)

    torch.testing.assert_close(diffuse(x, edges, PPR(ALPHA)), theirs() @ x, rtol=1e-3, atol=1e-3)
    diffused = alternate(lambda: diffuse(x, edges, PPR(ALPHA)), lambda: theirs() @ x, repeats)
    whole = alternate(lambda: diffusion_matrix(edges, n, PPR(ALPHA)), theirs, repeats)
    return [
        Row(f"PPR diffusion of {DIM} features on Cora", "PyG's GDC, exact", *diffused),
        Row("the whole PPR matrix of Cora", "PyG's GDC, exact", *whole, why="inverted in float64, theirs in float32"),
    ]
