"""``kill -9`` at random moments, over and over, until what was killed has come to its end.

    python -m tests.trust.kills                      20 moments of each kind; writes results/trust/kills.json
    python -m tests.trust.kills --moments 2          fewer; only says what came out

A piece of work runs in a process of its own, which is killed after a random time; the same work is started again in the
same folder, until one start reaches the end. After every kill each file must be whole and hold at least what the
process said was finished; the end must be that of a run nobody killed, bit for bit.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from labkit import cli, data, fit, losses, methods, models, papers, train, views
from labkit._files import write_whole
from labkit.data import _store
from labkit.data._catalogue import Entry, File
from labkit.train import Minibatches, Run

from .report import Figure, record


class Work:
    """Something that takes time, leaves finished parts in a folder, and goes on from what is there."""

    def run(self, folder: Path) -> None:
        """To the end; prints "done K" when K parts are finished."""
        raise NotImplementedError

    def found(self, folder: Path) -> int:
        """How many finished parts the folder holds; a ValueError if a file is torn."""
        raise NotImplementedError

    def end(self, folder: Path) -> Any:
        """What the whole work came to, to the bit."""
        raise NotImplementedError


class Training(Work):
    """``fit``: SimCLR on digits, a checkpoint after every epoch."""

    epochs = 12

    def method(self) -> methods.Method:
        with train.seeded(0):
            encoder, projector = models.resnet8(width=4, channels=1), models.MLP(16, 16, 8)
        view = views.Compose([views.RandomResizedCrop(8, scale=(0.6, 1.0)), views.GaussianNoise(0.05)])
        return methods.TwoView(encoder, projector, view, partial(losses.nt_xent, temperature=0.2))

    def run(self, folder: Path) -> None:
        images, method, before, steps = data.load("digits").images[:128], self.method(), self.found(folder), 0
        batches = Minibatches(images, 64)

        def tell() -> None:
            nonlocal steps
            steps += 1
            if steps % len(batches) == 1:  # the first step of an epoch: the one before it was written
                print("done", before + steps // len(batches), flush=True)

        method.after_step = tell
        keep = {"checkpoint": folder / "run.safetensors", "checkpoint_seconds": 0, "resume": True}
        shots = {"snapshots": [0, self.epochs // 2, self.epochs], "watch": images[:32]}
        fit(method, batches, epochs=self.epochs, device="cpu", precision="float32", progress=False, **shots, **keep)

    def found(self, folder: Path) -> int:
        path = folder / "run.safetensors"
        return Run.load(path, self.method()).epochs if path.exists() else 0

    def end(self, folder: Path) -> Any:
        run = Run.load(folder / "run.safetensors", self.method())
        tensors = [*run.method.state_dict().values(), *run.snapshots.values()]
        return run.history["loss"], [hashlib.sha256(one.numpy().tobytes()).hexdigest() for one in tensors]


class Sweep(Work):
    """``labkit run --seeds --json``: GRACE on a small graph."""

    seeds, jobs = 3, 1

    def run(self, folder: Path) -> None:
        graph = folder.parent / "small.npz"
        arguments = ["run", "grace", "--data", str(graph), "--epochs", "3", "--seeds", str(self.seeds)]
        status = cli.main([*arguments, "--jobs", str(self.jobs), "--json", str(folder / "result.json")])
        if status:
            raise RuntimeError(f"labkit run ended with {status}")

    def found(self, folder: Path) -> int:
        whole, part = folder / "result.json", folder / "result.json.part"
        if whole.exists():
            return len(json.loads(whole.read_text())["scores"])
        return len(json.loads(part.read_text())["done"]) if part.exists() else 0

    def end(self, folder: Path) -> Any:
        assert not (folder / "result.json.part").exists()
        result = json.loads((folder / "result.json").read_text())
        return {name: value for name, value in result.items() if name != "seconds"}


class ParallelSweep(Sweep):
    """``labkit run --jobs 2``: the same in two worker processes."""

    jobs = 2


class Download(Work):
    """Files of a data set, from a slow server on this machine."""

    files, size = 6, 200_000

    def content(self, i: int) -> bytes:
        return random.Random(i).randbytes(self.size)

    def entry(self, address: str) -> Entry:
        contents = [self.content(i) for i in range(self.files)]
        files = [
            File(f"toy/{i}.bin", self.size, hashlib.sha256(content).hexdigest(), f"{address}/{i}.bin")
            for i, content in enumerate(contents)
        ]
        return Entry("toy", "graph", "a toy", "planetoid", tuple(files), "none", "nobody")

    def run(self, folder: Path) -> None:
        os.environ.pop("LABKIT_DATA", None)
        _store._own_folders = lambda: [folder]
        entry = self.entry((folder.parent / "address").read_text())
        for i, file in enumerate(entry.files):
            _store.read_bytes(entry, file)
            print("done", i + 1, flush=True)

    def found(self, folder: Path) -> int:
        here = [i for i in range(self.files) if (folder / f"toy/{i}.bin").exists()]
        for i in here:
            if (folder / f"toy/{i}.bin").read_bytes() != self.content(i):
                raise ValueError(f"{i}.bin is torn")
        return len(here)

    def end(self, folder: Path) -> Any:
        return self.found(folder), list(folder.rglob("*.rejected"))

    def serve(self, folder: Path) -> None:
        """Serve the files a little at a time, for ever; the address is written to a file."""
        contents = {f"/{i}.bin": self.content(i) for i in range(self.files)}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                content = contents[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for start in range(0, len(content), 10_000):
                    self.wfile.write(content[start : start + 10_000])
                    time.sleep(0.005)

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        write_whole(folder / "address", f"http://127.0.0.1:{server.server_port}".encode())
        server.serve_forever()


class ResultFile(Work):
    """A result of 4 MB, written over itself."""

    versions = 20

    def run(self, folder: Path) -> None:
        for version in range(self.found(folder) + 1, self.versions + 1):
            text = json.dumps({"version": version, "filling": "x" * 4_000_000})
            write_whole(folder / "result.json", text.encode())
            print("done", version, flush=True)

    def found(self, folder: Path) -> int:
        path = folder / "result.json"
        return json.loads(path.read_text())["version"] if path.exists() else 0

    def end(self, folder: Path) -> Any:
        return hashlib.sha256((folder / "result.json").read_bytes()).hexdigest()


KINDS: dict[str, Work] = {
    "fit": Training(),
    "sweep": Sweep(),
    "sweep with --jobs 2": ParallelSweep(),
    "download": Download(),
    "result file": ResultFile(),
}


QUICK = [kind for kind in KINDS if kind != "sweep with --jobs 2"]  # each start of that one takes its workers' imports
BROKEN = ("torn files", "finished parts lost", "other ends", "processes left behind")


def start(task, *arguments: Any, said: Path) -> int:
    """Run a task in a process of its own, with what it says in files; its number. The parent must not have trained."""
    sys.stdout.flush()
    for name in ("out", "err"):  # emptied here: a child that is killed at once would leave what an earlier one said
        said.with_suffix(f".{name}").write_text("")
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setpgid(0, 0)
        for stream, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(said.with_suffix(f".{name}"), os.O_WRONLY), stream)
        task(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def finish(work: Work, folder: Path) -> float:
    """Run the work to its end without a kill; the seconds it took."""
    folder.mkdir(exist_ok=True)
    started = time.monotonic()
    _, status = os.waitpid(start(work.run, folder, said=folder.parent / "said"), 0)
    if status:
        raise RuntimeError((folder.parent / "said.err").read_text()[-3000:])
    return time.monotonic() - started


def kill_often(work: Work, moments: int, home: Path, dice: random.Random) -> dict[str, int]:
    """Kill the work at so many moments; what was torn, lost, or came to another end."""
    seconds = finish(work, home / "unbroken")
    expected, said = work.end(home / "unbroken"), home / "said"
    counts = dict.fromkeys(("moments", *BROKEN, "runs"), 0)
    while counts["moments"] < moments:
        folder = home / f"run-{counts['runs']}"
        folder.mkdir()
        counts["runs"] += 1
        while counts["moments"] < moments:
            pid = start(work.run, folder, said=said)
            if not killed_after(pid, dice.uniform(0, seconds)):  # it was quicker
                break
            counts["moments"] += 1
            counts["processes left behind"] += outlive(pid)
            try:
                found = work.found(folder)
            except ValueError as error:
                counts["torn files"] += 1
                print(f"  torn: {error}")
                break
            counts["finished parts lost"] += max(0, told(said.with_suffix(".out")) - found)
        finish(work, folder)
        if work.end(folder) != expected:
            counts["other ends"] += 1
            print(f"  another end: {work.end(folder)} is not {expected}"[:2000])
        shutil.rmtree(folder)
    return counts


def killed_after(pid: int, seconds: float) -> bool:
    """Kill a process after so many seconds; False if it had ended by then."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def outlive(group: int, seconds: float = 60) -> bool:
    """Whether anything of a process group is still there after so many seconds; it is ended then."""
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            os.killpg(group, 0)
            time.sleep(0.05)
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def told(path: Path) -> int:
    """How many parts a process said were finished."""
    lines = path.read_text().splitlines()
    done = [int(line.split()[1]) for line in lines if line.startswith("done ")]
    return max([*done, sum(line.startswith("seed ") for line in lines)])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--moments", type=int, default=20, help="of each kind")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--only", choices=KINDS, nargs="+", default=list(KINDS), help="default: all")
    options = parser.parse_args()
    papers.recipes()  # imported here once, not in every process that is killed
    started, total, findings = time.perf_counter(), dict.fromkeys(("moments", *BROKEN), 0), []
    for kind in options.only:
        work = KINDS[kind]
        with tempfile.TemporaryDirectory() as home:
            data.save_graph(data.load("sbm", sizes=(20, 20), seed=0), Path(home) / "small.npz")
            server = start(Download().serve, Path(home), said=Path(home) / "server")
            while not (Path(home) / "address").exists():
                time.sleep(0.01)
            try:
                counts = kill_often(work, options.moments, Path(home), random.Random(f"{options.seed} {kind}"))
            finally:
                os.kill(server, signal.SIGKILL)
                os.waitpid(server, 0)
        runs = counts.pop("runs")
        findings.append(f"{work.__doc__.splitlines()[0].rstrip('.')}: killed {counts['moments']} times in {runs} runs.")
        print(f"{kind:20} {counts}", flush=True)
        total = {name: total[name] + count for name, count in counts.items()}
    figure = Figure(
        name="kills",
        promise="Interrupted",
        title="Moments killed",
        done="Work was killed with SIGKILL after a random time and started again in the same folder, until a start "
        "reached the end. After each kill every file was read whole and held what the process had said was finished; "
        "the end was compared bit for bit with that of a run nobody killed.",
        asked="20 moments of each kind; nothing torn, lost, different or left behind",
        kept=not any(total[name] for name in BROKEN),
        counts=total,
        findings=findings,
    )
    return record(figure, started, write=options.moments >= 20 and options.only == list(KINDS))


if __name__ == "__main__":
    sys.exit(main())
