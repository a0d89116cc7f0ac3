"""docs/your_own_data.md: its code runs on a folder of pictures."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

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
