"""What the slow maps compute, against the libraries that are asked for it and against SciPy's dense eigenvectors."""

import warnings

import numpy as np
import pytest
from scipy.linalg import eigh, subspace_angles
from sklearn.neighbors import NearestNeighbors

from labkit.explore import _worker

X = np.random.default_rng(0).normal(size=(90, 5)).astype(np.float32)


def test_the_spectral_map_is_scipy_s():
    """The generalised problem L v = λ D v of the symmetric neighbour graph, solved densely."""
    found, note = _worker.spectral(X, seed=0)
    values, vectors = found[0], found[1:]
    graph = np.zeros((90, 90))
    for row, near in enumerate(NearestNeighbors(n_neighbors=16).fit(X).kneighbors(X)[1]):
        graph[row, near[1:]] = graph[near[1:], row] = 1
    degree = np.diag(graph.sum(1))
    expected, expected_vectors = eigh(degree - graph, degree)
    np.testing.assert_allclose(values, expected[1:11], atol=1e-8)
    assert np.max(subspace_angles(vectors, expected_vectors[:, 1:11])) < 1e-5
    assert note == "normalised Laplacian of the 15-nearest-neighbour graph"


def test_umap_s_map_is_umap_s():
    from umap import UMAP

    xy, note = _worker.umap(X, seed=3)
    start = _worker._principal(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = UMAP(n_neighbors=15, min_dist=0.1, init=10 * start / np.abs(start).max(), random_state=3, n_jobs=1)
        expected = model.fit_transform(X)
    np.testing.assert_array_equal(xy, expected)
    assert note == "UMAP (15 neighbours, min_dist 0.1, seed 3)"


@pytest.mark.parametrize("shape", [(40, 6), (8, 30), (5, 1)])
def test_umap_starts_from_the_principal_components(shape):
    from sklearn.decomposition import PCA

    x = np.random.default_rng(1).normal(size=shape)
    start = _worker._principal(x)
    count = min(2, *shape)
    expected = PCA(count).fit_transform(x)
    np.testing.assert_allclose(np.abs(start[:, :count]), np.abs(expected), atol=1e-8)
    assert start.shape == (len(x), 2)
    assert not start[:, count:].any()
