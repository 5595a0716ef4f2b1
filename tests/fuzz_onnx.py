"""Damage ONNX files and show that each is read or refused in one line, soon and in little memory.

    python tests/fuzz_onnx.py 2000 --seed 0

Every file goes through `archmodel show` and `archmodel sim`, and through the reader that leaves out what it cannot
read, in a process whose memory is limited. A traceback, a process that dies, more than SECONDS or MEMORY_BYTES, and an
error that is not one line are faults: such a file is kept in the folder of --keep, and the exit code is 1.
"""

import argparse
import contextlib
import io
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SECONDS = 10.0
MEMORY_BYTES = 2 * 10**9
LIMIT_BYTES = 6 * 2**30  # of addresses, of which numba and numpy reserve far more than they use
SIM = ("sim", "--activations", "density=0.5", "--arch", "scnn", "--fidelity", "statistical", "--net")
READ, REFUSED = 0, 2  # exit codes that a file may end with
FILE = "model.onnx"


@dataclass(frozen=True)
class Outcome:
    """What became of one file; `fault` is empty where that is as it should be."""

    codes: tuple[int, ...]
    seconds: float
    peak_bytes: int
    fault: str = ""


def tried(path: Path) -> Outcome:
    """Run everything that reads the file, in this process."""
    from archmodel.cli.main import run

    start, codes, fault = time.perf_counter(), list[int](), ""
    for command in (("show",), SIM):
        out, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            try:
                codes.append(run([*command, str(path)]))
            except BaseException:  # noqa: BLE001 - whatever leaves `run` is a fault
                fault = fault or traceback.format_exc()
                continue
        line = errors.getvalue()
        as_it_should = line.startswith("archmodel: error: ") and line.count("\n") == 1 and line[:-1].isprintable()
        if codes[-1] not in (READ, REFUSED) or (codes[-1] == REFUSED and not as_it_should):
            fault = fault or f"{command[0]} ended with {codes[-1]}: {line!r:.300}"
    fault = fault or tried_with_gaps(path)
    return Outcome(tuple(codes), time.perf_counter() - start, peak_bytes(), fault)


def tried_with_gaps(path: Path) -> str:
    """The fault of the reader that leaves out what it cannot read; empty for none."""
    from archmodel.errors import WorkloadError
    from archmodel.network.onnx_reader import read_onnx

    try:
        read_onnx(path, FILE, skip=True)
    except WorkloadError as error:
        return "" if str(error).isprintable() else f"more than one line: {str(error)!r:.300}"
    except BaseException:  # noqa: BLE001
        return traceback.format_exc()
    return ""


def peak_bytes() -> int:
    """The most memory that this process has had."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
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


def work(connection: Connection) -> None:
    """Try one file after the other, in a process with little memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT_BYTES, resource.getrlimit(resource.RLIMIT_AS)[1]))
    while True:
        connection.send(tried(connection.recv()))


class Worker:
    """A process that tries files; it is ended, and another started, when it takes too long or dies."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, other = context.Pipe()
        self.process = context.Process(target=work, args=(other,), daemon=True)
        self.process.start()
        other.close()

    def outcome(self, path: Path, seconds: float) -> Outcome:
        """What became of the file; a fault where there is no answer."""
        start = time.perf_counter()
        try:
            self.connection.send(path)
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


def outcomes(count: int, seed: int, folder: Path) -> Iterator[tuple[int, str, Path, Outcome]]:
    """Number, model, file and outcome of each of the damaged files; the file is there until the next one."""
    from tests.network.onnx_damage import damaged, seed_models

    seeds, worker = seed_models(), Worker()
    try:
        for whole in seeds:  # which also compiles kernels, in no file's time
            worker.outcome(write(folder, whole.data, whole.beside), 600)
        for number in range(count):
            made = damaged(random.Random(f"{seed} {number}"), seeds)
            path = write(folder, made.data, made.beside)
            found = worker.outcome(path, 2 * SECONDS)
            if not found.fault and found.seconds > SECONDS:
                found = Outcome(found.codes, found.seconds, found.peak_bytes, f"took {found.seconds:.1f} s")
            if not found.fault and found.peak_bytes > MEMORY_BYTES:
                found = Outcome(found.codes, found.seconds, found.peak_bytes, f"took {found.peak_bytes} bytes")
            yield number, made.name, path, found
    finally:
        worker.end()


def main() -> None:
    """Print faults as they are found, then how the files ended, the slowest one and the most memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="files to make and try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that show a fault")
    arguments = parser.parse_args()
    ends, slowest, most, faults = Counter[str](), (0.0, ""), (0, ""), 0
    with tempfile.TemporaryDirectory() as scratch:
        for number, name, path, found in outcomes(arguments.count, arguments.seed, Path(scratch) / "model"):
            label = f"{number} ({name})"
            slowest = max(slowest, (found.seconds, label))
            most = max(most, (found.peak_bytes, label), key=lambda one: one[0])
            if found.fault:
                faults += 1
                print(f"file {label}: {found.fault}", flush=True)
                if arguments.keep:
                    shutil.copytree(
                        path.parent, arguments.keep / str(number), symlinks=True, ignore=lambda *_: ["pipe"]
                    )
            else:
                ends[" and ".join("read" if code == READ else "refused" for code in found.codes)] += 1
    for codes, files in ends.most_common():
        print(f"{files:5} files: {codes} by show and sim")
    print(
        f"the slowest: {slowest[0]:.2f} s, file {slowest[1]}; the most memory: {most[0] / 1e6:.0f} MB, file {most[1]}"
    )
    print(f"{faults} faults in {arguments.count} files")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
