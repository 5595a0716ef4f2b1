"""A model is run in a process of its own, under bounds; the tensors asked for are kept in files until they are read."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from archmodel.capture.onnx_limits import GIB, RunLimits
from archmodel.errors import WorkloadError, one_line, show

Array = npt.NDArray[Any]
Feed = Mapping[str, Array]
DISK_LEFT_BYTES = GIB  # the spool leaves this much of a disk free
WORKER = ("-P", "-m", "archmodel.capture.onnx_worker")  # -P: the folder of the user is no place of modules
ROOT = Path(__file__).resolve().parents[2]


class ModelRun:
    """What came out of the runs of a model, one for each feed; tensors are read from files, which `close` removes.

    shapes : dims of every tensor of the main graph in the first run, by name; of sequences nothing is known
    conditions : which branch every If node took, as `exchange.onnx_branches.inlined` wants it
    num_runs : runs, one a feed
    """

    def __init__(self, folder: str, source: str) -> None:
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.conditions: dict[str, bool] = {}
        self._source = source
        self._folder = Path(folder)
        self._files: list[dict[str, str]] = []
        self.close = weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)

    @property
    def num_runs(self) -> int:
        return len(self._files)

    def has(self, name: str) -> bool:
        """Whether a tensor was kept."""
        return name in self._files[0]

    def tensor(self, name: str, run: int = 0) -> Array:
        """A tensor that was asked for, as it was in a run; mapped into memory."""
        if name not in self._files[run]:
            raise WorkloadError(f"{self._source}: no tensor {show(name)} was kept")
        path = self._folder / self._files[run][name]
        return np.load(path, mmap_mode=None if _is_empty(path) else "r", allow_pickle=False)

    def __enter__(self) -> "ModelRun":
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def take(self, answer: Mapping[str, Any]) -> None:
        """Note what the worker answered to a feed."""
        self._files.append(answer["files"])
        self.shapes |= {name: tuple(dims) for name, dims in answer.get("shapes", {}).items()}
        self.conditions |= answer.get("conditions", {})


def _is_empty(path: Path) -> bool:
    """Whether an npy file holds no words, which cannot be mapped."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        return 0 in np.lib.format.read_array_header_1_0(file)[0]


def run_model(path: Path, feeds: Sequence[Feed], wanted: Iterable[str], limits: RunLimits | None = None) -> ModelRun:
    """Run the model in `path` once for each of `feeds` and keep the tensors `wanted`.

    A wanted tensor that the model does not have is not kept. WorkloadError, one line, whatever the model does: it
    crashes, never ends, takes more than `limits`, or is no model.
    """
    limits, source = limits or RunLimits(), one_line(path.name)
    if importlib.util.find_spec("onnxruntime") is None:
        raise WorkloadError("needs onnxruntime: pip install 'archmodel[onnx]'")
    if not len(feeds):
        raise WorkloadError(f"{source}: no input to run it with")
    try:
        folder = tempfile.mkdtemp(prefix="archmodel-")
    except OSError as error:
        raise WorkloadError(f"{source}: no folder for its tensors: {error.strerror}") from None
    run = ModelRun(folder, source)
    try:
        with _Child(source, Path(folder), limits) as child:
            child.start(path, wanted)
            for feed in feeds:
                run.take(child.answer(feed))
    except OSError as error:
        run.close()
        raise WorkloadError(f"{source}: cannot be run: {one_line(error.strerror or str(error))}") from None
    except BaseException:  # Ctrl-C too
        run.close()
        raise
    return run


class _Child:
    """The process that runs the model, from its start to its end; killed when the time is over."""

    def __init__(self, source: str, spool: Path, limits: RunLimits) -> None:
        self._source, self._spool, self._limits = source, spool, limits
        self._free_bytes = max(0, shutil.disk_usage(spool).free - DISK_LEFT_BYTES)
        search = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            [sys.executable, *WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=spool,
            env={**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C reaches this process only, which ends that one
        )
        self._late = threading.Event()
        self._timer = threading.Timer(limits.seconds, self._end_late)
        self._timer.daemon = True

    def __enter__(self) -> "_Child":
        self._timer.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._timer.cancel()
        self._process.kill()
        self._process.communicate()

    def start(self, path: Path, wanted: Iterable[str]) -> None:
        """Say what to run."""
        request = {
            "path": os.path.abspath(path),
            "wanted": list(dict.fromkeys(wanted)),
            "spool": str(self._spool),
            "spool_bytes": min(self._limits.spool_bytes, self._free_bytes),
            "seconds": self._limits.seconds,
            "memory_bytes": self._limits.memory_bytes,
            "num_threads": available_cores(),
        }
        self._say(request)

    def answer(self, feed: Feed) -> dict[str, Any]:
        """What the process says to a feed; WorkloadError if it ended instead."""
        files = {name: f"feed-{place}.npy" for place, name in enumerate(feed)}
        for name, file in files.items():
            np.save(self._spool / file, feed[name], allow_pickle=False)
        self._say(files)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        for file in files.values():
            (self._spool / file).unlink()
        if not line.endswith(b"\n"):
            raise self._ended()
        answer: dict[str, Any] = json.loads(line)
        if "bound" in answer:
            raise self._exceeded(answer["bound"])
        if "error" in answer:
            raise WorkloadError(f"{self._source}: {answer['error']}")
        return answer

    def _say(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:  # it has ended; `answer` says why
            pass

    def _end_late(self) -> None:
        self._late.set()
        self._process.kill()

    def _ended(self) -> WorkloadError:
        status = self._process.wait()
        if self._late.is_set():
            return self._exceeded("seconds")
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return WorkloadError(f"{self._source}: onnxruntime ended {how}")

    def _exceeded(self, bound: str) -> WorkloadError:
        if bound == "spool" and self._free_bytes < self._limits.spool_bytes:
            disk = f"the disk of {one_line(str(self._spool.parent))}; TMPDIR names another"
            return WorkloadError(f"{self._source}: its tensors do not fit on {disk}")
        return WorkloadError(f"{self._source}: {self._limits.exceeded(bound)}")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
