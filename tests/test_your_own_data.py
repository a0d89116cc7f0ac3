"""docs/your_own_data.md: its code runs on a folder of pictures."""

import dataclasses
import re
import textwrap
from pathlib import Path

import numpy as np
import pandas
import torch
from PIL import Image
from torch_geometric.data import Data

import labkit
from labkit.data import read_images

PAGE = (Path(__file__).parents[1] / "docs" / "your_own_data.md").read_text()


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    random = np.random.default_rng(0)
    for number in range(90):
        folder = tmp_path / "folder" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    monkeypatch.chdir(tmp_path)
    code = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    assert code.count("epochs=40") == 1
    code = code.replace("40", "1")  # epochs
    exec(compile(code, "your_own_data.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"^0 .*mine.*^1 .*mine.*^pixels .*mine", printed, re.DOTALL | re.MULTILINE)


def test_labels_of_a_table_find_their_pictures(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    shades = {f"{number}.png": 20 * number for number in range(12)}
    for name, shade in shades.items():
        Image.new("L", (8, 8), shade).save(tmp_path / "folder" / name)
    (tmp_path / "labels.csv").write_text("file,label\n" + "\n".join(f"{name},s{shades[name]}" for name in shades))
    monkeypatch.chdir(tmp_path)
    names = {"images": read_images("folder/", size=8), "Path": Path, "torch": torch}
    code = re.search(r"^    names = .*\n(    .*\n)+", PAGE, re.MULTILINE)[0]
    exec(textwrap.dedent(code), names | {"pandas": pandas, "dataclasses": dataclasses}, names)
    images = names["images"]
    for picture, label in zip(images.images, images.labels, strict=True):
        assert images.class_names[label] == f"s{int(picture.max())}"


def test_what_the_page_names_is_there():
    for call, where in (("save_graph", labkit.data), ("mean_interval", labkit.evaluate)):
        assert f"{call}(" in PAGE
        assert hasattr(where, call)
    for call in re.findall(r"`explorer\.(\w+)\(", PAGE):
        assert hasattr(labkit.explore.Explorer, call)


def test_of_two_weights_of_an_edge_the_larger_counts_with_or_without_one_way_edges():
    from labkit.recipes._own_graph import _undirected

    around = torch.arange(6)
    there, back = torch.stack([around, around.roll(-1)]), torch.stack([around.roll(-1), around])
    both = Data(edge_index=torch.cat([there, back], dim=1), num_nodes=6)
    both.edge_weight = torch.cat([torch.ones(6), torch.full((6,), 5.0)])
    assert _undirected(both).edge_weight.unique().tolist() == [5.0]
    both.edge_index = torch.cat([both.edge_index, torch.tensor([[0], [3]])], dim=1)
    both.edge_weight = torch.cat([both.edge_weight, torch.tensor([2.0])])
    assert _undirected(both).edge_weight.unique().tolist() == [2.0, 5.0]
    equal = Data(edge_index=torch.cat([there, back], dim=1), edge_weight=torch.ones(12), num_nodes=6)
    assert _undirected(equal) is equal
