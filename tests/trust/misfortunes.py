"""Every test in which something outside of labkit fails: a full disk, a read-only folder, no home, no network.

python -m tests.trust.misfortunes                writes results/trust/misfortunes.json
"""

import sys
import time

from .report import Figure, record
from .tally import tally


def main() -> int:
    started, found = time.perf_counter(), tally("misfortune")
    figure = Figure(
        name="misfortunes",
        promise="Interrupted",
        title="Misfortunes",
        done="A disk that takes no more (a limit that the kernel holds), a folder that can't be written to, no home "
        "directory, no network, a server that breaks off, and a proxy that answers with a page; each is one test "
        "(`pytest -m misfortune`) that fails unless there is one clear sentence, what was there before is untouched, "
        "and nothing half-written is left.",
        asked="one sentence each, nothing half-written",
        kept=not found.failed,
        counts={"met": found.passed.total(), "not met": len(found.failed)}
        | {f"of {kind}": count for kind, count in sorted(found.passed.items())},
        findings=[*(f"not met: {name}" for name in found.failed), *(f"skipped: {why}" for why in found.skipped)],
    )
    return record(figure, started)


if __name__ == "__main__":
    sys.exit(main())
