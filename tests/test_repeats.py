"""The same seed gives the same bits in another process; `python -m tests.trust.repeats` does it for every recipe."""

from trust.repeats import different, digests, in_fresh_processes

from labkit import data, papers

RECIPES = [
    *("stepwise/simclr-digits", "alignment_uniformity/digits-1-1-alpha2-t2", "care/coloured-digits"),
    *("gcc/planted-roles", "grace/cora", "graphcl/mutag"),
]


def test_a_fresh_process_gives_the_same_bits():
    needs = {name: papers.recipe(name).data for name in RECIPES} | {"gcc/planted-roles": "citeseer"}
    here = [name for name in RECIPES if data.available(needs[name])]
    assert len(here) >= 3  # those need no download
    for name, [(elsewhere, _)] in in_fresh_processes([*here, "arora"], [1]):
        assert len(elsewhere) > 2
        assert different(elsewhere, digests(name)[0]) == [], name


def test_a_difference_is_named():
    one, other = {"score": "0a", "loss": "07"}, {"score": "0b", "loss": "07", "more": "00"}
    assert different(one, one) == []
    assert different(one, other) == ["more", "score"]
