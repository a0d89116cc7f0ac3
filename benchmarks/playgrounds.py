"""Every playground: a slider is moved, the numbers are computed, the picture is filled; in milliseconds."""

import random
import statistics
import time
from collections.abc import Iterator

from benchmarks._bench import Row
from labkit import explore
from labkit.data import load, world
from labkit.models import resnet8
from labkit.papers.graph._supergat_grid import random_partition_graph

NAME = "playgrounds"
LIMIT_MS = 100


def augmentation_graph() -> explore.Playground:
    digits = load("digits")
    return explore.augmentation_lab(digits.images[:200], digits.labels[:200])


def image_views() -> explore.Playground:
    scenes = world.sample(500, objects=(1, 1))
    encoder = resnet8().eval().requires_grad_(False)
    return explore.image_view_lab(world.render(scenes, 32)["image"], scenes.labels, world.SHAPES, encoder)


def walks_on_a_novel() -> explore.Playground:
    novel = load("les-miserables")
    return explore.walk_lab(novel, novel.node_names, start=11)


def molecules() -> explore.Playground:
    found = load("mutag")
    return explore.whole_graph_lab(found.packed, found.y)


PLAYGROUNDS = {
    "stepwise scrubber": explore.stepwise_scrubber,
    "four losses, one spectrum": explore.four_losses_one_spectrum,
    "top-d dial": explore.top_d_dial,
    "augmentation graph": augmentation_graph,
    "views of an image": image_views,
    "InfoNCE flow": explore.infonce_flow_lab,
    "temperature and rank": explore.temperature_lab,
    "masking": explore.masking_lab,
    "class collision": explore.class_collision_lab,
    "the sphere": explore.sphere_lab,
    "rotation wheel": explore.rotation_wheel,
    "redundancy": explore.redundancy_lab,
    "a walk that leans": walks_on_a_novel,
    "views of whole graphs": molecules,
    "when neighbours help": lambda: explore.homophily_lab(lambda h, d, s: random_partition_graph(h, d, seed=s)),
}


def moves(playground: explore.Playground, count: int) -> Iterator[float]:
    """Milliseconds of ``count`` moves of a slider drawn at random to a place drawn at random."""
    draw = random.Random(0)
    for _ in range(count):
        name = draw.choice(list(playground.sliders))
        slider = playground.sliders[name]
        steps = round((slider.max - slider.min) / slider.step)
        started = time.perf_counter()
        playground.set(**{name: min(slider.min + draw.randint(0, steps) * slider.step, slider.max)})
        yield 1000 * (time.perf_counter() - started)


def main(repeats: int = 20) -> Iterator[Row]:
    for name, make in PLAYGROUNDS.items():
        playground = make()
        playground.figure._view_count = 1  # as a browser that shows it says: until then, set() makes the figure anew
        list(moves(playground, 3))
        taken = list(moves(playground, max(repeats, 20)))
        entry = f"{name}, a move (slowest of {len(taken)}: {max(taken):.0f} ms)"
        yield Row(entry, "the limit asked for", statistics.median(taken), LIMIT_MS, 1, "ms")
