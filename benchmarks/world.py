"""10 000 scenes of 64 × 64 with their masks, against the same scenes drawn one at a time."""

from benchmarks._bench import Row, alternate
from labkit.data import world
from labkit.train import memory_kept

NAME = "world"
ITEMS, SIZE, ALONE = 10_000, 64, 200
MASKS = ["visible", "full"]


def main(repeats: int = 3) -> list[Row]:
    scenes = world.sample(ITEMS)

    def whole():
        world.render(scenes, SIZE, MASKS)

    def one_by_one():
        for item in range(ALONE):
            world.render(scenes[item : item + 1], SIZE, MASKS)

    with memory_kept():  # as in fit
        seconds, alone = alternate(whole, one_by_one, repeats)
    entry = f"{ITEMS} scenes of {SIZE} × {SIZE} with masks"
    return [
        Row(entry, "the 10 s allowed on two cores", seconds, [10.0] * repeats, at_least=1),
        Row(entry, f"one at a time ({ALONE}, scaled)", seconds, [one * ITEMS / ALONE for one in alone]),
    ]
