"""What labs and readers refuse, they refuse by the name of the argument."""

from pathlib import Path

import pandas
import pytest
import torch

from labkit import explore
from labkit.data import stochastic_block_model
from labkit.recipes import for_own_graph
from labkit.theory.spectral import planted_graph

IMAGES = torch.rand(6, 1, 8, 8)
Z = torch.randn(6, 3)


def table(name):
    Path(name).write_text("a,b\n1,2\n")
    return name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: explore.chosen_view((8, 8), 0.5, 0, 0, 0, 1e300), "noise must lie between 0 and 10"),
        (lambda: explore.closed_form_scores(IMAGES, torch.zeros(6).half(), 3, 1.0, 1), "labels must hold integer"),
        (lambda: explore.compare(__file__, Z), "a must be a file that ends in .npz, .npy or .parquet, not 'test_"),
        (lambda: explore.explore(table("e.csv")), r"not 'e.csv'; or hand in pandas.read_csv\('e.csv'\)"),
        (lambda: explore.explore(pandas.DataFrame({"a": [1, 2], "b": [2, 3]})), r"astype\(float\).*its columns: a, b"),
        (lambda: explore.compare(Z, "x.npy"), "b: the file x.npy does not exist"),
        (lambda: explore.explore(Z, torch.zeros(6, device="meta")), "labels? is on the meta device"),
        (lambda: explore.four_losses(torch.ones(2), torch.ones(2) / 2, start=1e300), "start must lie between"),
        (lambda: explore.graph_view_lab(stochastic_block_model([5, 5]), k=-1), "k must be at least 1, not -1"),
        (lambda: explore.image_view_lab(IMAGES, "abc"), "labels can't be read as one class for each item"),
        (lambda: explore.image_view_lab(IMAGES, [0, 1]), "labels must hold one class for each of the 6 items"),
        (lambda: explore.mode_growth(planted_graph(6, 2), 0.5, small=1e-300), "small must lie between"),
    ],
)
def test_by_name(call, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        call()


def test_a_graph_of_no_known_kind():
    from labkit import papers

    with pytest.raises(ValueError, match="source must be a file that ends in"):
        for_own_graph(papers.recipe("grace"), __file__)
