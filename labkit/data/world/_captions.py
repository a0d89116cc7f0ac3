"""A sentence for each scene, true of its factors."""

import torch

from labkit.data.world._factors import BACKGROUNDS, COLOURS, SHAPES, TEXTURES, Scenes


def captions(scenes: Scenes) -> list[str]:
    """What a person would say: the nearest object, where it stands to the others, the background.

    "In front of" is said of objects whose circles overlap in the picture; else the larger of the two offsets decides
    between left, right, above and below.

    Example:
        >>> world.captions(world.sample(1, seed=3))
        ['a striped yellow square to the right of a dotted blue house, on a dotted orange background']
    """
    tables = {name: scenes[name].tolist() for name in ("shape", "colour", "texture", "present")}
    x, y, scale = (scenes[name] for name in ("x", "y", "scale"))
    across, upwards = (offset.gather(1, scenes.nearest) - offset for offset in (x, y))
    overlap = (across.square() + upwards.square()).sqrt() < scale.gather(1, scenes.nearest) + scale
    sideways = across.abs() > upwards.abs()
    relation = torch.where(sideways, torch.where(across < 0, 1, 2), torch.where(upwards > 0, 3, 4))
    relation = torch.where(overlap, 0, relation).tolist()
    words = ("in front of", "to the left of", "to the right of", "above", "below")
    sentences = []
    for item, (kind, colour) in enumerate(
        zip(scenes["background"].tolist(), scenes["background_colour"].tolist(), strict=True)
    ):
        things = [
            f"a {TEXTURES[texture]} {COLOURS[c]} {SHAPES[shape]}"
            for texture, c, shape in zip(*(tables[n][item] for n in ("texture", "colour", "shape")), strict=True)
        ]
        there = [place for place, present in enumerate(tables["present"][item]) if present]
        others = [f"{words[relation[item][place]]} {things[place]}" for place in there[1:]]
        first = " ".join([things[there[0]], *([" and ".join(others)] if others else [])]) if there else "nothing"
        sentences.append(f"{first}, on a {BACKGROUNDS[kind]} {COLOURS[colour]} background")
    return sentences
