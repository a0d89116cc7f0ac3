"""The network of Fisher information embeddings: kernel maps and one EM step of every neighbourhood."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch_geometric.utils import add_self_loops

from labkit._checks import require_known, require_positive
from labkit.data import check_graph
from labkit.models import SparseMatrix, sparse_if_faster
from labkit.papers.graph._distances import adjacency


class KernelMap(nn.Module):
    """Nyström features of the kernel ‖x‖‖y‖ exp((cos(x, y) − 1) / σ²): κ(x, anchors) κ(anchors, anchors)^-1/2."""

    def __init__(self, x: Tensor | SparseMatrix, dim: int, sigma: float):
        super().__init__()
        self.anchors, self.sigma = nn.Parameter(_some_rows(x, dim)), sigma

    def forward(self, x: Tensor | SparseMatrix) -> Float[Tensor, "nodes dim"]:
        length = _lengths(x)[:, None]
        kernel = self.kappa(x @ self.anchors.T / length.clamp(min=1e-12)) * length
        return kernel @ _InverseRoot.apply(self.kappa(self.anchors @ self.anchors.T))

    def kappa(self, cosine: Tensor) -> Tensor:
        return ((cosine - 1) / self.sigma**2).exp()


class FisherLayer(nn.Module):
    """A node's neighbourhood as a Gaussian mixture: one EM step from anchors μ_k that all nodes share.

    Neighbour j belongs to component k with probability r_jk, a softmax over k of cos(h_j, μ_k) / temperature. The
    node's mean of component k is the mean of its neighbours (itself among them) weighted by r_jk; the embedding is how
    far these means moved from the anchors. So the weight of a neighbour depends on it alone, not on the pair: two
    sparse products in place of scores for each edge, O(edges · mixtures · dim).

    Args:
        h: where the anchors are drawn from.
        mixtures: number of components.
        attention: "em": weights r_jk, the mean that EM gives. "released": exp(r_jk), since the released code takes a
            softmax over neighbours of what already are probabilities; these weights differ by e at most.
        temperature: under the softmax over components; None: the width of h, as in the released code. At a width of
            128 every r_jk is then within 2 % of 1 / mixtures, and the layer is a plain mean over neighbours.
    """

    def __init__(self, h: Tensor, mixtures: int, attention: str, temperature: float | None):
        super().__init__()
        self.anchors = nn.Parameter(_some_rows(h, mixtures))
        self.attention, self.temperature = attention, float(h.shape[1]) if temperature is None else temperature

    def forward(self, h: Float[Tensor, "nodes dim"], neighbours: SparseMatrix) -> Float[Tensor, "nodes out"]:
        belongs = (F.normalize(h, dim=1) @ self.anchors.T / self.temperature).softmax(dim=1)
        weight = belongs if self.attention == "em" else belongs.exp()
        total = neighbours @ weight
        parts = zip(weight.T, total.T, self.anchors, strict=True)
        # component by component: all at once is no faster, and holds four arrays of the output's size in place of two
        return torch.cat([neighbours @ (w[:, None] * h) / t[:, None] - anchor for w, t, anchor in parts], dim=1)


class FisherNetwork(nn.Module):
    """A kernel map, then Fisher layers with a kernel map after each; all anchors start as rows of what comes in.

    Args:
        data: the graph.
        hidden: width of the kernel maps; at most the number of nodes.
        mixtures, layers, attention, temperature: of the Fisher layers.
        sigma: σ of the kernels.
        map_last: whether a kernel map follows the last layer (supervised) or not (unsupervised).
    """

    def __init__(self, data, hidden, mixtures, layers, sigma, attention, temperature, map_last):
        super().__init__()
        require_known("attention", attention, ("em", "released"))
        if temperature is not None:
            require_positive("temperature", temperature)
        if layers < 1 or mixtures < 1 or not 1 <= hidden <= data.num_nodes:
            raise ValueError(
                f"layers and mixtures must be at least 1, not {layers} and {mixtures}, and hidden between 1 and the "
                f"{data.num_nodes} nodes, not {hidden}"
            )
        require_positive("sigma", sigma)
        check_graph(data)
        x, neighbours = sparse_if_faster(data.x), _with_self(data)
        self.dim_in = x.shape[1]
        self.parts = nn.ModuleList([KernelMap(x, hidden, sigma)])
        with torch.no_grad():
            h = self.parts[0](x)
            for layer in range(layers):
                self.parts.append(FisherLayer(h, mixtures, attention, temperature))
                h = self.parts[-1](h, neighbours)
                if layer < layers - 1 or map_last:
                    self.parts.append(KernelMap(h, hidden, sigma))
                    h = self.parts[-1](h)

    def states(self, data) -> Iterator[tuple[nn.Module, Tensor | SparseMatrix, Tensor]]:
        """(part, what goes in, what comes out) of each part in turn."""
        h, neighbours = sparse_if_faster(data.x), _with_self(data)
        for part in self.parts:
            out = part(h, neighbours) if isinstance(part, FisherLayer) else part(h)
            yield part, h, out
            h = out

    def concatenated(self, data) -> Float[Tensor, "nodes out"]:
        """Output of the first kernel map and of every layer, each after its kernel map if it has one."""
        outputs = [out for part, _, out in self.states(data) if part is self.parts[-1] or isinstance(part, KernelMap)]
        return torch.cat(outputs, dim=1)


def quantisation(h: Tensor | SparseMatrix, anchors: Float[Tensor, "k dim"]) -> Float[Tensor, ""]:
    """Mean over rows of 1 − cosine to the nearest anchor: the objective of spherical k-means."""
    length = _lengths(h)
    nearest = (h @ anchors.T / length.clamp(min=1e-12)[:, None]).amax(dim=1)
    return (1 - nearest[length > 0]).mean()


class _InverseRoot(torch.autograd.Function):
    """(K^½ + 0.01)^-1 of a positive matrix; its gradient needs no difference of eigenvalues, so ties are harmless."""

    @staticmethod
    def forward(ctx, matrix: Tensor) -> Tensor:
        values, vectors = torch.linalg.eigh(matrix)
        root = values.clamp(min=0).sqrt() + 0.01
        ctx.save_for_backward(root, vectors)
        return (vectors / root) @ vectors.T

    @staticmethod
    def backward(ctx, upstream: Tensor):
        root, vectors = ctx.saved_tensors
        across, down = root[None], root[:, None]
        inner = vectors.T @ upstream @ vectors
        return -vectors @ (inner / ((across + down - 0.02).clamp(min=0.02) * across * down)) @ vectors.T


def _some_rows(x: Tensor | SparseMatrix, count: int) -> Float[Tensor, "count dim"]:
    """Different rows of x that are not zero, divided by their length (drawn again where there are too few)."""
    usable = (_lengths(x) > 0).nonzero().flatten()
    order = torch.randperm(len(usable), device=usable.device)
    rows = usable[order[torch.arange(count, device=usable.device) % len(usable)]]
    if isinstance(x, SparseMatrix):  # row by row: the whole of it, dense, may not fit
        return F.normalize(torch.stack([x.matrix[row].to_dense() for row in rows.tolist()]), dim=1)
    return F.normalize(x[rows], dim=1)


def _lengths(x: Tensor | SparseMatrix) -> Float[Tensor, " nodes"]:
    return x.norm(dim=1) if isinstance(x, Tensor) else x.squared_rows().sqrt()


def _with_self(data) -> SparseMatrix:
    edges, _ = add_self_loops(data.edge_index, num_nodes=data.num_nodes)
    return adjacency(edges, data.num_nodes)
