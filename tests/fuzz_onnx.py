"""Damage ONNX files and show that each is read or refused in one line, soon and in little memory.

    python tests/fuzz_onnx.py 2000 --seed 0

Every file goes through `archmodel sim` with given densities, `archmodel inspect` that leaves out what it cannot read,
and `archmodel sim --input`, which runs it, in processes whose memory is limited. A traceback, a process that dies, more
than SECONDS or MEMORY_BYTES, and an error that is not one line are faults: such a file is kept in the folder of --keep,
and the exit code is 1.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import queue
import random
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SECONDS = 10.0  # of the processor, for all that is done with a file
WAIT_SECONDS = 120.0  # of the clock, which other work slows
MEMORY_BYTES = 2 * 10**9
LIMIT_BYTES = 6 * 2**30  # of addresses, of which numba and numpy reserve far more than they use
STATED = ("--activations", "density=0.5")
SIM = ("sim", "--arch", "scnn", "--fidelity", "statistical", "--net")
INSPECT = ("inspect", "--skip-unsupported")
LIMITS = ("--input-limit", "seconds=5,memory_gib=1.5")
READ, REFUSED = 0, 2  # exit codes that a file may end with
FILE = "model.onnx"


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `fault` is empty where that is as it should be."""

    codes: tuple[int, ...]
    seconds: float
    peak_bytes: int
    fault: str = ""


def commands(path: Path, inputs: list[str]) -> Iterator[list[str]]:
    """What a file is tried with; without `inputs` it is not run."""
    yield [*SIM, str(path), *STATED]
    yield [*INSPECT, str(path), *STATED]
    if inputs:
        yield [*SIM, str(path), *LIMITS, *(part for text in inputs for part in ("--input", text))]


def tried(path: Path, inputs: list[str]) -> Outcome:
    """Run everything that reads the file, in this process; `inputs` are texts of --input."""
    from archmodel.cli.main import run

    start, codes, fault = processor_seconds(), list[int](), ""
    for command in commands(path, inputs):
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            try:
                codes.append(run(command))
            except BaseException:  # noqa: BLE001 - whatever leaves `run` is a fault
                fault = fault or traceback.format_exc()
                continue
        line = errors.getvalue()
        as_it_should = line.startswith("archmodel: error: ") and line.count("\n") == 1 and line[:-1].isprintable()
        if codes[-1] not in (READ, REFUSED) or (codes[-1] == REFUSED and not as_it_should):
            fault = fault or f"{' '.join(command)} ended with {codes[-1]}: {line!r:.300}"
    return Outcome(tuple(codes), processor_seconds() - start, peak_bytes(), fault)


def processor_seconds() -> float:
    """What this process and those that it has started and seen end have worked."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def peak_bytes() -> int:
    """The most memory that this process has had, or one that it has started."""
    import resource

    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return peak if sys.platform == "darwin" else peak * 1024


def write(folder: Path, data: bytes, beside: dict[str, bytes]) -> Path:
    """The model and what lies beside it, with links and a pipe that its paths may lead to."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "folder").mkdir(parents=True)
    for name, content in {FILE: data, **beside}.items():
        (folder / name).write_bytes(content)
    for name, target in (("link", "w.bin"), ("loop", "loop"), ("outside", "/etc/passwd")):
        (folder / name).symlink_to(target)
    os.mkfifo(folder / "pipe")
    return folder / FILE


def write_inputs(folder: Path, arrays: dict[str, Any]) -> list[str]:
    """Files of arrays by the name of the input, as texts of --input; an only one goes without its name."""
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    for place, array in enumerate(arrays.values()):
        np.save(folder / f"{place}.npy", array)
    texts = [f"{name}={folder / f'{place}.npy'}" for place, name in enumerate(arrays)]
    return texts if len(texts) != 1 else [str(folder / "0.npy")]


def work(connection: Connection) -> None:
    """Try one file after the other, in a process with little memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    while True:
        connection.send(tried(*connection.recv()))


class Worker:
    """A process that tries files; it is ended, and another started, when it takes too long or dies."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=work, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def outcome(self, path: Path, inputs: list[str], seconds: float) -> Outcome:
        """What became of the file; a fault where there is no answer."""
        start = time.perf_counter()
        try:
            self.connection.send((path, inputs))
            if self.connection.poll(seconds):
                found: Outcome = self.connection.recv()
                return found
            fault = f"no end after {seconds:.0f} s"
        except (EOFError, OSError):
            self.process.join()
            fault = f"the process died with {self.process.exitcode}"
        self.end()
        self.__init__()  # type: ignore[misc]
        return Outcome((), time.perf_counter() - start, 0, fault)

    def end(self) -> None:
        self.process.kill()
        self.process.join()


Tried = tuple[int, str, Outcome]


def outcomes(numbers: range, seed: int, folder: Path, keep: Path | None) -> Iterator[Tried]:
    """Number, model and outcome of each of the damaged files; those with a fault are copied to the folder `keep`."""
    from tests.exchange.onnx_damage import damaged, seed_models

    seeds, worker = seed_models(), Worker()
    inputs = {whole.name: write_inputs(folder / "inputs" / whole.name, whole.inputs) for whole in seeds}
    try:
        for whole in seeds:  # which also compiles kernels, in no file's time
            worker.outcome(write(folder / "model", whole.data, whole.beside), inputs[whole.name], 600)
        for number in numbers:
            made = damaged(random.Random(f"{seed} {number}"), seeds)
            path = write(folder / "model", made.data, made.beside)
            found = worker.outcome(path, inputs[made.name], WAIT_SECONDS)
            if not found.fault and found.seconds > SECONDS:
                found = replace(found, fault=f"took {found.seconds:.1f} s")
            if not found.fault and found.peak_bytes > MEMORY_BYTES:
                found = replace(found, fault=f"took {found.peak_bytes} bytes")
            if found.fault and keep:
                ignored = shutil.ignore_patterns("pipe")
                shutil.copytree(path.parent, keep / str(number), symlinks=True, ignore=ignored, dirs_exist_ok=True)
            yield number, made.name, found
    finally:
        worker.end()


def side_by_side(count: int, seed: int, folder: Path, keep: Path | None, num_workers: int) -> Iterator[Tried]:
    """The outcomes of `count` files as they come, every worker with its own share of the numbers."""
    done: queue.Queue[Tried | BaseException | None] = queue.Queue()

    def share(first: int) -> None:
        try:
            for one in outcomes(range(first, count, num_workers), seed, folder / str(first), keep):
                done.put(one)
            done.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the outcomes are read
            done.put(error)

    for first in range(num_workers):
        threading.Thread(target=share, args=(first,), daemon=True).start()
    running = num_workers
    while running:
        found = done.get()
        if isinstance(found, BaseException):
            raise found
        if found is None:
            running -= 1
        else:
            yield found


def main() -> None:
    """Print faults as they are found, then how the files ended, the slowest one and the most memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="files to make and try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that show a fault")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="files tried at once, all cores")
    arguments = parser.parse_args()
    ends, slowest, most, faults = Counter[str](), (0.0, ""), (0, ""), 0
    with tempfile.TemporaryDirectory() as scratch:
        given = arguments.count, arguments.seed, Path(scratch), arguments.keep, arguments.workers
        for number, name, found in side_by_side(*given):
            label = f"{number} ({name})"
            slowest = max(slowest, (found.seconds, label))
            most = max(most, (found.peak_bytes, label))
            if found.fault:
                faults += 1
                print(f"file {label}: {found.fault}", flush=True)
            else:
                ends[", ".join("read" if code == READ else "refused" for code in found.codes)] += 1
    for codes, files in ends.most_common():
        print(f"{files:5} files: {codes} by sim, inspect and sim --input")
    print(
        f"the slowest: {slowest[0]:.2f} s, file {slowest[1]}; the most memory: {most[0] / 1e6:.0f} MB, file {most[1]}"
    )
    print(f"{faults} faults in {arguments.count} files")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
