"""Alignment and uniformity of patches (Moon et al. 2022): scenes of two objects, and which patches count as a pair."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, normalize

from labkit import losses
from labkit.methods import Method, inference


def patch_grids(
    scenes: int, size: int = 14, kinds: int = 4, dim: int = 16, seed: int = 0
) -> tuple[Float[Tensor, "scenes dim size size"], Int64[Tensor, "scenes size size"]]:
    """Patches of scenes that a random line cuts into two objects of different kinds, and the kind at every patch.

    A patch is its object's code, which is weak, a texture in half of the dimensions, which is strong and alike over
    about three patches, and noise in the other half.
    """
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.rand(scenes, 1, 1, generator=generator)
    offset = (torch.rand(scenes, 1, 1, generator=generator) - 0.5) * size / 2
    across = torch.arange(size) - (size - 1) / 2
    second = angle.cos() * across[:, None] + angle.sin() * across > offset
    pair = torch.rand(scenes, kinds, generator=generator).argsort(dim=1)[:, :2, None, None]
    kind = torch.where(second, pair[:, 1], pair[:, 0])
    code = torch.randn(kinds, dim, generator=torch.Generator().manual_seed(0))  # the same kinds in every draw
    texture = 6 * avg_pool2d(torch.randn(scenes, dim // 2, size + 2, size + 2, generator=generator), 3, 1)
    rest = torch.randn(scenes, dim - dim // 2, size, size, generator=generator)
    return 0.7 * code[kind].movedim(3, 1) + torch.cat([texture, rest], dim=1), kind


class DensePairs(Method):
    """Alignment and uniformity of patches; the partner of a patch is up to ``radius`` patches away in another view.

    A view adds noise. Pairs that would leave the grid are left out. Radius 0 is the same place.
    """

    def __init__(self, dim: int = 16, out: int = 4, radius: int = 0, noise: float = 0.5):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(dim, 32, 1), nn.ReLU(), nn.Conv2d(32, out, 1))
        self.radius, self.noise = radius, noise

    def forward(self, grids: Float[Tensor, "n dim size size"]) -> Float[Tensor, ""]:
        a, b = (self.encoder(grids + self.noise * torch.randn_like(grids)) for _ in range(2))
        n, _, size, _ = grids.shape
        row, column = torch.randint(size, (2, n, 32), device=grids.device)  # 32 patches of each scene
        step = torch.randint(-self.radius, self.radius + 1, (2, n, 32), device=grids.device)
        far_row, far_column = row + step[0], column + step[1]
        inside = (far_row >= 0) & (far_row < size) & (far_column >= 0) & (far_column < size)
        scene = torch.arange(n, device=grids.device)[:, None].expand_as(row)[inside]
        a = a[scene, :, row[inside], column[inside]]
        b = b[scene, :, far_row[inside], far_column[inside]]
        few = slice(0, 512)  # uniformity costs the square of the patches
        return losses.alignment(a, b) + (losses.uniformity(a[few]) + losses.uniformity(b[few])) / 2

    @inference
    def embed(self, grids: Tensor) -> Float[Tensor, "patches out"]:
        return normalize(self.encoder(grids).movedim(1, 3).flatten(0, 2), dim=1)
