"""k-means and the match of clusters with classes, against trying every match."""

from itertools import permutations

import pytest
import torch
from sklearn.cluster import KMeans

from labkit.evaluate import clustering_accuracy, kmeans, rand_index


@pytest.mark.parametrize(("classes", "clusters"), [(4, 4), (3, 5), (5, 3)])
def test_accuracy_is_that_of_the_best_of_all_matches(classes, clusters):
    y, found = torch.randint(classes, (60,)), torch.randint(clusters, (60,))
    most = max(classes, clusters)
    best = max(sum(order[c] == t for c, t in zip(found.tolist(), y.tolist())) for order in permutations(range(most)))
    assert clustering_accuracy(y, found) == pytest.approx(best / 60)


def test_accuracy_does_not_care_for_the_clusters_names():
    y = torch.randint(6, (100,))
    assert clustering_accuracy(y, (y + 2) % 6) == 1
    assert rand_index(y, (y + 2) % 6) == pytest.approx(1)
    assert clustering_accuracy(y * 2**40, y * 2**40) == 1
    assert clustering_accuracy(y, torch.zeros(100, dtype=torch.long)) == y.bincount().max().item() / 100


def test_kmeans_is_scikit_learns_and_assigns_rows_it_was_not_fitted_on():
    centres = 10 * torch.eye(3)
    y = torch.arange(60) % 3
    z = centres[y] + torch.randn(60, 3)
    expected = KMeans(3, n_init=5, random_state=4).fit_predict(z.numpy())
    assert kmeans(z, 3, seed=4).tolist() == expected.tolist()
    assert not kmeans(z, 1).any()
    assert clustering_accuracy(y, kmeans(z, 3, fit_on=torch.arange(20))) == 1
    z[30:] += 100  # far away: only centres that saw these rows would move there
    assert len(kmeans(z, 3, fit_on=torch.arange(30))[30:].unique()) < 3


def test_what_cannot_be_clustered_is_refused():
    z = torch.randn(5, 2)
    with pytest.raises(ValueError, match="k must lie between 1 and the 5 rows"):
        kmeans(z, 6)
    with pytest.raises(ValueError, match="k must lie between 1 and the 2 rows"):
        kmeans(z, 3, fit_on=torch.arange(2))
    with pytest.raises(ValueError, match="fit_on must hold rows of z, 0 to 4, not -1 to 3"):
        kmeans(z, 2, fit_on=torch.tensor([0, 3, -1]))
    z[1] = torch.nan
    with pytest.raises(ValueError, match="z holds NaN"):
        kmeans(z, 2)
    with pytest.raises(ValueError, match="the items of found must be the 3 of y, not 4"):
        clustering_accuracy(torch.arange(3), torch.arange(4))
    with pytest.raises(ValueError, match="from -1 on"):
        clustering_accuracy(torch.tensor([-1, 0]), torch.tensor([0, 0]))


def test_more_starts_find_a_better_clustering():
    torch.manual_seed(0)
    z = torch.rand(300, 2)  # no groups: every start ends elsewhere
    inertias = {}
    for starts in (1, 20):
        model = KMeans(30, n_init=starts, random_state=0).fit(z.numpy())
        found = kmeans(z, 30, seed=0, starts=starts)
        assert (found.numpy() == model.labels_).all()
        inertias[starts] = model.inertia_
    assert inertias[20] < inertias[1]
