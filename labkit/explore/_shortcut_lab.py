"""The shortcut lab: plant shortcuts in a pretext task, mend them, and see what is read off without understanding."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from labkit import plot
from labkit._arguments import checked
from labkit.explore._panels import Layer, Panel
from labkit.explore._playground import Playground, Slider
from labkit.methods import Pretext, RelativePosition, read_borders, read_fringes
from labkit.train import seeded
from labkit.views import ChromaBlur, DropColours, chromatic_aberration, tiles, unit_images

MENDS = (None, DropColours(), ChromaBlur(2.0))
_SIZE, _GAPS, _JITTERS, _MOST_IMAGES = 8, 4, 2, 400


@checked(numbers=False)
def shortcut_lab(images: Tensor, networks: Mapping[str, Pretext] | None = None, shown: int = 0) -> Playground:
    """Where did the second patch lie? Sliders for what gives it away, and for what takes that back.

    Panels: one picture as the lens saw it, with the nine patches that are cut out of it; the patches as they are shown;
    and the share of questions about all ``images`` that borders alone answer, and colour fringes alone
    (:func:`labkit.methods.read_borders`, :func:`labkit.methods.read_fringes`), and each of the networks.

    Args:
        images: [items, 3, side, side], uint8 or in [0, 1]; up to 400, of 36 pixels or more.
        networks: name -> a trained ``Pretext`` on ``RelativePosition`` questions, e.g. of
            ``labkit.papers.vision.context_prediction``.
        shown: which of the images is drawn.

    Raises:
        ValueError: other images, too many, or none with that number.

    Example:
        >>> lab = labkit.explore.shortcut_lab(labkit.data.load("world", size=40).images[:300])
        >>> lab.set(aberration=0.08, gap=3, jitter=1).panels[2].says
    """
    images = unit_images(images)
    if images.shape[1] != 3 or images.shape[2] != images.shape[3] or images.shape[2] < 36:
        raise ValueError(f"images must be square, of 3 channels and 36 pixels or more, not {list(images.shape[1:])}")
    if len(images) > _MOST_IMAGES or not 0 <= shown < len(images):
        raise ValueError(f"the lab redraws at every step: up to {_MOST_IMAGES} images, and shown one of them; "
                         f"not {len(images)} images and shown={shown}")  # fmt: skip
    sliders = {
        "aberration": Slider("aberration", 0.0, 0.0, 0.15, 0.01),
        "gap": Slider("gap (pixels)", 0, 0, _GAPS, 1),
        "jitter": Slider("jitter (pixels)", 0, 0, _JITTERS, 1),
        "mend": Slider("mend (0 none, 1 drop colours, 2 blur colour)", 0, 0, len(MENDS) - 1, 1),
    }
    return Playground(_Shortcuts(images, dict(networks or {}), shown), sliders, "Where did the second patch lie?")


class _Shortcuts:
    """Sliders' values -> the three panels."""

    def __init__(self, images: Tensor, networks: dict[str, Pretext], shown: int):
        self.images, self.networks, self.shown = images, networks, shown
        self.side = images.shape[2]

    def __call__(self, aberration: float, gap: int, jitter: int, mend: int) -> list[Panel]:
        lens = partial(chromatic_aberration, strength=aberration)
        seen = lens(self.images[self.shown, None])
        at = self._places(gap, jitter)
        with seeded(0):
            cut = tiles(seen, _SIZE, gap, jitter)[0]
            patches = cut if MENDS[mend] is None else MENDS[mend](cut)
        question = RelativePosition(_SIZE, gap, jitter, image_view=lens, patch_view=MENDS[mend])
        return [self._picture(seen[0], at), self._patches(patches), self._shares(question)]

    def _places(self, gap: int, jitter: int) -> Float[np.ndarray, "9 2"]:
        """Row and column of the upper left corner of each patch: cut from a picture of row and column numbers."""
        rows, columns = torch.meshgrid(*[torch.arange(self.side) / self.side] * 2, indexing="ij")
        with seeded(0):
            cut = tiles(torch.stack([rows, columns])[None], _SIZE, gap, jitter)[0]
        return (cut[:, :, 0, 0] * self.side).round().numpy()

    def _picture(self, image: Tensor, at: np.ndarray) -> Panel:
        x, y = [], []
        for row, column in at:
            x += [column, column + _SIZE, column + _SIZE, column, column, np.nan]
            top = self.side - row  # the first row of a picture is drawn on top, y runs upwards
            y += [top, top, top - _SIZE, top - _SIZE, top, np.nan]
        edges = (0, self.side)
        layers = [Layer("image", edges, edges, values=_pixels(image)), Layer("line", x, y, "white", width=2)]
        return Panel("The picture, and what is cut out", layers, x_range=edges, y_range=edges)

    def _patches(self, patches: Float[Tensor, "9 3 size size"]) -> Panel:
        pitch = _SIZE + 1
        sheet = np.full((3 * pitch + 1, 3 * pitch + 1, 3), 255, dtype=np.uint8)
        for place, patch in enumerate(patches):
            row, column = (1 + pitch * step for step in divmod(place, 3))
            sheet[row : row + _SIZE, column : column + _SIZE] = _pixels(patch)
        edges = (0, len(sheet))
        layer = Layer("image", edges, edges, values=sheet)
        return Panel("The patches as they are shown", [layer], x_range=edges, y_range=edges)

    def _shares(self, question: RelativePosition) -> Panel:
        with seeded(0):
            pieces, answers = question(self.images)
        readers = {"borders": read_borders(pieces), "fringes": read_fringes(pieces)}
        readers |= {name: network.said(pieces) for name, network in self.networks.items()}
        shares = {name: 100 * (said == answers).double().mean().item() for name, said in readers.items()}
        width = len(shares) - 0.5
        layers = [
            Layer("bars", range(len(shares)), list(shares.values())),
            Layer("line", [-0.5, width], [12.5, 12.5], plot.COLOURS[3], name="chance", dash=True),
        ]
        says = " · ".join(f"{name} {share:.0f} %" for name, share in shares.items())
        title = f"Read off, of {len(answers)} questions"
        return Panel(title, layers, "", "% right", (-0.5, width), (0, 100), says, tuple(shares))


def _pixels(image: Float[Tensor, "3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    return (image.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
