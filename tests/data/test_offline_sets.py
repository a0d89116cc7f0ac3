"""What needs no download: every such set loads, has the promised sizes, and is the same again."""

import networkx
import pytest
import torch
from sklearn.datasets import load_digits
from torch_geometric.utils import is_undirected

from labkit.data import available, catalogue, load
from labkit.data._image_offline import PHOTOGRAPHS
from labkit.data._nuisance import _placed, add_nuisances

OFFLINE = [name for name, entry in catalogue().items() if entry.offline]


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return same(a.images, b.images) if hasattr(a, "images") else same(a.x, b.x) and same(a.edge_index, b.edge_index)


@pytest.mark.parametrize("name", OFFLINE)
def test_loads_without_any_file_and_twice_the_same(name, monkeypatch, tmp_path):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("went to the network"))
    assert available(name)
    assert same(load(name), load(name))


def test_digits_are_those_of_scikit_learn():
    digits = load("digits")
    raw = torch.from_numpy(load_digits().images)
    assert torch.equal((digits.images[:, 0].double() * 16 / 255).round(), raw)
    assert digits.labels.tolist() == load_digits().target.tolist()
    together = torch.cat([digits.splits["train"], digits.splits["test"]]).sort().values
    assert torch.equal(together, torch.arange(1797))
    shares = digits.subset("test").labels.bincount() / digits.labels.bincount()
    assert ((shares - 0.3).abs() < 0.01).all()  # stratified


def test_digits_splits_follow_seed_and_share():
    assert not torch.equal(load("digits", seed=1).splits["test"], load("digits").splits["test"])
    assert len(load("digits", test_share=0.5).splits["test"]) == 899
    with pytest.raises(ValueError, match="test_share must lie between 0 and 1"):
        load("digits", test_share=1.0)
    with pytest.raises(ValueError, match="seed must lie between 0 and 4294967295, not -1"):
        load("digits", seed=-1)


def test_photographs_have_their_own_sizes():
    pictures = load("photographs")
    assert len(pictures) == len(PHOTOGRAPHS)
    assert pictures["astronaut"].shape == (3, 512, 512)
    assert pictures["camera"].shape == (1, 512, 512)
    assert all(picture.dtype == torch.uint8 and picture.float().std() > 5 for picture in pictures.values())


def test_faces_are_faces_first():
    faces = load("faces")
    assert faces.labels.tolist() == [1] * 100 + [0] * 100
    assert faces.class_names == ("no face", "face")
    pictures = faces.images.float()
    assert pictures[:100].std(dim=0).mean() < 0.8 * pictures[100:].std(dim=0).mean()  # faces resemble each other


def test_stereo_pair_fits_its_disparity():
    """Shifted by the true disparity, the right picture comes closer to the left one than without."""
    pair = load("stereo")
    left, right = pair["left"].float().mean(dim=0), pair["right"].float().mean(dim=0)
    rows, columns = torch.meshgrid(torch.arange(500), torch.arange(741), indexing="ij")
    known = pair["disparity"].isfinite()
    target = columns - pair["disparity"].nan_to_num(0, 0, 0).round().long()
    known &= target >= 0
    shifted = right[rows[known], target[known]]
    assert (shifted - left[known]).abs().mean() < 0.5 * (right - left)[known].abs().mean()


def test_karate_and_les_miserables_keep_their_weights():
    karate, graph = load("karate"), networkx.karate_club_graph()
    assert set(zip(*karate.edge_index.tolist())) == {*graph.edges, *((b, a) for a, b in graph.edges)}
    assert is_undirected(karate.edge_index, karate.edge_weight)
    assert karate.edge_weight.sum() == 2 * sum(weight for *_, weight in graph.edges(data="weight"))
    assert karate.y.bincount().tolist() == [17, 17]
    assert [karate.class_names[i] for i in karate.y[[0, 33]]] == ["Mr. Hi", "Officer"]
    novel = load("les-miserables")
    a, b = (novel.node_names.index(name) for name in ("Valjean", "Cosette"))
    both = (novel.edge_index == torch.tensor([[a], [b]])).all(dim=0)
    assert novel.edge_weight[both].tolist() == [31.0]
    assert is_undirected(novel.edge_index, novel.edge_weight)


def test_sbm_takes_its_options():
    graph = load("sbm", sizes=[10, 20], p_in=1.0, p_out=0.0, features=3)
    assert graph.num_edges == 10 * 9 + 20 * 19
    assert graph.x.shape == (30, 3)


def test_planted_roles_are_what_they_are_called():
    graph = load("planted-roles", seed=3)
    whole = networkx.Graph(graph.edge_index.T.tolist())
    degree = torch.tensor([whole.degree(node) for node in range(1000)])
    assert is_undirected(graph.edge_index)
    assert networkx.is_connected(whole)
    assert (degree[graph.y == 4] == 2).all()  # roofs
    assert all(whole.has_edge(*whole.neighbors(roof)) for roof in (graph.y == 4).nonzero().flatten().tolist())
    assert (degree[graph.y == 5] == 5).all()  # centres of stars: four tips and the ring
    assert (degree[graph.y == 6] == 1).all()
    count = graph.y.bincount()
    assert count[1] == count[4] + count[5] == 100
    assert count[2] == count[3] == 2 * count[4]
    torch.testing.assert_close(graph.x.mean(dim=0), torch.zeros(10), atol=1e-5, rtol=0)
    again, other = load("planted-roles", seed=3), load("planted-roles", seed=4)
    assert torch.equal(graph.edge_index, again.edge_index)
    assert not torch.equal(graph.y, other.y)
    with pytest.raises(ValueError, match="ring must be at least 3 and built between 0 and ring, not 5 and 6"):
        load("planted-roles", ring=5, built=6)


def test_unknown_names_give_the_nearest_ones():
    with pytest.raises(ValueError, match="no data set named 'fashionmnist'; did you mean 'fashion-mnist'"):
        load("fashionmnist")
    with pytest.raises(ValueError, match="did you mean 'cora'"):
        available("Cora")
    with pytest.raises(ValueError, match=r"'cifar10-4k' .* 'cifar10-jpeg'"):
        load("cifar10")


def test_unknown_options_name_the_known_ones():
    with pytest.raises(ValueError, match="'digits' has no option 'sede'; it takes: test_share, seed"):
        load("digits", sede=1)
    with pytest.raises(ValueError, match="'faces' has no option 'seed'; it takes none"):
        load("faces", seed=1)


def test_wrong_sizes_are_noticed(monkeypatch):
    monkeypatch.setitem(catalogue()["faces"].expected, "classes", 3)
    with pytest.raises(ValueError, match="'faces' came out with 2 classes instead of 3"):
        load("faces")


def test_a_digit_is_placed_whole():
    digits = torch.randint(1, 256, (50, 28, 28)).to(torch.uint8)
    place = torch.randint(9, (50, 2))
    placed = _placed(digits, place, 36)
    for digit, (row, column), canvas in zip(digits, place.tolist(), placed, strict=True):
        wanted = torch.zeros(36, 36, dtype=torch.uint8)
        wanted[row : row + 28, column : column + 28] = digit
        assert torch.equal(canvas, wanted)


def test_nuisances_vary_independently_and_do_not_depend_on_the_block(monkeypatch):
    digits = torch.zeros(600, 28, 28, dtype=torch.uint8)
    digits[:, 10:20, 10:20] = 255
    images = add_nuisances(digits, 36, torch.Generator().manual_seed(0))
    monkeypatch.setattr("labkit.data._nuisance._BLOCK", 100)
    assert torch.equal(images, add_nuisances(digits, 36, torch.Generator().manual_seed(0)))
    corner = images[:, 0, 0].float()
    middle = images[:, 18, 18].float()  # inside the square wherever it was put
    assert 0.4 < (middle > corner).float().mean() < 0.6  # polarity
    assert (middle - corner).abs().min() > (0.3 - 0.15) * 255  # contrast, less the slope
    assert corner.std() > 40  # background
    assert not torch.equal(images, add_nuisances(digits, 36, torch.Generator().manual_seed(1)))
