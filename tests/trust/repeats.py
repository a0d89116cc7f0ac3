"""Every recipe trained and every claim tested twice from the same seed, at smoke scale, on one thread; then on two.

    python -m tests.trust.repeats                    all of them; writes results/trust/repeats.json
    python -m tests.trust.repeats NAME ...           recipes and papers by name; only says what came out

The first two, in a fresh process each, must agree to the bit: losses, weights, snapshots, scores. The third shows how
far another number of threads carries them, as another order of the same sums does.
"""

import argparse
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from multiprocessing import get_context

import torch
from threadpoolctl import threadpool_limits

from labkit import papers
from labkit.claims import Lab

from .report import Figure, record

Numbers = dict[str, torch.Tensor]


def trained(recipe: str) -> Numbers:
    """Everything that one training of a recipe leaves, and its score."""
    lab, recipe = Lab("smoke", device="cpu", progress=False), papers.recipe(recipe)
    (run,) = lab.runs(recipe)
    left = {f"weight {name}": value for name, value in run.method.state_dict().items()}
    left |= {f"snapshot {epoch}": z for epoch, z in run.snapshots.items()}
    left |= {f"history {name}": _column(values) for name, values in run.history.items() if name != "seconds"}
    return left | {"score": _column(lab.scores(recipe))}


def tested(paper: str) -> Numbers:
    """The numbers that each claim of a paper rests on; of one that measures time only how many there are."""
    lab, found = Lab("smoke", device="cpu", progress=False), {}
    for claim in papers.claims()[paper]:
        evidence = claim.test(lab)
        timed = "seconds" in evidence.unit
        for arm in ("treatment", "control"):
            values = _column(getattr(evidence, arm))
            found[f"{claim.name} {arm}"] = torch.tensor(len(values)) if timed else values
    return found


def digests(name: str, threads: int = 1) -> tuple[dict[str, str], list[float]]:
    """Name of a number -> sha256 of its bits, and the score where ``name`` is a recipe."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            found = trained(name) if name in papers.recipes() else tested(name)
    finally:
        torch.set_num_threads(before)
    return {key: _digest(values) for key, values in found.items()}, found.get("score", torch.zeros(0)).tolist()


def different(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """Names of what is not the same to the bit."""
    return sorted({name for name, _ in one.items() ^ other.items()})


def in_fresh_processes(names: Iterable[str], threads: Iterable[int]):
    """``digests`` of each name once for each number of threads; each number has one process of its own for all names.

    Processes hash text differently from each other and lie elsewhere in memory: what depends on either shows.
    """
    beside = [(ProcessPoolExecutor(1, get_context("spawn")), count) for count in threads]
    for name in names:
        yield name, [process.submit(digests, name, count).result() for process, count in beside]
    for process, _ in beside:
        process.shutdown()


def _column(values) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _digest(values: torch.Tensor) -> str:
    return sha256(values.to_dense().contiguous().flatten().view(torch.uint8).numpy().tobytes()).hexdigest()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="*", help="recipes and papers (default: all)")
    names = parser.parse_args().name
    claims = {paper: len(several) for paper, several in papers.claims().items() if several}
    started, broken, moved, apart = time.perf_counter(), [], 0, {}
    chosen = names or [*papers.recipes(), *claims]
    for name, ((one, score), (again, _), (other, elsewhere)) in in_fresh_processes(chosen, [1, 1, 2]):
        found = different(one, again)
        broken += [f"{name} is not the same twice: {', '.join(found)}"] if found else []
        moved += one != other
        if score:
            apart[name] = max(abs(a - b) for a, b in zip(score, elsewhere, strict=True))
        print(f"{name:40} {'DIFFERENT' if found else 'same'}", flush=True)
    findings = [
        *broken,
        f"From one thread to two, {moved} of {len(chosen)} recipes and papers (all claims of one) change in some bit.",
    ]
    if apart:
        far = max(apart, key=apart.get)
        still = sum(value == 0 for value in apart.values())
        findings[-1] += f" Scores of {still} of {len(apart)} recipes do not move; the farthest is {far}, by "
        findings[-1] += f"{100 * apart[far]:.2f} points."
    figure = Figure(
        name="repeats",
        promise="Repeatable",
        title="Recipes and claims repeated",
        done="Each recipe was trained and each claim tested twice at smoke scale from the same seed, in a fresh "
        "process each, on one thread, and once more on two. Of recipes every loss, weight, snapshot and score was "
        "compared bit for bit, of claims every number but measured seconds.",
        asked="0 that differ",
        kept=not broken,
        counts={
            "recipes": sum(name in papers.recipes() for name in chosen),
            "claims": sum(claims.get(name, 0) for name in chosen),
            "that differ": len(broken),
        },
        findings=findings,
    )
    return record(figure, started, write=not names)


if __name__ == "__main__":
    sys.exit(main())
