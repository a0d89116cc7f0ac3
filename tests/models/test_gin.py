"""The GIN against PyG's GINConv and pools, value and gradient."""

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GINConv, global_add_pool, global_max_pool, global_mean_pool

from labkit.data import GraphBatch
from labkit.models import GIN

POOLS = {"sum": global_add_pool, "mean": global_mean_pool, "max": global_max_pool}


def graphs():
    generator = torch.Generator().manual_seed(1)
    return [
        Data(
            x=torch.rand(n, 4, generator=generator, dtype=torch.float64),
            edge_index=torch.randint(n, (2, 3 * n), generator=generator),
        )
        for n in (5, 1, 7, 3)
    ] + [Data(x=torch.ones(2, 4, dtype=torch.float64), edge_index=torch.empty(2, 0, dtype=torch.int64))]


def reference(gin, batch, pool):
    x, outputs = batch.x, []
    for update, norm in zip(gin.updates, gin.norms, strict=True):
        convolve = GINConv(nn.Identity())  # it would draw new weights for an MLP that it is given
        x = norm(torch.relu(update(convolve(x, batch.edge_index))))
        outputs.append(x)
    return torch.cat([POOLS[pool](x, batch.batch, batch.num_graphs) for x in outputs], dim=1)


@pytest.mark.parametrize("pool", POOLS)
def test_gin_equals_pyg(pool):
    gin = GIN(4, hidden=6, layers=3, pool=pool).double()
    theirs = Batch.from_data_list(graphs())
    ours = GraphBatch(theirs.x, theirs.edge_index, theirs.ptr)
    weight = torch.rand(5, 18, dtype=torch.float64)
    gradients = []
    for embed in (lambda: gin(ours), lambda: reference(gin, theirs, pool)):
        z = embed()
        gin.zero_grad()
        (z * weight).sum().backward()
        gradients.append((z.detach(), [parameter.grad.clone() for parameter in gin.parameters()]))
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gin.dim == 18


def test_a_constant_feature_without_biases_leaves_nothing_but_the_degree():
    """Why biases start at random: without them node values of the first layer are multiples of 1 + degree."""
    star = torch.tensor([[0, 0, 0, 1, 2, 3], [1, 2, 3, 0, 0, 0]])
    batch = GraphBatch(torch.ones(4, 1), star, torch.tensor([0, 4]))
    gin = GIN(1, layers=1).eval()
    hub, leaf = gin.nodes(batch)[0][:2].detach()
    assert not torch.allclose(hub, 2 * leaf)
    for layer in gin.updates[0][::2]:
        nn.init.zeros_(layer.bias)
    hub, leaf = gin.nodes(batch)[0][:2].detach()
    torch.testing.assert_close(hub, 2 * leaf)  # 1 + 3 neighbours against 1 + 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": 0}, "layers must be at least 1"),
        ({"hidden": 0}, "hidden must be at least 1"),
        ({"pool": "man"}, "did you mean 'mean'"),
    ],
)
def test_bad_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        GIN(3, **options)
