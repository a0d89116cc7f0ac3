"""The command line: labkit data | run | claims | bench | doctor."""

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path

from labkit import __version__

CHECKOUT = Path(__file__).resolve().parents[1]
DEVICE = "e.g. cpu or cuda (default auto: an accelerator where there is one)"


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 when it did what was asked, 2 when the request can't be met (with one sentence why)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if hasattr(sys.stdout, "reconfigure"):  # also for --help
        sys.stdout.reconfigure(errors="replace")  # where a terminal has no ±, "?" is better than no result
    options = _parser().parse_args(arguments)
    options.typed = arguments
    try:
        return options.command(options) or 0
    except BrokenPipeError:  # `labkit data list | head`
        _close_stdout()
        return 0
    except (ValueError, OSError, FloatingPointError) as error:
        sentence = isinstance(error, OSError) and error.filename is None and error.strerror  # ours: without [Errno]
        print(f"labkit: {sentence or error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("labkit: stopped by hand", file=sys.stderr)
        return 130


def _close_stdout() -> None:
    """What is printed from now on goes nowhere, also what Python flushes as it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="labkit", description="Learn, reproduce and probe self-supervised learning.")
    parser.add_argument("--version", action="version", version=f"labkit {__version__}")
    commands = parser.add_subparsers(required=True, metavar="data | run | claims | bench | doctor")

    data = commands.add_parser("data", help="what can be looked at").add_subparsers(required=True)
    data.add_parser("list", help="every data set, and whether it is here").set_defaults(command=_data_list)
    get = data.add_parser("get", help="fetch a data set and check it")
    get.add_argument("name", help="one of `labkit data list`")
    get.set_defaults(command=_data_get)

    run = commands.add_parser("run", help="train and score a recipe, with its floors", description=_run.__doc__)
    run.add_argument("recipe", nargs="?", help="e.g. grace/cora; without it, the recipes are listed")
    run.add_argument("--seeds", type=_positive, default=5, help="how many trainings (default 5)")
    run.add_argument("--protocol", action="append", metavar="NAME",
                     help="one of the recipe's protocols (default: the first); several score one training")  # fmt: skip
    run.add_argument("--epochs", type=_positive, help="instead of the recipe's own number")
    run.add_argument("--jobs", type=_positive, default=1, help="seeds trained at a time, each in a process of its own")
    run.add_argument("--backend", metavar="dask | ray",
                     help="spread the seeds over the cluster that its own environment variable names, "
                     "DASK_SCHEDULER_ADDRESS or RAY_ADDRESS; or another backend of joblib")  # fmt: skip
    run.add_argument("--device", default="auto", help=DEVICE)
    run.add_argument("--data", type=Path, metavar="PATH",
                     help="a graph of your own: .npz, .safetensors, .graphml, or edges (.edges, .csv, .tsv, .txt) "
                     "with NAME.features.csv and NAME.labels.csv beside it")  # fmt: skip
    run.add_argument("--features", choices=["constant", "degree"], help="for a graph whose file has no features")
    run.add_argument("--label", metavar="NAME", help="the node attribute of a .graphml that holds the classes")
    run.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the result there, of several protocols to NAME.PROTOCOL.json; "
        "until then FILE.part keeps finished seeds",
    )
    run.set_defaults(command=_run)

    claims = commands.add_parser("claims", help="what papers say, tested").add_subparsers(required=True)
    claims.add_parser("list", help="every claim").set_defaults(command=_claims_list)
    verify = claims.add_parser(
        "verify",
        help="test the claims of a paper",
        description="Test claims and write what came out to results/claims/, over what was measured there before "
        "unless that has more seeds (at smoke scale nothing is written).",
    )
    verify.add_argument("paper", nargs="?", help="one of `labkit claims list`, without the claim's own name")
    verify.add_argument("--all", action="store_true", help="of every paper")
    verify.add_argument("--only", nargs="+", metavar="CLAIM", help="these, by name; what they train in common, once")
    verify.add_argument("--scale", default="laptop", choices=["smoke", "laptop"],
                        help="smoke: seconds, to see that it runs, without a verdict (default laptop)")  # fmt: skip
    verify.add_argument("--seeds", type=_positive, help="instead of the scale's own number")
    verify.add_argument("--device", default="auto", help=DEVICE)
    verify.set_defaults(command=_claims_verify)
    board = claims.add_parser("board", help="write BOARD.md from results/")
    board.set_defaults(command=_claims_board)

    bench = commands.add_parser("bench", help="ratios against named peers, in one run", description=_bench.__doc__)
    bench.add_argument("name", nargs="?", help="one entry (default: all)")
    bench.add_argument("--repeats", type=_positive, default=5, help="pairs of turns a row (default 5)")
    bench.set_defaults(command=_bench)

    commands.add_parser("doctor", help="versions, device, data found, a self-check").set_defaults(command=_doctor)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number, at least 1, not {text!r}")
    return int(text)


def _data_list(_) -> None:
    from labkit import data

    rows = [("here" if data.available(name) else "-", name, entry.kind, entry.summary)
            for name, entry in data.catalogue().items()]  # fmt: skip
    _print_columns(rows)


def _print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Each column as wide as what stands in it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _data_get(options) -> None:
    from labkit import data

    found = data.load(options.name)
    if isinstance(found, dict):  # of pictures by name
        return _print_columns([(name, f"{one.dtype}".removeprefix("torch."), str(list(one.shape)))
                               for name, one in found.items()])  # fmt: skip
    print(found)


def _run(options) -> None:
    """Train and score a recipe once a seed, beside its floors (raw features, the untrained encoder, on a graph A²X) and
    its ceiling (vision: the same encoder trained with labels; taken from results/ where it was measured).

    Started by torchrun (torchrun --nproc-per-node N -m labkit run ...), the processes share every batch.
    """
    from labkit._processes import rank
    from labkit.train import joined

    with joined(options.device), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if rank() else sys.stdout):
        _run_here(options)


def _run_here(options) -> None:
    from labkit import papers, recipes
    from labkit._processes import processes, rank
    from labkit.recipes._run import of_ceiling
    from labkit.recipes._sweep import forget

    if options.recipe is None and len(options.typed) > 1:
        raise ValueError(f"name a recipe, e.g. {_again(['run', 'grace/cora', *options.typed[1:]])}")
    if options.recipe is None:
        known = papers.recipes().values()
        return _print_columns([(recipe.name, f"protocols: {', '.join(recipe.protocols)}") for recipe in known])
    recipe = papers.recipe(options.recipe)
    if options.json and not options.json.parent.is_dir():
        raise ValueError(f"--json: there is no folder {options.json.parent}")
    if options.json and options.json.is_dir():
        raise ValueError(f"--json: {options.json} is a folder; name a file in it")
    if options.json and not os.access(options.json.parent, os.W_OK):
        raise ValueError(f"--json: nothing can be written to {options.json.parent}; choose another folder")
    if options.json and options.json.exists():
        _require_result(options.json)
    dataset = None
    if options.data:
        recipe, dataset = recipes.for_own_graph(recipe, options.data, options.features, options.label)
    elif options.features or options.label:
        raise ValueError("--features and --label say how to read a graph of your own; they need --data PATH")
    training = {"epochs": options.epochs} if options.epochs else {}
    _connect(options.backend)
    say = _say if options.json else partial(print, flush=True)
    keep = options.json and options.json.with_name(options.json.name + ".part") if processes() == 1 else None
    results = recipes.run_protocols(
        recipe,
        options.seeds,
        options.protocol or [None],
        dataset=dataset,
        device=options.device,
        on_seed=partial(_print_seed, say),
        jobs=options.jobs,
        backend=options.backend,
        keep=keep,
        results=_results("recipes"),
        **training,
    )
    try:
        if options.json and rank() == 0:
            for result in results:
                several = len(results) > 1
                stem = options.json.name.removesuffix(".json")
                file = options.json.with_name(f"{stem}.{result.protocol_name}.json") if several else options.json
                replace(result, command=_again(options.typed)).save(file)
            for kept in (keep, of_ceiling(keep)) if keep else ():
                forget(kept, {seed for result in results for seed in result.seeds})
    finally:  # where they could not be saved (full disk), they are seen at least
        for result in results:
            say(result)


def _require_result(file: Path) -> None:
    """Refuse to write over what is no result of a recipe, before work starts."""
    try:
        known = file.is_file() and "recipe" in json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, TypeError):
        known = False
    if not known:
        raise ValueError(f"--json: {file} is there and holds no result of a recipe; name another file")


def _again(typed: list[str]) -> str:
    """The command that gives the same result; where it was saved does not belong to it."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--json")
    return shlex.join(["labkit", *parser.parse_known_args(typed)[1]])


def _print_seed(say, one) -> None:
    scores = ", ".join(f"{100 * score.mean:.2f} %" for score in one.scores.values())
    say(f"seed {one.seed}: {scores}  ({one.seconds:.0f} s)")


def _say(text) -> None:
    """Print; where nobody reads on (`| head`), a run whose result goes to a file goes on without."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        _close_stdout()


def _connect(backend: str | None) -> None:
    """joblib knows Dask and Ray by name once this process is in touch with the cluster."""
    try:
        if backend == "dask":
            from distributed import Client

            Client()
        elif backend == "ray":
            from ray.util.joblib import register_ray

            register_ray()
    except ImportError as error:
        packages = {"dask": "dask distributed", "ray": "ray"}[backend]
        raise ValueError(f"--backend {backend} needs its library: pip install {packages} ({error})") from error


def _claims_list(_) -> None:
    from labkit import papers
    from labkit.claims import minutes

    for paper, claims in papers.claims().items():
        for one in claims:
            print(f"{paper}.{one.name}  ({one.needs}, {minutes(one, _results('claims'))})\n    {one.sentence}")


def _claims_verify(options) -> None:
    from labkit import papers
    from labkit._checks import require_known
    from labkit.claims import Lab, difference, verify

    known = papers.claims()
    if options.all and options.paper:
        raise ValueError(f"give {options.paper} or --all, not both")
    if not options.all and options.paper is None:
        raise ValueError("name a paper (see `labkit claims list`), or pass --all")
    if not options.all:
        require_known("paper with claims", options.paper, known, listed="labkit claims list")
    claims = {paper: {one.name: one for one in known[paper]} for paper in (known if options.all else [options.paper])}
    names = [name for several in claims.values() for name in several]
    for name in options.only or ():  # before any of them is tested, which takes minutes
        require_known(f"claim of {options.paper or 'any paper'}", name, names)
    seeds = range(options.seeds) if options.seeds else None
    for paper, several in claims.items():
        lab = Lab(options.scale, seeds, options.device)
        for one in (several[name] for name in options.only or several if name in several):
            record = verify(one, lab, _results("claims"))
            print(f"{record['verdict']:20} {difference(record):>14}   {paper}: {one.sentence}", flush=True)


def _claims_board(_) -> None:
    from labkit._board import board
    from labkit._files import write_whole

    write_whole(_results().parent / "BOARD.md", board(_results()).encode())
    print(f"wrote {_results().parent / 'BOARD.md'}")


def _results(*parts: str) -> Path:
    """results/ of the checkout, or of the folder one stands in when labkit was installed without one."""
    home = CHECKOUT if (CHECKOUT / "results").is_dir() else Path.cwd()
    return home.joinpath("results", *parts)


def _bench(options) -> None:
    """Measure and print one table; each benchmark's rows go to results/bench/NAME.json, and all of them to SPEED.md,
    over what was measured before. What could not be measured here stays as it was.
    """
    import importlib

    from labkit._checks import require_known
    from labkit._files import write_whole

    folder = CHECKOUT / "benchmarks"
    if not folder.is_dir():
        raise ValueError("the benchmarks are part of the source checkout; this labkit was installed without one")
    sys.path.insert(0, str(CHECKOUT))
    names = [path.stem for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")]
    if options.name is not None:
        require_known("benchmark", options.name, names)
    table = importlib.import_module("benchmarks._bench")
    print(table.HEAD)
    for name in [options.name] if options.name else names:
        table.measure(name, options.repeats, _results("bench"))
    print(table.machine())
    page = importlib.import_module("benchmarks._report").report(_results("bench"))
    write_whole(CHECKOUT / "SPEED.md", page.encode())


def _doctor(_) -> int:
    import time

    from labkit import data, recipes
    from labkit.train import choose_device, has_bfloat16

    device = choose_device("auto")
    facts = recipes.circumstances(device)
    print(f"device    {facts['device']}, {facts['threads']} threads, "
          f"bfloat16 {'in hardware' if has_bfloat16(device) else 'not in hardware (float32 is used)'}")  # fmt: skip
    print("versions  " + ", ".join(f"{name} {number}" for name, number in facts["versions"].items()))
    here = [name for name in data.catalogue() if data.available(name)]
    print(f"data      {len(here)} of {len(data.catalogue())} sets are here: {', '.join(here)}")
    started = time.perf_counter()
    ok = _self_check()
    print(f"check     {'ok' if ok else 'FAILED'}: digits, two views, 5 epochs ({time.perf_counter() - started:.1f} s)")
    return 0 if ok else 1


def _self_check() -> bool:
    """A small SimCLR on digits: the loss must fall and the same seed must give the same bits."""
    from labkit import data, fit, losses, methods, models, train, views

    images = data.load("digits").images

    def once():
        with train.seeded(0):
            encoder, projector = models.resnet8(width=8, channels=1), models.MLP(32, 32, 16)
        view = views.Compose([views.RandomResizedCrop(8, scale=(0.6, 1.0)), views.GaussianNoise(0.05)])
        method = methods.TwoView(encoder, projector, view, partial(losses.nt_xent, temperature=0.2))
        return fit(method, train.Minibatches(images, 256), epochs=5, progress=False).history["loss"]

    first, again = once(), once()
    return first == again and first[-1] < first[0]


if __name__ == "__main__":
    sys.exit(main())
