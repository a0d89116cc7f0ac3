"""The quick suite with the oldest versions that pyproject.toml allows.

    make test-oldest                                           in .venv-oldest
    python -m tests.trust.oldest --python .venv-oldest/bin/python        the same, counted and recorded

Browser and notebook tests are left out: they try JupyterLab, which has its own lower bound, not this library.
"""

import argparse
import json
import re
import subprocess
import sys
import time
import tomllib

from .report import ROOT, Figure, record

_VERSIONS = """
import importlib.metadata, json, platform, sys
found = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({"python": platform.python_version(), **found}))
"""


def lower_bounds() -> dict[str, str]:
    """Each package of pyproject.toml (what it needs, and for its tests) and its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {*project["dependencies"], *project["optional-dependencies"]["dev"]}
    return dict(sorted(requirement.split(">=") for requirement in wanted))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=".venv-oldest/bin/python", help="an interpreter with these versions")
    options, rest = parser.parse_known_args()
    started = time.perf_counter()
    bounds = lower_bounds()
    asked = [options.python, "-c", _VERSIONS, *bounds]
    versions = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    command = [options.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--ignore=tests/browser"]
    run = subprocess.Popen(
        [*command, "--ignore=tests/notebooks", *rest],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    lines = []
    for line in run.stdout:
        print(line, end="", flush=True)
        lines.append(line)
    run.wait()
    counted = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1])}
    newer = [f"{n} {versions[n]} for {bound}" for n, bound in bounds.items() if not same(versions[n], bound)]
    failed = [line.strip() for line in lines if line.startswith(("FAILED", "ERROR"))]
    return record(
        Figure(
            name="oldest",
            promise="Drifted",
            title="The quick suite with the oldest versions allowed",
            done=f"Python {versions['python']} with {', '.join(f'{n} {versions[n]}' for n in bounds)}; without the "
            "browser and notebook tests.",
            asked="0 failed",
            kept=run.returncode == 0 and not newer,
            counts={"passed": 0, "failed": 0, "skipped": 0} | counted,
            findings=[
                *failed,
                *(f"Newer than the lower bound: {name}." for name in newer),
                "torch's lower bound is the version that was run: older ones were not tried. "
                "Python 3.11 is what was run; 3.12 and 3.13 were not.",
            ],
        ),
        started,
    )


def same(version: str, bound: str) -> bool:
    """Whether a version is the lower bound: 2.0.0 is that of >=2.0."""
    parts, wanted = ([int(n) for n in re.findall(r"\d+", text.partition("+")[0])] for text in (version, bound))
    return parts[: len(wanted)] == wanted and not any(parts[len(wanted) :])


if __name__ == "__main__":
    sys.exit(main())
