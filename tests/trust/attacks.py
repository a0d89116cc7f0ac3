"""Every test that hands over something crafted: files, names, addresses; and what leaves the machine.

python -m tests.trust.attacks                    writes results/trust/attacks.json
"""

import sys
import time

from .report import Figure, record
from .tally import tally


def main() -> int:
    started, found = time.perf_counter(), tally("attack")
    figure = Figure(
        name="attacks",
        promise="Attacked",
        title="Attacks",
        done="Crafted pickles, npz, zips, safetensors, GraphML, tables, checkpoints, names with HTML and mathematics, "
        "addresses that lead elsewhere, and the lab's own settings; each is one test (`pytest -m attack`) that fails "
        "unless it is refused in one sentence or inert. Requests are counted in Chromium; the kernels of all notebooks "
        "run with sockets to other machines refused.",
        asked="all refused or inert",
        kept=not found.failed,
        counts={"refused or inert": found.passed.total(), "obeyed": len(found.failed)}
        | {f"of {kind}": count for kind, count in sorted(found.passed.items())},
        findings=[*(f"not refused: {name}" for name in found.failed), *(f"skipped: {why}" for why in found.skipped)],
    )
    return record(figure, started)


if __name__ == "__main__":
    sys.exit(main())
