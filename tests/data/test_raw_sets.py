"""Sets read from files: the same as PyG reads, the sizes of the papers. Skipped, by name, where the files are not."""

import io
import struct
import zipfile
from gzip import compress

import numpy as np
import pytest
import torch
from scipy.sparse import coo_matrix
from torch.nn.functional import max_pool2d, normalize, one_hot

from labkit.data import _store, available, catalogue, load
from labkit.data._image_files import decode_image, idx_tensor
from labkit.data._store import find

HEAVY = {"coauthor-cs": "500 MB dense", "cifar10-jpeg": "60 000 JPEGs", "bsds500": "200 MB"}
FROM_FILES = [name for name, entry in catalogue().items() if not entry.offline and name not in HEAVY]


def need(name: str) -> None:
    if not available(name):
        pytest.skip(f"{name} not found; set LABKIT_DATA")


def folder(name: str):
    return find(catalogue()[name].files[0]).parent


def same_graph(a, b) -> bool:
    return all(torch.equal(a[key], b[key]) for key in ("x", "edge_index", "y"))


@pytest.mark.parametrize("name", FROM_FILES)
def test_loads_with_the_promised_sizes(name):
    need(name)
    assert load(name) is not None  # `load` itself compares with the catalogue's sizes


@pytest.mark.parametrize("name", ["cora", "citeseer"])
def test_planetoid_is_what_pyg_reads(name):
    need(name)
    from torch_geometric.io import read_planetoid_data

    ours, theirs = load(name), read_planetoid_data(str(folder(name)), name)
    assert same_graph(ours, theirs)
    for part in ("train_mask", "val_mask", "test_mask"):
        assert torch.equal(ours[part], theirs[part])


def test_citeseer_keeps_its_isolated_nodes():
    need("citeseer")
    graph = load("citeseer")
    degree = graph.edge_index[0].bincount(minlength=graph.num_nodes)
    assert int((degree == 0).sum()) == 48
    assert int((graph.x.sum(dim=1) == 0).sum()) == 15
    assert not (graph.test_mask & (graph.x.sum(dim=1) == 0)).any()


def test_transform_is_applied():
    need("cora")
    from torch_geometric.transforms import NormalizeFeatures

    assert set(load("cora").x.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(load("cora", transform=NormalizeFeatures()).x.sum(dim=1), torch.ones(2708))


def test_amazon_is_what_pyg_reads():
    need("amazon-photo")
    from torch_geometric.io import read_npz

    assert same_graph(load("amazon-photo"), read_npz(str(find(catalogue()["amazon-photo"].files[0]))))


@pytest.mark.parametrize(("name", "attributes"), [("mutag", False), ("proteins", False), ("proteins", True)])
def test_tu_is_what_pyg_reads(name, attributes, tmp_path):
    need(name)
    from torch_geometric.data import Data
    from torch_geometric.data.separate import separate
    from torch_geometric.io import read_tu_data

    file = find(catalogue()[name].files[0])
    with zipfile.ZipFile(file) as packed:
        for member in packed.namelist():
            (tmp_path / member.rsplit("/", 1)[-1]).write_bytes(packed.read(member))
    data, slices, counts = read_tu_data(str(tmp_path), file.stem)
    ours = load(name, attributes=attributes)
    assert len(ours) == len(slices["y"]) - 1
    skip = 0 if attributes else counts["num_node_attributes"]
    for i, graph in enumerate(ours):
        theirs = separate(Data, data, i, slices, decrement=False)
        assert torch.equal(graph.x, theirs.x[:, skip:])
        assert torch.equal(graph.edge_index, theirs.edge_index)
        assert torch.equal(graph.y, theirs.y)
        assert graph.edge_attr is None or torch.equal(graph.edge_attr, theirs.edge_attr)


@pytest.mark.parametrize(("name", "in_folds"), [("mutag", 180), ("proteins", 1110), ("imdb-binary", 1000)])
def test_gin_folds_and_graphs(name, in_folds):
    need(name)
    tu, gin = load(name), load(name, source="gin")
    assert torch.equal(tu.y.bincount(), gin.y.bincount())
    if name != "mutag":  # MUTAG stands in another order there
        assert all(torch.equal(a.edge_index, b.edge_index) for a, b in zip(tu, gin, strict=True))
        assert torch.equal(tu.y, gin.y)
    assert sorted(graph.num_nodes for graph in tu) == sorted(graph.num_nodes for graph in gin)
    assert len(gin.folds) == 10
    tested = torch.cat([test for _, test in gin.folds])
    assert len(tested) == len(tested.unique()) == in_folds
    for train, test in gin.folds:
        assert not set(train.tolist()) & set(test.tolist())
        assert int(train.max()) < len(gin)


@pytest.mark.parametrize("name", ["acm", "dblp", "bsds500", "mutag"])
def test_files_that_an_option_alone_reads_are_marked(name, monkeypatch):
    """What ``available`` need not look for."""
    need(name)
    read, find = set(), _store.find
    monkeypatch.setattr(_store, "find", lambda file: read.add(file.path) or find(file))
    load(name)
    assert read == {file.path for file in catalogue()[name].files if not file.needed_by}


def test_a_graph_set_is_a_sequence():
    need("mutag")
    graphs = load("mutag", source="gin")
    train, _ = graphs.folds[0]
    assert len(graphs[train]) == 170
    assert graphs[train][3] is graphs[int(train[3])]
    assert len(graphs[:5]) == 5
    assert len(list(graphs)) == 188
    assert "10 folds" in repr(graphs)
    with pytest.raises(ValueError, match="source must be 'tu' or 'gin'"):
        load("mutag", source="GIN")


def test_heterogeneous_labels_and_splits():
    need("acm")
    for share in (20, 40, 60):
        paper = load("acm", labels_per_class=share)["paper"]
        assert paper.y[paper.train_mask].bincount().tolist() == [share] * 3
        assert not (paper.train_mask & paper.test_mask).any()
    with pytest.raises(ValueError, match="labels_per_class must be 20, 40 or 60, not 30"):
        load("acm", labels_per_class=30)


def test_heco_meta_path_is_the_product_of_its_relations():
    need("acm")
    graph = load("acm")
    rows, columns = graph["paper", "to", "author"].edge_index.numpy()
    to_author = coo_matrix((np.ones(len(rows)), (rows, columns)), (4019, 7167)).tocsr()
    product = set(zip(*(to_author @ to_author.T).nonzero(), strict=True))
    assert product == set(zip(*graph["paper", "pap", "paper"].edge_index.tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "covered"), [("cora-cocitation", 1434), ("citeseer-cocitation", 1458), ("cora-coauthorship", 2388)]
)
def test_hypergraphs(name, covered):
    need(name)
    graph = load(name)
    assert len(graph.hyperedge_index[0].unique()) == covered
    assert int(graph.hyperedge_index[1].max()) + 1 == graph.num_hyperedges
    assert graph.train_mask.shape == (graph.num_nodes, 10)
    assert torch.equal(graph.train_mask, ~graph.test_mask)


def test_molecules():
    need("esol")
    molecules = load("esol")
    assert molecules.smiles[1] == "Cc1occc1C(=O)Nc2ccccc2"
    assert molecules.target[1].item() == pytest.approx(-3.3)
    assert len(molecules) == len(molecules.target)


def test_mnist_is_in_the_canonical_order():
    need("mnist")
    mnist = load("mnist")
    assert mnist.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.subset("test").labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert mnist.images[0].float().mean().item() == pytest.approx(35.108, abs=1e-3)


def test_nuisance_mnist_hides_the_class_from_raw_pixels():
    """k = 20, cosine, plain votes: about 52 % of the test images, where MNIST itself gives over 90."""
    need("nuisance-mnist")
    images = load("nuisance-mnist")
    rows = normalize(images.images.flatten(1).float(), dim=1)
    train, test = images.splits["train"], images.splits["test"]
    near = (rows[test] @ rows[train].T).topk(20, dim=1).indices
    votes = one_hot(images.labels[train][near], 10).sum(dim=1)
    accuracy = (votes.argmax(dim=1) == images.labels[test]).float().mean().item()
    assert accuracy == pytest.approx(0.52, abs=0.02)


def test_nuisance_mnist_options():
    need("nuisance-mnist")
    one, again, other = (load("nuisance-mnist", n_train=50, n_test=20, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(one.images, again.images)
    assert not torch.equal(one.images, other.images)
    assert [len(one.splits[part]) for part in ("train", "test")] == [50, 20]
    with pytest.raises(ValueError, match="n_train must lie between 1 and 60000, not 0"):
        load("nuisance-mnist", n_train=0)
    small = load("nuisance-mnist", n_train=50, n_test=20, seed=3, size=14)
    assert small.images.shape == (70, 1, 18, 18)
    assert torch.equal(small.labels, one.labels)  # the same digits
    with pytest.raises(ValueError, match="size must be 28 or 14 pixels, not 20"):
        load("nuisance-mnist", size=20)


def test_mnist_s_first_images_alone():
    need("mnist")
    few, whole = load("mnist", n_train=30, n_test=10), load("mnist")
    for part, count in (("train", 30), ("test", 10)):
        rows = few.splits[part]
        assert len(rows) == count
        assert torch.equal(few.images[rows], whole.images[whole.splits[part][:count]])
        assert torch.equal(few.labels[rows], whole.labels[whole.splits[part][:count]])
    with pytest.raises(ValueError, match="n_test must lie between 1 and 10000, not 10001"):
        load("mnist", n_test=10_001)


def test_the_two_cifars_show_the_same_images():
    need("cifar10-4k")
    need("cifar10-jpeg")
    exact, lossy = load("cifar10-4k"), load("cifar10-jpeg", n_train=50, n_test=20)
    assert lossy.class_names == exact.class_names
    for part, count in (("train", 50), ("test", 20)):
        a, b = exact.subset(exact.splits[part][:count]), lossy.subset(part)
        assert torch.equal(a.labels, b.labels)
        error = (a.images.double() - b.images.double()).square().mean(dim=(1, 2, 3))
        decibel = 10 * torch.log10(255**2 / error)
        assert 26 < decibel.mean() < 34
        assert decibel.min() > 20


def test_omniglot_one_shot_runs():
    need("omniglot-small")
    runs = load("omniglot-small", part="one-shot")
    train, test = (runs.subset(part).labels for part in ("train", "test"))
    for run in range(20):
        rows = slice(20 * run, 20 * run + 20)
        assert sorted(train[rows].tolist()) == sorted(test[rows].tolist())
    assert len(train.unique()) == 400
    assert not torch.equal(train, test)


def test_bsds500_regions_agree_with_boundaries():
    need("bsds500")
    images = load("bsds500", split="val")
    assert len(images) == 100
    picture = images[-1]
    _, height, width = picture.image.shape
    assert picture.segmentations.shape == picture.boundaries.shape == (len(picture.segmentations), height, width)
    assert int(picture.segmentations.min()) == 1
    for regions, boundary in zip(picture.segmentations, picture.boundaries, strict=True):
        change = regions[:, 1:] != regions[:, :-1]
        near = max_pool2d(boundary[None].float(), 5, 1, 2)[0, :, 1:]  # boundaries are thinned: within two pixels
        assert near[change].mean() > 0.99
        assert near.roll((40, 60), (0, 1))[change].mean() < 0.5
    with pytest.raises(IndexError, match="there are 100 images"):
        images[100]
    with pytest.raises(ValueError, match="split must be"):
        load("bsds500", split="validation")


def test_pubmed_says_what_it_lacks(monkeypatch):
    if available("pubmed"):
        pytest.skip("pubmed is complete here")
    monkeypatch.setattr("labkit.data._store.fetch", lambda entry, file: pytest.fail(f"wants {file.name}"))
    with pytest.raises(pytest.fail.Exception, match=r"wants ind\.pubmed\.\w+"):
        load("pubmed")


def test_idx():
    values = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    data = b"\0\0\x08\x03" + struct.pack(">III", 2, 3, 4) + values.tobytes()
    assert torch.equal(idx_tensor(compress(data), "toy"), torch.from_numpy(values))
    for wrong in (data[:-1], b"\0\0\x0d" + data[3:], data[:2], b""):
        with pytest.raises(ValueError, match="toy is not a whole uint8 IDX file"):
            idx_tensor(compress(wrong), "toy")


def test_decoded_images_keep_their_channels():
    from PIL import Image

    for mode, channels in (("L", 1), ("RGB", 3), ("1", 1), ("P", 3), ("RGBA", 3)):
        file = io.BytesIO()
        Image.new(mode, (5, 4)).save(file, "PNG")
        assert decode_image(file.getvalue()).shape == (channels, 4, 5)


def test_a_few_graphs_of_each_class_for_a_quick_look():
    need("proteins")
    few, whole = load("proteins", per_class=5), load("proteins")
    assert few.y.bincount().tolist() == [5, 5]
    assert torch.equal(few[0].x, whole[0].x)
