"""The world: every truth agrees with the picture, with a slow reference, and with itself at another resolution."""

import math

import pytest
import torch
from scipy.spatial import ConvexHull, Delaunay
from torch.nn.functional import avg_pool2d, grid_sample

from labkit.data import load, world
from labkit.data.world import _sample, _shapes, _solids
from labkit.data.world._solids import family, outline, rotation, surface


def single(items: int = 8, seed: int = 0, **factors):
    return world.sample(items, seed, objects=(1, 1), **{"x": 0.0, "y": 0.0} | factors)


@pytest.mark.parametrize("name", world.FLAT)
def test_distances_of_flat_shapes_are_those_to_the_nearest_point_of_the_other_side(name):
    along = torch.linspace(-1.4, 1.4, 281, dtype=torch.float64)
    v, u = torch.meshgrid(along, along, indexing="ij")
    distance = _shapes.DISTANCE[world.FLAT.index(name)](u, v)
    points = torch.stack([u, v], -1).view(-1, 2)
    signs = distance.flatten() < 0
    chosen = torch.randperm(len(points))[:400]
    for side in (True, False):
        mine = chosen[signs[chosen] == side]
        slow = torch.cdist(points[mine], points[signs != side]).min(1).values
        ours = distance.flatten()[mine].abs()
        assert (ours <= slow + 1e-9).all()
        if name != "moon" or not side:  # the moon's body is a maximum: inside near its tips, a lower bound
            assert (slow - ours).max() < 0.015  # a step of the grid, and a half


@pytest.mark.parametrize("solid", range(4), ids=world.SOLIDS)
def test_outline_is_the_hull_of_the_projected_vertices_and_surface_the_first_hit(solid):
    angles = torch.rand(3, 12) * 2 * math.pi
    turned = rotation(*angles).double()
    kind = torch.full((12,), solid)
    points = 2.2 * torch.rand(300, 2, dtype=torch.float64) - 1.1
    x, y = points[:, 0].expand(12, 1, -1), points[:, 1].expand(12, 1, -1)
    distance = outline(kind, turned, x, y)[:, 0]
    light = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).expand(12, 3)
    height, face, u, v, shade = (part[:, 0] for part in surface(kind, turned, light, x, y))
    shapes = family(turned)
    vertices = torch.tensor(_solids._MODELS[world.SOLIDS[solid]][0]).double()
    normals, offsets = shapes.normals[solid], shapes.offsets[solid]
    for i in range(12):
        flat = (vertices @ turned[i].T)[:, :2].numpy()
        hull = Delaunay(flat[ConvexHull(flat).vertices])
        inside = torch.from_numpy(hull.find_simplex(points.numpy()) >= 0)
        clear = distance[i].abs() > 1e-6
        assert torch.equal((distance[i] < 0)[clear], inside[clear])
        faces = normals @ turned[i].T
        lids = (offsets - points @ faces[:, :2].T) / faces[:, 2]  # where the ray meets each face's plane
        first = torch.where(faces[:, 2] > 1e-3, lids, torch.inf).min(1)
        torch.testing.assert_close(height[i][inside], first.values[inside])
        torch.testing.assert_close(shade[i][inside], faces[first.indices, 2][inside])
        hit = torch.cat([points, height[i][:, None]], 1) @ turned[i]  # in the solid's own axes
        mine = face[i].long()
        torch.testing.assert_close(u[i][inside], (hit * shapes.across[solid][mine]).sum(1)[inside])
        torch.testing.assert_close(v[i][inside], (hit * shapes.up[solid][mine]).sum(1)[inside])


def test_areas_and_depth_are_what_geometry_says():
    def area(**factors):
        drawn = world.render(single(1, scale=0.8, **factors), 256, ["full", "depth"])
        return drawn["full"].float().mean().item() * 4 / 0.8**2, drawn["depth"].min().item()

    assert area(shape=["disc"])[0] == pytest.approx(math.pi * 0.86**2, rel=0.01)
    assert area(shape=["ring"])[0] == pytest.approx(math.pi * (0.92**2 - 0.44**2), rel=0.01)
    assert area(shape=["square"], angle=30.0)[0] == pytest.approx(1.4**2, rel=0.01)
    found, depth = area(shape=["cube"], azimuth=0.0, elevation=0.0)
    assert found == pytest.approx(4 / 3, rel=0.01)
    assert depth == pytest.approx(2 - 0.8 * 3**-0.5, abs=1e-4)


def test_masks_depth_and_segments_tell_one_story():
    scenes = world.sample(12, seed=1, objects=(1, 4))
    drawn = world.render(scenes, 48, ["segments", "visible", "full", "depth"])
    full, present = drawn["full"], scenes["present"] == 1
    assert not full[~present].any()
    nearest = torch.zeros_like(drawn["segments"])
    for place in reversed(range(4)):  # the nearest is written last
        nearest[full[:, place]] = place + 1
    assert torch.equal(drawn["segments"], nearest)
    assert torch.equal(drawn["visible"].sum(1), (nearest > 0).long())
    assert (drawn["visible"] <= full).all()
    for near in range(4):
        for far in range(near + 1, 4):
            if drawn["visible"][:, near].any() and drawn["visible"][:, far].any():
                depth = drawn["depth"]
                assert depth[drawn["visible"][:, near]].max() < depth[drawn["visible"][:, far]].min()
    assert (drawn["depth"][nearest == 0] == 14).all()


def test_keypoints_lie_in_their_objects_and_are_seen_where_nothing_nearer_is():
    scenes = world.sample(24, seed=2, objects=(2, 4), scale=(0.4, 0.6))
    drawn = world.render(scenes, 256, ["segments", "full"])
    xy, seen = world.keypoints(scenes, 256)
    column, row = xy.floor().long().unbind(-1)
    inside = (column >= 0) & (row >= 0) & (column < 256) & (row < 256) & (scenes["present"] == 1)[..., None]
    item, place, point = inside.nonzero().unbind(1)
    at = (item, row[item, place, point], column[item, place, point])
    assert drawn["full"][item, place, at[1], at[2]].all()
    front = drawn["segments"][at].long() == place + 1
    flat = scenes["shape"][item, place] < len(world.FLAT)
    assert (front == seen[item, place, point])[flat].float().mean() > 0.99  # a pixel of rounding at an outline
    assert front[seen[item, place, point]].float().mean() > 0.99
    assert seen[item, place, point][~flat].float().mean() < 0.9  # some corners are on the far side
    assert not seen[~inside].any()


@pytest.mark.parametrize(("angle", "tip"), [(0.0, (32.0, 10.0)), (90.0, (10.0, 32.0)), (180.0, (32.0, 54.0))])
def test_the_first_keypoint_of_a_pyramid_is_its_tip(angle, tip):
    """It stands 0.9 of the scale above the centre, less 4 %: 22 of 32 pixels at a scale of 0.796."""
    pyramid = single(1, shape="pyramid", angle=angle, azimuth=40.0, elevation=0.0, scale=22 / 32 / 0.9 / 0.96)
    xy, seen = world.keypoints(pyramid, 64)
    assert xy[0, 0, 0].tolist() == pytest.approx(tip, abs=1e-3)
    assert xy[0, 0].unique(dim=0).shape == (4, 2)
    assert seen[0, 0, 0]


def test_flow_leads_to_the_same_point_in_the_next_frame():
    scenes = world.sample(24, seed=3, objects=(1, 3), texture=["checked"], shadow=0.0, turn=(-8, 8))
    size = 96
    now = world.render(scenes, size, ["segments", "flow", "albedo", "visible"])
    later = world.render(scenes.after(1), size, ["full", "albedo", "segments"])
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    inner = -torch.nn.functional.max_pool2d(-now["visible"].float(), 5, 1, 2) > 0
    found = {}
    for name, step in (("followed", now["flow"]), ("still", torch.zeros_like(now["flow"]))):
        x, y = column + step[:, 0], row + step[:, 1]
        at = torch.stack([(x + 0.5) / size * 2 - 1, (y + 0.5) / size * 2 - 1], -1)
        known = (at.abs() < 0.98).all(-1)
        full = grid_sample(later["full"].float(), at, align_corners=False)
        kept = (full[inner & known[:, None]] > 0.5).float().mean()
        landed = grid_sample(later["segments"].float()[:, None], at, mode="nearest", align_corners=False)[:, 0]
        same = known & (landed == now["segments"]) & (now["segments"] > 0)
        moved = grid_sample(later["albedo"], at, align_corners=False)
        found[name] = kept, (moved - now["albedo"]).abs().mean(1)[same].mean()
    assert found["followed"][0] == 1
    assert found["still"][0] < 0.97
    assert found["still"][1] > 4 * found["followed"][1]
    assert torch.equal(now["flow"][0, :, 0, 0], torch.stack([scenes["pan_x"][0], -scenes["pan_y"][0]]) * size / 2)


def test_a_scene_is_the_same_at_every_resolution():
    scenes = world.sample(16, seed=4, watermark=1.0, cast=1.0)
    fine = world.render(scenes, 192, list(world.TRUTHS), dtype=torch.float32)
    coarse = world.render(scenes, 64, list(world.TRUTHS), dtype=torch.float32)
    assert (avg_pool2d(fine["image"], 3) - coarse["image"]).abs().mean() < 0.012
    centre = (..., slice(1, None, 3), slice(1, None, 3))  # a coarse pixel's centre is that of its middle fine one
    for name in ("segments", "shadow", "visible", "full"):
        assert (fine[name][centre] != coarse[name]).float().mean() < 1e-3
    torch.testing.assert_close(fine["depth"][centre], coarse["depth"], atol=1e-2, rtol=0)
    torch.testing.assert_close(fine["flow"][centre] / 3, coarse["flow"], atol=1e-2, rtol=1e-3)


def test_the_picture_is_albedo_times_light_and_shadows_take_light():
    scenes = world.sample(10, seed=5)
    drawn = world.render(scenes, 64, ["albedo", "light", "shadow"], dtype=torch.float64)
    image = (drawn["albedo"] * drawn["light"][:, None]).clamp(0, 1)
    torch.testing.assert_close(drawn["image"].float(), image, atol=1e-6, rtol=0)
    without = world.render(scenes.change(shadow=0.0), 64, ["light"])["light"]
    assert (drawn["light"][drawn["shadow"]] < without[drawn["shadow"]]).all()
    dark = drawn["light"] < 0.68 * without  # in more than half of a shadow of the strongest, or the whole of any
    assert drawn["shadow"][dark].float().mean() > 0.95
    assert (drawn["light"] <= without + 1e-6).all()


def test_edges_have_the_cause_they_are_filed_under():
    scenes = world.sample(6, seed=6)
    drawn = world.render(scenes, 40, ["edges", "segments"])
    segments, edges = drawn["segments"], drawn["edges"]
    for item in range(6):
        for row in range(39):
            for column in range(39):
                here = segments[item, row, column]
                other = here != segments[item, row + 1, column] or here != segments[item, row, column + 1]
                assert bool(edges[item, 0, row, column]) == bool(other)
    plain = scenes.change(texture="plain", background="plain")
    assert not world.render(plain, 40, "edges")["edges"][:, world.EDGES.index("texture")].any()
    flat = single(10, shape=list(world.FLAT))
    assert not world.render(flat, 40, "edges")["edges"][:, world.EDGES.index("crease")].any()
    cubes = single(10, shape=["cube"], elevation=(30, 40), scale=0.6)
    assert world.render(cubes, 40, "edges")["edges"][:, world.EDGES.index("crease")].any((1, 2)).all()


def test_seed_and_item_decide_a_scene_and_each_factor_has_draws_of_its_own():
    scenes = world.sample(20, seed=7)
    assert torch.equal(world.sample(5, seed=7).objects, scenes[:5].objects)
    assert torch.equal(world.sample(5, seed=7).stage, scenes[:5].stage)
    assert not torch.equal(world.sample(20, seed=8).objects, scenes.objects)
    cubes = world.sample(20, seed=7, shape="cube", angle=(0, 90))
    for name in world.OBJECT:
        assert torch.equal(cubes[name], scenes[name]) == (name not in ("shape", "angle")), name
    assert torch.equal(cubes.stage, scenes.stage)
    a, b = (world.render(scenes, 32, list(world.TRUTHS), block=block) for block in (None, 3))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_seed_gives_the_scenes_that_recorded_results_are_of():
    scenes = world.sample(2, seed=0, watermark=0.5, cast=0.5)
    assert world.captions(scenes) == [
        "a striped red pyramid below a striped blue star, on a checked turquoise background",
        "a dotted turquoise ring in front of a striped purple disc, on a dotted red background",
    ]
    assert scenes["x"][:, 0].tolist() == pytest.approx([0.4823, -0.1797], abs=1e-4)
    assert scenes["angle"][:, 0].tolist() == pytest.approx([-5.897, -0.1945], abs=1e-3)
    assert (scenes["watermark"].tolist(), scenes["cast"].tolist()) == ([9, 7], [5, 5])
    assert world.sample(2)["watermark"].tolist() == world.sample(2)["cast"].tolist() == [-1, -1]


def test_factors_cover_their_ranges_evenly():
    scenes = world.sample(4000)
    counts = scenes.labels.bincount(minlength=len(world.SHAPES)).float()
    assert ((counts / 4000 - 1 / 12).abs() < 0.02).all()
    assert scenes["present"].sum(1).unique().tolist() == [1, 2, 3]
    for name, (low, high) in world.RANGES.items():
        values = scenes[name]
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high


def test_shortcuts_give_the_class_away_as_often_as_asked():
    scenes = world.sample(600, watermark=0.8, cast=0.0)
    agree = (scenes["watermark"] == scenes.labels).float().mean()
    assert agree == pytest.approx(0.8 + 0.2 / 12, abs=0.05)
    assert (scenes["cast"] == scenes.labels).float().mean() < 0.2
    marked, clean = (
        world.render(s, 64)["image"] for s in (scenes.change(cast=-1), scenes.change(cast=-1, watermark=-1))
    )
    changed = (marked != clean).any(1)
    assert changed[:, 57:63, 46:62].any((1, 2)).all()
    assert not changed[:, :56].any()
    bits = [marked[:, 0, 60, round((0.94 - (4 - bit - 0.5) * 0.11 + 1) * 32 - 0.5)] > 128 for bit in range(4)]
    assert torch.equal(sum(bit.long() << i for i, bit in enumerate(bits)), scenes["watermark"])
    shortcut = load("world", n_train=30, n_test=20, size=8, factors={"watermark": 1.0})
    honest = load("world", n_train=30, n_test=20, size=8, factors={"watermark": 0.0})
    assert torch.equal(shortcut.images[30:], honest.images[30:])
    assert not torch.equal(shortcut.images[:30], honest.images[:30])


def test_a_cast_has_the_hue_of_its_class():
    scenes = single(12)
    plain, tinted = (
        world.render(scenes.change(cast=cast), 32, dtype=torch.float64)["image"] for cast in (-1.0, torch.arange(12.0))
    )
    inner = (plain > 0.1) & (plain < 0.75)  # nothing of it is cut off
    ratio = torch.where(inner, tinted / plain, torch.nan).flatten(2).nanmedian(2).values
    hue = (ratio * torch.exp(2j * math.pi * torch.arange(3) / 3)).sum(1)
    expected = torch.exp(2j * math.pi * torch.arange(12) / 12)
    torch.testing.assert_close((hue / hue.abs()).to(expected.dtype), expected, atol=1e-4, rtol=0)


def test_captions_say_what_is_there():
    scenes = single(1, shape="star", colour="red", texture="striped", background="dotted", background_colour="blue")
    assert world.captions(scenes) == ["a striped red star, on a dotted blue background"]
    two = world.sample(1, objects=(2, 2), shape="disc", colour="green", texture="plain", scale=0.3)
    two = two.change(y=0.0, x=torch.tensor([[-0.5, 0.5]]), background="plain", background_colour="pink")
    assert world.captions(two) == ["a plain green disc to the left of a plain green disc, on a plain pink background"]
    for (right, up), words in {
        (-1.0, 0.3): "to the left of",
        (1.0, -0.3): "to the right of",
        (-0.3, 1.0): "above",
        (0.3, -1.0): "below",
        (0.5, -0.5): "below",  # apart: 0.71 between circles of 0.3
        (0.4, 0.4): "in front of",
    }.items():
        apart = two.change(x=torch.tensor([[right / 2, -right / 2]]), y=torch.tensor([[up / 2, -up / 2]]))
        assert f" disc {words} a plain" in world.captions(apart)[0]
    assert world.captions(two.change(present=0.0)) == ["nothing, on a plain pink background"]


def test_an_empty_place_is_neither_the_class_nor_said_to_be_there():
    three = world.sample(50, seed=3, objects=(3, 3))
    without_first = three.change(present=torch.tensor([0, 1, 1]))
    objects, stage = three.objects[:, 1:], three.stage
    two = world.Scenes(objects, stage)
    assert torch.equal(without_first.labels, two.labels)
    assert world.captions(without_first) == world.captions(two)
    assert not torch.equal(without_first.labels, three.labels)


def test_changes_and_time():
    scenes = world.sample(3, seed=9)
    turned = scenes.change(angle=torch.tensor([[0.0], [45.0], [90.0]]), colour="blue")
    assert turned["angle"].tolist() == [[0.0] * 3, [45.0] * 3, [90.0] * 3]
    assert (turned["colour"] == world.COLOURS.index("blue")).all()
    assert torch.equal(turned["x"], scenes["x"])
    torch.testing.assert_close(scenes.after(2).after(-2).objects, scenes.objects)
    torch.testing.assert_close(scenes.after(1)["x"], scenes["x"] + scenes["velocity_x"])
    assert len(scenes[[0, 2]]) == 2
    empty = world.render(scenes.change(present=0.0), 16, list(world.TRUTHS))
    assert not empty["segments"].any()


def test_bad_input_is_named():
    scenes = world.sample(2)
    for words, call in {
        "items must be at least 1": lambda: world.sample(0),
        "between 1 and 6": lambda: world.sample(1, objects=(0, 2)),
        "no shape named 'cub'; did you mean 'cube'": lambda: world.sample(1, shape=["cub"]),
        "colour is empty": lambda: world.sample(1, colour=[]),
        "no factor with a range named 'angel'": lambda: world.sample(1, angel=(0, 1)),
        "angle must be finite, the lowest first": lambda: world.sample(1, angle=(3, 2)),
        "scale must lie between 0.001 and 1": lambda: world.sample(1, scale=(0, 1)),
        "light_height must lie between 1 and 90": lambda: world.sample(1, light_height=0.0),
        "background_period must lie": lambda: scenes.change(background_period=0.0),
        "texture_period must lie": lambda: world.sample(1, texture_period=(-1, 1)),
        "shadow must lie between 0 and 1": lambda: world.sample(1, shadow=(3.0, 4.0)),
        "there are no scenes": lambda: world.render(scenes[:0], 16),
        "watermark must lie between": lambda: world.sample(1, watermark=1.5),
        "no factor named 'colr'; did you mean": lambda: scenes["colr"],
        "no factor named 'colr'": lambda: scenes.change(colr=1),
        "no colour named 'rad'": lambda: scenes.change(colour="rad"),
        "whole number from 0 to 7": lambda: scenes.change(colour=8),
        r"must fit into \[2, 3\]": lambda: scenes.change(x=torch.zeros(5)),
        "NaN": lambda: scenes.change(x=math.nan),
        "scale must lie": lambda: scenes.change(scale=0.0),
        "size must be a whole number": lambda: world.render(scenes, 2),
        "no truth named 'dept'; did you mean 'depth'": lambda: world.render(scenes, 16, ["dept"]),
        "dtype must be": lambda: world.render(scenes, 16, dtype=torch.int64),
        "n_train must be": lambda: load("world", n_train=0),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(ValueError, match="stage must be"):
        world.Scenes(scenes.objects, scenes.stage[:1])
    for objects in (scenes.objects[0], scenes.objects[..., 1:], scenes.objects[:, :0]):
        with pytest.raises(ValueError, match="objects must be"):
            world.Scenes(objects, scenes.stage)


def test_at_the_ends_of_what_is_allowed_every_pixel_is_a_number():
    from labkit.data.world._factors import LIMITS

    for name, ends in LIMITS.items():
        for end in ends:
            scenes = world.sample(20, seed=1, background=("striped",), texture=("striped",), **{name: end})
            picture = world.render(scenes, 16, dtype=torch.float32)["image"]
            assert ((picture >= 0) & (picture <= 1)).all(), (name, end)


@pytest.mark.parametrize("shape", ["cube", "house", "pyramid"])
@pytest.mark.parametrize(("elevation", "azimuth"), [(0.0, 90.0), (0.0, -90.0), (90.0, 0.0), (90.0, 90.0)])
def test_solids_seen_square_on_are_there(shape, elevation, azimuth):
    scenes = single(1, shape=[shape], scale=0.8, x=0.0, y=0.0, angle=0.0)
    square, near = (
        int(world.render(scenes.change(elevation=elevation + off, azimuth=azimuth + off), 64, ["full"])["full"].sum())
        for off in (0.0, 0.5)
    )
    assert square == pytest.approx(near, rel=0.06)
    assert square > 300


@pytest.mark.parametrize(
    ("factors", "says"), [({"present": 2.0}, "0 to 1"), ({"watermark": 99.0}, "-1 to 11"), ({"cast": 0.5}, "-1 to 11")]
)
def test_factors_that_count_are_not_changed_to_what_they_cannot_be(factors, says):
    with pytest.raises(ValueError, match=f"must be a whole number from {says}"):
        single(1).change(**factors)


@pytest.mark.parametrize("angle", [(0, 1, 2), torch.tensor([0.0, 30.0])])
def test_a_range_is_a_number_or_two(angle):
    with pytest.raises((ValueError, TypeError), match="angle"):
        world.sample(2, angle=angle)
    with pytest.raises(ValueError, match="angle must be a number or"):  # where annotations are not checked
        _sample._bounds("angle", angle)
